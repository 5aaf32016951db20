"""The HTTP routes of the ledger: its accounts, what they hold, and what was posted."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from contracts.events.finance import AccountSum
from services.finance.closing import report_of
from services.finance.domain.domain import AnyFile
from services.finance.ledger.accounts import CHART, Account
from services.finance.ledger.trial import Row, is_month
from services.finance.periods import calendar
from services.kernel.event_store import Reads
from services.kernel.http import lists
from services.kernel.http.lists import Filter
from services.kernel.http.openapi import Operation, Parameter, describe
from services.kernel.refusal import invalid
from services.kernel.service import Service
from services.kernel.views import Projector

TAG: Final = "ledger"
Month = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="A month of the shop's")]
MONTH: Final = Parameter("month", Month, "A month (2026-10), closed or open; all time where it is not said")


class Accounts(msgspec.Struct, frozen=True):
    """The chart of accounts."""

    accounts: Sequence[Account]


class TrialBalance(msgspec.Struct, frozen=True):
    """What each account held when the month began, moved in it, and holds; in fen, debits above zero, credits below.

    `position` is how far the books are, in the log of finance. `balances`: debits are credits, and what the accounts
    hold makes nothing.
    """

    month: str
    position: int
    postings: int
    late: int
    rows: Sequence[Row]
    debit_fen: int
    credit_fen: int
    balances: bool


class PostingRow(msgspec.Struct, frozen=True):
    """One side of a booking: a debit where `amount_fen` is above zero, a credit below. `line` counts the postings of an
    event; `position` is the event's in the log of finance."""

    event_id: str
    line: int
    position: int
    type: str
    time: datetime
    day: str
    month: str
    order_id: str
    case_id: str
    account: str
    party: str
    amount_fen: int
    memo: str
    item: str
    channel_ref: str


class Sums(msgspec.Struct, frozen=True):
    """Something whose debits are not its credits: an event, an order or a day."""

    kind: str
    id: str
    excess_fen: int


class LedgerCheck(msgspec.Struct, frozen=True):
    """Whether debits are credits, by event, order, day and over all. `unbalanced` names the first that are not;
    `misposted` are orders with an event that contradicts itself, and so posts nothing."""

    position: int
    postings: int
    debit_fen: int
    credit_fen: int
    holds: bool
    unbalanced: Sequence[Sums]
    misposted: Sequence[str]


POSTINGS: Final = lists.Listing(
    table="postings",
    row=PostingRow,
    order=("position", "line"),
    filters={
        "order_id": Filter("order_id = ?"),
        "case_id": Filter("case_id = ?"),
        "account": Filter("account = ?"),
        "party": Filter("(party || '/') LIKE ? || '/%' ESCAPE '!'", pattern=True),
        "month": Filter("month = ?", Month),
        "day": Filter("day = ?"),
        "item": Filter("item = ?"),
        "type": Filter("type = ?"),
    },
)

#: What must balance for itself, and the column that tells one from another.
_BALANCED: Final[Mapping[str, str]] = {"event": "event_id", "order": "order_id", "day": "day"}
#: A correction balances as a whole, and may be about several orders.
_LEFT_OUT: Final[Mapping[str, str]] = {"order": " WHERE type <> 'correction.approved'"}
#: How many that do not are named.
_NAMED: Final = 20


class LedgerHttp:
    """Reads of the ledger; nothing is posted by hand, but for corrections."""

    def __init__(self, service: Service[AnyFile]) -> None:
        self._service = service

    def routes(self) -> list[web.RouteDef]:
        """Every route of the ledger."""
        return [
            web.get("/v1/ledger/accounts", self.read_accounts),
            web.get("/v1/ledger/trial-balance", self.read_trial_balance),
            web.get("/v1/ledger/postings", POSTINGS.handler(self._service, "What was posted, newest first", TAG)),
            web.get("/v1/ledger/check", self.check),
        ]

    @describe(Operation(summary="The chart of accounts", tag=TAG, answer=Accounts))
    async def read_accounts(self, _: web.Request) -> web.Response:
        """Codes and names of accounts, and what each holds."""
        return lists.json(Accounts(list(CHART.values())))

    @describe(
        Operation(
            summary="The trial balance of a month, or of all time",
            tag=TAG,
            answer=TrialBalance,
            query=(MONTH,),
            refusals=(422,),
        )
    )
    async def read_trial_balance(self, request: web.Request) -> web.Response:
        """What each account held, moved and holds."""
        month = asked_month(request)
        async with self._service.store.snapshot() as reads:
            position = await position_of(reads, self._service)
            report = await report_of(reads, await calendar(reads), month, position)
        debit_fen, credit_fen = report.debit_fen, report.credit_fen
        rows = [*map(trial_row, report.accounts)]
        balances = debit_fen == credit_fen and not sum(row.opening_fen for row in rows)
        return lists.json(
            TrialBalance(month, position, report.postings, report.late, rows, debit_fen, credit_fen, balances)
        )

    @describe(
        Operation(
            summary="Whether debits are credits: by event, order, day, and over all",
            description="Every posting is added up: on a long history it takes its time.",
            tag=TAG,
            answer=LedgerCheck,
        )
    )
    async def check(self, _: web.Request) -> web.Response:
        """Add all postings up, several ways."""
        async with self._service.store.snapshot() as reads:
            return lists.json(await _checked(reads, await position_of(reads, self._service)))


def trial_row(one: AccountSum) -> Row:
    """An account of a month as a trial balance has it."""
    return Row(one.account, one.party, one.opening_fen, one.debit_fen, one.credit_fen, one.closing_fen)


async def position_of(reads: Reads, service: Service[Any]) -> int:
    """How far the books are: the position in the log of finance up to which rows are written."""
    return await reads.checkpoint(Projector.name, service.name)


def asked_month(request: web.Request) -> str:
    """The month that a request asks for, empty for all time; raises `Refusal` `invalid`."""
    month = request.query.get("month", "")
    if "month" in request.query and not is_month(month):
        raise invalid("month", "month", "须为月份,如 2026-10", "must be a month, such as 2026-10")
    return month


async def _checked(reads: Reads, position: int) -> LedgerCheck:
    [sums] = await reads.query(
        "SELECT count(*) AS postings,"
        " CAST(coalesce(sum(CASE WHEN amount_fen > 0 THEN amount_fen ELSE 0 END), 0) AS BIGINT) AS debit_fen,"
        " CAST(coalesce(sum(CASE WHEN amount_fen < 0 THEN -amount_fen ELSE 0 END), 0) AS BIGINT) AS credit_fen"
        " FROM postings"
    )
    unbalanced: list[Sums] = []
    for kind, column in _BALANCED.items():
        rows = await reads.query(
            f"SELECT {column} AS id, CAST(sum(amount_fen) AS BIGINT) AS excess_fen FROM postings"
            f"{_LEFT_OUT.get(kind, '')} GROUP BY {column} HAVING sum(amount_fen) <> 0 ORDER BY {column} LIMIT ?",
            [_NAMED],
        )
        unbalanced += (Sums(kind, row["id"], row["excess_fen"]) for row in rows)
    misposted = await reads.query(
        "SELECT order_id FROM order_fact_view WHERE misposted <> 0 ORDER BY order_id LIMIT ?", [_NAMED]
    )
    return LedgerCheck(
        position=position,
        postings=sums["postings"],
        debit_fen=sums["debit_fen"],
        credit_fen=sums["credit_fen"],
        holds=sums["debit_fen"] == sums["credit_fen"] and not unbalanced and not misposted,
        unbalanced=unbalanced,
        misposted=[row["order_id"] for row in misposted],
    )

"""What a reconciliation reads: which bills there are, each day's postings and rows, and what explains the rest."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from services.finance.domain.books import BOOKS
from services.finance.reconciling.classifying import Known, Wanted
from services.finance.reconciling.items import (
    FEE,
    BillRow,
    OurPosting,
    day_of,
    ordinal,
    posting_order,
    reference_of,
    row_order,
)
from services.finance.reconciling.scope import Coverage, Scope
from services.kernel.event_store import Reads
from services.kernel.shop_time import shop_day
from services.kernel.views import utc

if TYPE_CHECKING:
    from services.finance.reconciliation import Request

#: Payment channels: where orders are called after one, their money goes through it.
PAY_CHANNELS: Final = ("alipay", "wechat")
#: References that are looked for at a time.
_PAGE: Final = 500

_POSTING: Final = "event_id, line, type, time, day, order_id, case_id, item, channel_ref"
_ROW: Final = (
    "row_key, kind, order_ref, refund_ref, channel_order_ref, channel_ref, amount_fen, fee_fen, currency, status,"
    " channel_status, occurred_at, day"
)
#: A row counts once its bill is taken in.
_TAKEN_IN: Final = "bill IN (SELECT bill FROM bill_view WHERE channel {} ? AND imported_at <= ?)"


class Inputs:
    """What one run compares, read from one snapshot."""

    def __init__(
        self,
        reads: Reads,
        scope: Scope,
        bills: tuple[str, ...],
        upto: "Upto",
        run: str,
        ours: "Ours",
    ) -> None:
        self.reads = reads
        self.scope = scope
        self.bills = bills
        self.position = upto.position
        self.run = run
        self._until = upto.time
        self._ours = ours

    async def postings(self, day: str) -> list[OurPosting]:
        """What we paid and got on a day."""
        return await self._postings("p.month = ? AND p.day = ?", [day[:7], day])

    async def postings_of(self, items: Sequence[str]) -> list[OurPosting]:
        """What we paid and got under these references, whenever it was."""
        return await self._postings(f"p.item IN ({_places(items)})", items)

    async def postings_of_orders(self, orders: Sequence[str]) -> list[OurPosting]:
        """What we paid and got in the run's days for these orders."""
        days = self.scope.days
        condition = f"p.order_id IN ({_places(orders)}) AND p.day >= ? AND p.day <= ?"
        return await self._postings(condition, [*orders, days[0], days[-1]])

    async def _postings(self, condition: str, params: Sequence[Any]) -> list[OurPosting]:
        ours = self._ours
        rows = await self.reads.query(
            f"SELECT {_POSTING}, {ours.sign} * amount_fen AS amount_fen FROM postings p"
            f" WHERE {ours.condition} AND {condition} AND p.position <= ?",
            [*ours.params, *params, self.position],
        )
        return [OurPosting(*row.values()) for row in rows]

    async def rows(self, day: str) -> list[BillRow]:
        """What the bills list of a day."""
        return await self._rows("day = ?", [day])

    async def rows_of(self, references: Sequence[str]) -> list[BillRow]:
        """What the bills list under these references of ours, whenever it was."""
        places = _places(references)
        return await self._rows(f"(refund_ref IN ({places}) OR order_ref IN ({places}))", [*references, *references])

    async def _rows(self, condition: str, params: Sequence[Any]) -> list[BillRow]:
        channel = self.scope.channel
        sql = f"SELECT {_ROW} FROM bill_row WHERE channel = ? AND {condition} AND {_TAKEN_IN.format('=')}"
        rows = await self.reads.query(sql, [channel, *params, channel, self._until])
        return [_row(*row.values()) for row in rows]

    async def elsewhere(self, references: Sequence[str]) -> set[str]:
        """Those of our references that are on the bill of another channel."""
        places = _places(references)
        rows = await self.reads.query(
            f"SELECT order_ref, refund_ref FROM bill_row WHERE (refund_ref IN ({places}) OR order_ref IN ({places}))"
            f" AND {_TAKEN_IN.format('<>')}",
            [*references, *references, self.scope.channel, self._until],
        )
        return {text for row in rows for text in row.values()} & set(references)


class Upto(NamedTuple):
    """How far the books are looked at: a position of their log, and when they last decided anything by then."""

    position: int
    time: str

    @property
    def day(self) -> str:
        """The day that the books have come to."""
        return shop_day(datetime.fromisoformat(self.time)) if self.time else ""


async def upto(reads: Reads, position: int) -> Upto:
    """How far the books are at a position. Every bill was decided about, so the time is behind that of the last one."""
    rows = await reads.query(
        "SELECT time FROM events WHERE stream = ? AND position <= ? ORDER BY version DESC LIMIT 1", [BOOKS, position]
    )
    return Upto(position, utc(datetime.fromisoformat(rows[0]["time"])) if rows else "")


async def inputs_of(
    reads: Reads, request: "Request", position: int, name: "Callable[[Request, Iterable[str], int], str]"
) -> Inputs:
    """What a run is made of, as the books stood at a position of their log. `name` says what the run is called."""
    channel, until = request.channel, await upto(reads, position)
    bills = await reads.query(
        "SELECT bill, kind, first_day, last_day FROM bill_view"
        " WHERE channel = ? AND first_day <= ? AND last_day >= ? AND imported_at <= ? ORDER BY bill",
        [channel, day_of(ordinal(request.last_day) + 1), day_of(ordinal(request.first_day) - 2), until.time],
    )
    spans: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for one in bills:
        spans[one["kind"].endswith("-trade")].append((one["first_day"], one["last_day"]))
    scope = Scope(
        channel=channel,
        first_day=request.first_day,
        last_day=request.last_day,
        books_day=until.day,
        trade=Coverage.of(spans[True]),
        fund=Coverage.of(spans[False]),
        lists_fees=await _lists_fees(reads, [one["bill"] for one in bills if not one["kind"].endswith("-trade")]),
    )
    used = tuple(one["bill"] for one in bills)
    return Inputs(reads, scope, used, until, name(request, used, position), ours_of(channel, request.order_channels))


class Ours(NamedTuple):
    """Which postings are ours of a channel: a condition on `postings p`, its values, and the sign with which they moved
    for the shop."""

    condition: str
    params: list[str]
    sign: int = 1


def ours_of(channel: str, order_channels: Sequence[str]) -> Ours:
    """What we paid and got through a channel: for orders of these channels; where none are named, for all but those
    that are called after another payment channel.

    The statement of a party (`courier/YTO`) is about what was collected from it.
    """
    if "/" in channel:
        return Ours("p.account = 'recoverable' AND p.type = 'loss.recovered' AND p.party = ?", [channel], -1)
    if order_channels:
        return Ours(f"p.account = 'channel' AND p.party IN ({_places(order_channels)})", [*order_channels])
    others = [other for other in PAY_CHANNELS if other != channel]
    return Ours(f"p.account = 'channel' AND p.party NOT IN ({_places(others)})", others)


async def _lists_fees(reads: Reads, bills: Sequence[str]) -> bool:
    if not bills:
        return False
    sql = f"SELECT 1 AS one FROM bill_row WHERE bill IN ({_places(bills)}) AND kind = ? LIMIT 1"
    return bool(await reads.query(sql, [*bills, FEE]))


async def looked_up(inputs: Inputs, wanted: Wanted) -> Known:
    """What is known of that which is open: by our references, wherever it is."""
    postings: dict[str, list[OurPosting]] = defaultdict(list)
    of_orders: dict[str, list[OurPosting]] = defaultdict(list)
    rows: dict[str, list[BillRow]] = defaultdict(list)
    elsewhere: set[str] = set()
    for page in _pages((*wanted.references, *wanted.items)):
        for posting in await inputs.postings_of(page):
            postings[posting.item].append(posting)
        for row in await inputs.rows_of(page):
            rows[reference_of(row)].append(row)
    for page in _pages(wanted.items):
        elsewhere |= await inputs.elsewhere(page)
    for page in _pages(wanted.orders):
        for posting in await inputs.postings_of_orders(page):
            of_orders[posting.order_id].append(posting)
    for own in (*postings.values(), *of_orders.values()):
        own.sort(key=posting_order)
    for listed in rows.values():
        listed.sort(key=row_order)
    return Known(postings, of_orders, rows, frozenset(elsewhere))


def _row(key: str, *columns: Any) -> BillRow:
    return BillRow(key, key.partition(":")[0].endswith("-trade"), *columns)


def _pages(names: Iterable[str]) -> Iterator[list[str]]:
    left = iter(dict.fromkeys(names))
    while page := list(islice(left, _PAGE)):
        yield page


def _places(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))

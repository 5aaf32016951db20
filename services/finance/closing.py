"""The report of a month: what is frozen when it is closed, and how it is made anew at any time, to the byte.

It follows from the log of finance up to a position and from nothing else: postings are rows of events that stand there,
and what else it counts are events of the books.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from contracts.event import type_of
from contracts.events import finance as f
from services.finance.domain.books import BOOKS
from services.finance.domain.periods import next_month
from services.finance.periods import Calendar
from services.kernel.event_store import EventStore, Reads
from services.kernel.proof import BrokenLink, Proven, Root, prove
from services.kernel.refusal import Refusal

#: The form of a report's lines: another form has another number.
FORM: Final = "aftersales.period.1"
#: What no order is known for.
_UNKNOWN: Final = "unknown"
_FIGURES: Final = ("opening_fen", "debit_fen", "credit_fen", "closing_fen")

#: The first month in which anything was posted: each table by its own index, which the view of both would not use.
_FIRST_MONTH: Final = """SELECT coalesce(min(month), '') AS month FROM
(SELECT min(month) AS month FROM posting_view UNION ALL SELECT min(month) FROM corrected_view) AS firsts"""

_encode = msgspec.json.Encoder(order="sorted").encode


class PeriodReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the books hold of a month, in fen. Amounts are debits above zero and credits below, but for `debit_fen` and
    `credit_fen`. `late` of its postings were made in months that were closed when they were heard of.

    `position` and `root` say up to where, in the log of finance; `root` is empty where nothing is frozen.
    """

    month: str
    position: int
    root: str
    postings: int
    late: int
    open_discrepancies: int
    waiting_corrections: int
    accounts: Sequence[f.AccountSum]

    @property
    def debit_fen(self) -> int:
        """All debits of the month."""
        return sum(one.debit_fen for one in self.accounts)

    @property
    def credit_fen(self) -> int:
        """All credits of the month."""
        return sum(one.credit_fen for one in self.accounts)

    @property
    def totals(self) -> Sequence[f.AccountSum]:
        """Each account over all that it is kept by."""
        codes = sorted({one.account for one in self.accounts})
        return [_sum(code, [one for one in self.accounts if one.account == code]) for code in codes]

    def lines(self) -> bytes:
        """The report as JSON Lines, always the same bytes for the same report: the month, each account with what it is
        kept by, each account as a whole, and all of them. Keys are sorted, and so are lines of one kind."""
        return b"".join(_encode(line) + b"\n" for line in self._lines())

    @property
    def sha256(self) -> str:
        """The hash of the lines."""
        return hashlib.sha256(self.lines()).hexdigest()

    def _lines(self) -> Iterator[Mapping[str, Any]]:
        yield {
            "line": "period",
            "form": FORM,
            "month": self.month,
            "position": self.position,
            "root": self.root,
            "postings": self.postings,
            "late": self.late,
            "open_discrepancies": self.open_discrepancies,
            "waiting_corrections": self.waiting_corrections,
        }
        for one in sorted(self.accounts, key=_key):
            yield {"line": "account", **msgspec.structs.asdict(one)}
        for one in self.totals:
            yield {"line": "total", **msgspec.structs.asdict(one)}
        yield {"line": "all", **msgspec.structs.asdict(_sum("", self.accounts))}


def _key(one: f.AccountSum) -> tuple[str, str]:
    return one.account, one.party


def _sum(account: str, accounts: Sequence[f.AccountSum]) -> f.AccountSum:
    sums = {figure: sum(getattr(one, figure) for one in accounts) for figure in _FIGURES}
    return f.AccountSum(account=account, **sums)


async def report_of(reads: Reads, calendar: Calendar, month: str, position: int, root: str = "") -> PeriodReport:
    """The report of a month, as the calendar has it, with what the books held up to a position of their log."""
    inside, before = calendar.inside(month), calendar.before(month)
    sql = (
        "SELECT account, party,"
        " CAST(sum(CASE WHEN earlier = 1 THEN amount_fen ELSE 0 END) AS BIGINT) AS opening_fen,"
        " CAST(sum(CASE WHEN earlier = 0 AND amount_fen > 0 THEN amount_fen ELSE 0 END) AS BIGINT) AS debit_fen,"
        " CAST(sum(CASE WHEN earlier = 0 AND amount_fen < 0 THEN -amount_fen ELSE 0 END) AS BIGINT) AS credit_fen,"
        " CAST(sum(1 - earlier) AS BIGINT) AS postings,"
        " CAST(sum(CASE WHEN earlier = 0 AND month < ? THEN 1 ELSE 0 END) AS BIGINT) AS late"
        " FROM (SELECT p.account, p.party, p.amount_fen, p.month,"
        f" CASE WHEN {before.sql} THEN 1 ELSE 0 END AS earlier FROM postings p"
        f" WHERE p.position <= ? AND (({before.sql}) OR ({inside.sql}))) AS moved"
        " GROUP BY account, party ORDER BY account, party"
    )
    rows = await reads.query(sql, [month, *before.params, position, *before.params, *inside.params])
    open_ = await _open(reads, position)
    return PeriodReport(
        month=month,
        position=position,
        root=root,
        postings=sum(row["postings"] for row in rows),
        late=sum(row["late"] for row in rows),
        open_discrepancies=open_.discrepancies,
        waiting_corrections=open_.corrections,
        accounts=[one for one in map(_account, rows) if one.opening_fen or one.debit_fen or one.credit_fen],
    )


def _account(row: Mapping[str, Any]) -> f.AccountSum:
    return f.AccountSum(
        account=row["account"],
        party=row["party"],
        opening_fen=row["opening_fen"],
        debit_fen=row["debit_fen"],
        credit_fen=row["credit_fen"],
        closing_fen=row["opening_fen"] + row["debit_fen"] - row["credit_fen"],
    )


class _Open(NamedTuple):
    """How much was not done with."""

    discrepancies: int
    corrections: int


#: What the events of the books add to it.
_OPENS: Final[Mapping[str, _Open]] = {
    type_of(f.DiscrepancyFound): _Open(1, 0),
    type_of(f.DiscrepancyClosed): _Open(-1, 0),
    type_of(f.CorrectionProposed): _Open(0, 1),
    type_of(f.CorrectionApproved): _Open(0, -1),
    type_of(f.CorrectionDeclined): _Open(0, -1),
}


async def _open(reads: Reads, position: int) -> _Open:
    """What was not done with as of a position."""
    sql = (
        "SELECT type, count(*) AS found FROM events"
        f" WHERE stream = ? AND position <= ? AND type IN ({', '.join('?' * len(_OPENS))}) GROUP BY type"
    )
    rows = await reads.query(sql, [BOOKS, position, *_OPENS])
    added = [(_OPENS[row["type"]], row["found"]) for row in rows]
    return _Open(
        sum(one.discrepancies * found for one, found in added), sum(one.corrections * found for one, found in added)
    )


# -- before a month is closed


class OpenMonth(NamedTuple):
    """An open month in which something was posted, and how much of it came too late for an earlier one."""

    month: str
    postings: int
    late: int


async def open_months(reads: Reads, closed: Sequence[tuple[str, int]]) -> Sequence[OpenMonth]:
    """The open months, in order. `closed`: the months that are, each with its position."""
    due = next_month(closed[-1][0]) if closed else ""
    frozen = Calendar(closed).before(due)
    sql = (
        "SELECT month, count(*) AS postings, CAST(sum(late) AS BIGINT) AS late"
        " FROM (SELECT CASE WHEN p.month < ? THEN ? ELSE p.month END AS month,"
        " CASE WHEN p.month < ? THEN 1 ELSE 0 END AS late"
        f" FROM postings p WHERE NOT ({frozen.sql})) AS kept GROUP BY month ORDER BY month"
    )
    return [OpenMonth(**row) for row in await reads.query(sql, [due, due, due, *frozen.params])]


class Draft(NamedTuple):
    """What a month would be closed with now. `first_month` is the first of all in which anything was posted, empty
    where nothing was; `unheard` how many orders have money posted and no channel known, `misposted` how many events
    contradict themselves and post nothing."""

    report: PeriodReport
    first_month: str
    unheard: int
    misposted: int


async def draft_of(reads: Reads, closed: Sequence[tuple[str, int]], month: str, position: int) -> Draft:
    """The report of an open month with what the books held up to a position of their log. `closed`: the months that
    are, each with its position."""
    [first] = await reads.query(_FIRST_MONTH)
    [unheard] = await reads.query(
        "SELECT count(DISTINCT p.order_id) AS orders FROM postings p"
        " WHERE p.account = 'channel' AND p.party = ? AND p.type <> ? AND p.month <= ?",
        [_UNKNOWN, type_of(f.CorrectionApproved), month],
    )
    [facts] = await reads.query("SELECT CAST(coalesce(sum(misposted), 0) AS BIGINT) AS misposted FROM order_fact_view")
    report = await report_of(reads, Calendar(closed), month, position)
    return Draft(report, first["month"], unheard["orders"], facts["misposted"])


async def root_at(store: EventStore, position: int) -> Root:
    """The root of a log as of a position; raises `Refusal` `log_broken` where the log up to there is not what was
    written."""
    proof = await prove(store, Proven.nothing(position))
    if proof.broken is not None:
        raise Refusal("log_broken", place=_place(proof.broken))
    return proof.roots[-1]


def _place(broken: BrokenLink) -> str:
    return f"{broken.stream}#{broken.version}" if broken.stream else str(broken.position)


# -- afterwards


class Difference(msgspec.Struct, frozen=True):
    """A figure that is not what was frozen: of an account (and what it is kept by), or of the month as a whole where
    `account` is empty."""

    account: str
    party: str
    figure: str
    frozen: int | str
    found: int | str


class PeriodCheck(msgspec.Struct, frozen=True):
    """Whether a closed month, made anew from the log, is what was frozen, to the byte. `report` and `root` are the
    frozen hashes, `found_report` and `found_root` those made anew; `found_root` is empty where the log is `broken`."""

    month: str
    position: int
    equal: bool
    report: str
    found_report: str
    root: str
    found_root: str
    differences: Sequence[Difference]
    broken: BrokenLink | None = None


async def frozen_report(reads: Reads, closed: f.PeriodClosed) -> PeriodReport:
    """The report of a closed month, of what was frozen."""
    open_ = await _open(reads, closed.position)
    return PeriodReport(
        month=closed.month,
        position=closed.position,
        root=closed.root,
        postings=closed.postings,
        late=closed.late,
        open_discrepancies=open_.discrepancies,
        waiting_corrections=open_.corrections,
        accounts=closed.accounts,
    )


async def check_of(store: EventStore, periods: Sequence[f.PeriodClosed], month: str) -> PeriodCheck:
    """Make a closed month anew, from the postings and the whole log up to where it was closed, and compare.

    `periods`: all that were closed, in order; KeyError for a month that was not.
    """
    closed = {one.month: one for one in periods}[month]
    proof = await prove(store, Proven.nothing(closed.position))
    root = "" if proof.broken else proof.roots[-1].hash
    calendar = Calendar((one.month, one.position) for one in periods)
    async with store.snapshot() as reads:
        found = await report_of(reads, calendar, month, closed.position, root)
        frozen = await frozen_report(reads, closed)
    return PeriodCheck(
        month,
        closed.position,
        found.sha256 == closed.report and root == closed.root,
        closed.report,
        found.sha256,
        closed.root,
        root,
        list(_differences(frozen, found)),
        proof.broken,
    )


def _differences(frozen: PeriodReport, found: PeriodReport) -> Iterator[Difference]:
    for figure in ("root", "postings", "late"):
        was, now = getattr(frozen, figure), getattr(found, figure)
        if was != now:
            yield Difference("", "", figure, was, now)
    ours, theirs = ({_key(one): one for one in report.accounts} for report in (frozen, found))
    for key in sorted({*ours, *theirs}):
        for figure in _FIGURES:
            was, now = (getattr(side[key], figure) if key in side else 0 for side in (ours, theirs))
            if was != now:
                yield Difference(*key, figure, was, now)

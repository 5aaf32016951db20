"""The tables that can be exported, by name: how each is asked of the read tables, page by page, and its columns."""

import bisect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from contracts.events.finance import AccountSum, Leg
from contracts.policy import Text
from services.finance.closing import report_of
from services.finance.domain.periods import next_month
from services.finance.exports.tables import Asked, Column, Export, Kind, Lang, Row, say
from services.finance.ledger.accounts import CHART
from services.finance.periods import Condition, calendar
from services.finance.statements.party import parties
from services.finance.statements.scope import AsAt, Scope, scope_of
from services.kernel.event_store import Reads
from services.kernel.shop_time import begin_of
from services.kernel.views import Projector, utc

#: Whose log the tables follow.
SOURCE: Final = "finance"
#: Rows of a page: what memory holds at a time.
PAGE_ROWS: Final = 1_000
#: Records of the log whose postings are read at a time. Most post nothing, or two to six lines.
STRETCH: Final = 1_000

Shown = Callable[[Mapping[str, Any]], Row]
T = TypeVar("T")


class Table(NamedTuple):
    """A table to export: its title, columns, and what makes it for a month (all time where it is empty)."""

    title: Text
    columns: Sequence[Column]
    make: Callable[["Wanted"], Awaitable[tuple[int, AsyncIterator[Sequence[Row]]]]]


class Wanted(NamedTuple):
    """What a table is made from: one state of the database, what of it, and the language that names are in."""

    reads: Reads
    scope: Scope
    lang: Lang


async def export_of(name: str, reads: Reads, month: str, now: datetime, lang: Lang) -> Export:
    """A table to export, as the read tables are now; `reads` must stay open while its pages are read. KeyError for a
    name that is not known; raises `Refusal` `invalid` for a month that has not begun."""
    table = TABLES[name]
    scope = await scope_now(reads, month, now)
    count, pages = await table.make(Wanted(reads, scope, lang))
    return Export(asked(name, table.title, scope, lang), table.columns, count, pages)


async def scope_now(reads: Reads, month: str, now: datetime) -> Scope:
    """A month, or all time, as the read tables have it. Raises `Refusal` `invalid` for one that has not begun."""
    return await scope_of(reads, month, AsAt(await reads.checkpoint(Projector.name, SOURCE), now))


def asked(name: str, title: Text, scope: Scope, lang: Lang) -> Asked:
    """What was asked for, as the export echoes it."""
    month = scope.month or say(_ALL_TIME, lang)
    return Asked(name, title, [(_MONTH, month)], scope.as_at.time, scope.as_at.position)


# -- pages of tables


async def _pages(
    reads: Reads, table: str, where: Condition, key: Sequence[str], show: Shown
) -> AsyncIterator[Sequence[Row]]:
    """The rows of a table that a condition holds for, in the order of its key."""
    columns, places = ", ".join(key), ", ".join("?" * len(key))
    after: list[Any] = []
    while True:
        behind = f" AND ({columns}) > ({places})" if after else ""
        sql = f"SELECT * FROM {table} WHERE {where.sql}{behind} ORDER BY {columns} LIMIT ?"
        rows = await reads.query(sql, [*where.params, *after, PAGE_ROWS])
        if rows:
            yield [show(row) for row in rows]
        if len(rows) < PAGE_ROWS:
            return
        after = [rows[-1][column] for column in key]


async def _paged(
    wanted: Wanted, table: str, where: Condition, key: Sequence[str], show: Shown
) -> tuple[int, AsyncIterator[Sequence[Row]]]:
    [counted] = await wanted.reads.query(f"SELECT COUNT(*) AS found FROM {table} WHERE {where.sql}", where.params)
    return int(counted["found"]), _pages(wanted.reads, table, where, key, show)


async def _whole(rows: Iterable[Row]) -> AsyncIterator[Sequence[Row]]:
    """A table that is short by its nature, as one page."""
    yield list(rows)


def _by_names(columns: Sequence[Column]) -> Shown:
    names = [column.name for column in columns]
    return lambda row: [_text(row[name]) for name in names]


def _text(value: Any) -> Any:
    return "" if value is None else value


# -- months


class Booking:
    """In which month a posting is booked: its own, or where that was closed before the books heard of it, the first
    that was open then."""

    def __init__(self, closed: Sequence[tuple[str, int]]) -> None:
        self._months = [month for month, _ in closed]
        self._positions = [position for _, position in closed]
        self._open = next_month(self._months[-1]) if closed else ""

    def month(self, month: str, position: int) -> str:
        """The month of a posting of this month that stands at this position of the log. Positions grow with months."""
        place = max(bisect.bisect_left(self._months, month), bisect.bisect_left(self._positions, position))
        return self._months[place] if place < len(self._months) else max(month, self._open)


async def booking(reads: Reads) -> Booking:
    """As months are closed now."""
    rows = await reads.query("SELECT month, position FROM period_view ORDER BY month")
    return Booking([(row["month"], row["position"]) for row in rows])


def _days_in(scope: Scope, column: str) -> Condition:
    """Days of the month."""
    if not scope.month:
        return _EVERYTHING
    first, next_first = f"{scope.month}-01", f"{next_month(scope.month)}-01"
    return Condition(f"{column} >= ? AND {column} < ?", [first, next_first])


def _times_in(scope: Scope, column: str) -> Condition:
    """Times of the month, by the shop's clock."""
    days = _days_in(scope, column)
    return Condition(days.sql, [utc(begin_of(day)) for day in days.params])


_EVERYTHING: Final = Condition("1 = 1", [])
_ALL_TIME: Final = Text(zh="全部", en="all time")
_MONTH: Final = Text(zh="月份", en="Month")


def _column(name: str, zh: str, en: str, kind: Kind = Kind.TEXT, *, summed: bool = False) -> Column:
    return Column(name, Text(zh=zh, en=en), kind, summed)


def _sum(name: str, zh: str, en: str) -> Column:
    return _column(name, zh, en, Kind.MONEY, summed=True)


_ACCOUNT: Final = _column("account", "科目代码", "Account")
_ACCOUNT_NAME: Final = _column("account_name", "科目", "Account name")
_PARTY: Final = _column("party", "对象", "Kept by")
_DAY: Final = _column("day", "日期", "Day", Kind.DAY)
_ORDER: Final = _column("order_id", "订单", "Order", Kind.ID)
_CASE: Final = _column("case_id", "售后单", "Case", Kind.ID)
_CHANNEL: Final = _column("channel", "渠道", "Channel")


def _account_name(account: str, lang: Lang) -> str:
    return say(CHART[account].name, lang)


# -- postings

_POSTINGS: Final = (
    _DAY,
    _column("time", "时间", "Time", Kind.TIME),
    _column("month", "记账月份", "Booked in"),
    _column("position", "日志位置", "Position", Kind.NUMBER),
    _column("event_id", "事件编号", "Event id", Kind.ID),
    _column("line", "行", "Line", Kind.NUMBER),
    _column("type", "事件", "Event"),
    _ORDER,
    _CASE,
    _ACCOUNT,
    _ACCOUNT_NAME,
    _PARTY,
    _sum("debit_fen", "借方", "Debit"),
    _sum("credit_fen", "贷方", "Credit"),
    _column("memo", "摘要", "Memo"),
    _column("item", "项目", "Item", Kind.ID),
    _column("channel_ref", "渠道流水号", "Channel's reference", Kind.ID),
)


async def _postings(wanted: Wanted) -> tuple[int, AsyncIterator[Sequence[Row]]]:
    booked = await booking(wanted.reads)

    def show(row: Mapping[str, Any]) -> Row:
        fen = row["amount_fen"]
        return (
            row["day"],
            row["time"],
            booked.month(row["month"], row["position"]),
            row["position"],
            row["event_id"],
            row["line"],
            row["type"],
            row["order_id"],
            row["case_id"],
            row["account"],
            _account_name(row["account"], wanted.lang),
            row["party"],
            max(fen, 0),
            max(-fen, 0),
            row["memo"],
            row["item"],
            row["channel_ref"],
        )

    return await postings(wanted.reads, wanted.scope, show)


async def postings(
    reads: Reads, scope: Scope, show: Callable[[Mapping[str, Any]], T]
) -> tuple[int, AsyncIterator[list[T]]]:
    """How many postings there are, and all of them as the books took them up, those of an event together."""
    within = _until(scope.within, scope.as_at.position)
    sql = (
        "SELECT COUNT(*) AS found, COALESCE(MIN(p.position), 0) AS first, COALESCE(MAX(p.position), 0) AS last"
        f" FROM postings p WHERE {within.sql}"
    )
    [there] = await reads.query(sql, within.params)
    return int(there["found"]), _stretches(reads, within, there["first"], there["last"], show)


def _until(within: Condition, position: int) -> Condition:
    """What the read tables are sure to have whole: single rows may be ahead of them."""
    return Condition(f"({within.sql}) AND p.position <= ?", [*within.params, position])


async def _stretches(
    reads: Reads, within: Condition, first: int, last: int, show: Callable[[Mapping[str, Any]], T]
) -> AsyncIterator[list[T]]:
    """Postings by stretches of the log: of two tables put together, no database finds the next thousand without sorting
    all that follow."""
    sql = (
        # The limit is never reached; it has the stretch found by position before anything else is asked of it.
        "SELECT * FROM (SELECT * FROM postings WHERE position >= ? AND position < ? LIMIT 1000000000) AS p"
        f" WHERE {within.sql} ORDER BY p.position, p.line"
    )
    for begin in range(first, last + 1, STRETCH):
        if rows := await reads.query(sql, [begin, begin + STRETCH, *within.params]):
            yield [show(row) for row in rows]


# -- balances and parties

_TRIAL: Final = (
    _ACCOUNT,
    _ACCOUNT_NAME,
    _PARTY,
    _sum("opening_fen", "期初", "Opening"),
    _sum("debit_fen", "借方", "Debit"),
    _sum("credit_fen", "贷方", "Credit"),
    _sum("closing_fen", "期末", "Closing"),
)


async def account_sums(reads: Reads, scope: Scope) -> Sequence[AccountSum]:
    """What each account held, moved and holds, in the order of the chart."""
    report = await report_of(reads, await calendar(reads), scope.month, scope.as_at.position)
    places = {code: place for place, code in enumerate(CHART)}
    return sorted(report.accounts, key=lambda one: (places[one.account], one.party))


async def _trial_balance(wanted: Wanted) -> tuple[int, AsyncIterator[Sequence[Row]]]:
    sums = await account_sums(wanted.reads, wanted.scope)
    rows = [
        (
            one.account,
            _account_name(one.account, wanted.lang),
            one.party,
            one.opening_fen,
            one.debit_fen,
            one.credit_fen,
            one.closing_fen,
        )
        for one in sums
    ]
    return len(rows), _whole(rows)


_PARTIES: Final = (
    _column("party", "责任方", "Party"),
    _sum("opening_fen", "期初", "Opening"),
    _sum("charged_fen", "承担", "Charged"),
    _sum("reversed_fen", "转由他方承担", "Reversed"),
    _sum("credited_fen", "冲减", "Credited"),
    _sum("recovered_fen", "追偿到账", "Recovered"),
    _sum("corrected_fen", "更正", "Corrected"),
    _sum("closing_fen", "期末", "Closing"),
    _sum("days_0_30_fen", "账龄 0–30 天", "Open 0–30 days"),
    _sum("days_31_60_fen", "账龄 31–60 天", "Open 31–60 days"),
    _sum("days_61_90_fen", "账龄 61–90 天", "Open 61–90 days"),
    _sum("over_90_days_fen", "账龄 90 天以上", "Open over 90 days"),
)


async def _parties(wanted: Wanted) -> tuple[int, AsyncIterator[Sequence[Row]]]:
    found = await parties(wanted.reads, wanted.scope)
    documents = [{**msgspec.structs.asdict(one), **msgspec.structs.asdict(one.ageing)} for one in found.parties]
    return len(documents), _whole(map(_by_names(_PARTIES), documents))


# -- what finance decided

_DISCREPANCIES: Final = (
    _column("discrepancy", "差异编号", "Discrepancy", Kind.ID),
    _column("kind", "类型", "Kind"),
    _CHANNEL,
    _DAY,
    _column("expected_fen", "应有", "Expected", Kind.MONEY, summed=True),
    _column("found_fen", "实有", "Found", Kind.MONEY, summed=True),
    _column("state", "状态", "State"),
    _column("owner", "负责人", "Owner"),
    _ORDER,
    _CASE,
    _column("run", "对账批次", "Run", Kind.ID),
    _column("rows", "账单行", "Rows of bills", Kind.ID),
    _column("events", "事件", "Events", Kind.ID),
    _column("found_at", "发现时间", "Found at", Kind.TIME),
    _column("closed_at", "关闭时间", "Closed at", Kind.TIME),
    _column("correction", "更正编号", "Correction", Kind.ID),
)


async def _discrepancies(wanted: Wanted) -> tuple[int, AsyncIterator[Sequence[Row]]]:
    where = _days_in(wanted.scope, "day")
    return await _paged(wanted, "discrepancy_view", where, ("discrepancy",), _by_names(_DISCREPANCIES))


_CORRECTIONS: Final = (
    _column("correction", "更正编号", "Correction", Kind.ID),
    _column("state", "状态", "State"),
    _column("reason", "原因", "Reason"),
    _sum("amount_fen", "借方合计", "Debits"),
    _column("legs", "分录", "Postings"),
    _column("discrepancies", "所关差异", "Discrepancies", Kind.ID),
    _column("proposed_by", "提出人", "Proposed by"),
    _column("proposed_at", "提出时间", "Proposed at", Kind.TIME),
    _column("decided_by", "复核人", "Decided by"),
    _column("decided_at", "复核时间", "Decided at", Kind.TIME),
    _column("answer", "不同意的理由", "Why it was declined"),
)


async def _corrections(wanted: Wanted) -> tuple[int, AsyncIterator[Sequence[Row]]]:
    by_names = _by_names(_CORRECTIONS)

    def show(row: Mapping[str, Any]) -> Row:
        named = ", ".join(msgspec.json.decode(row["discrepancies"], type=list[str]))
        return by_names({**row, "legs": _legs(row["legs"]), "discrepancies": named})

    where, key = _times_in(wanted.scope, "proposed_at"), ("proposed_at", "correction")
    return await _paged(wanted, "correction_view", where, key, show)


def _legs(legs: str) -> str:
    """Postings in one cell, as an accountant notes them: `losses/courier/YTO 12.00; bank -12.00`."""
    told = []
    for leg in msgspec.json.decode(legs, type=list[Leg]):
        place = f"{leg.account}/{leg.party}" if leg.party else leg.account
        sign, (whole, rest) = "-" if leg.amount_fen < 0 else "", divmod(abs(leg.amount_fen), 100)
        told.append(f"{place} {sign}{whole}.{rest:02d}")
    return "; ".join(told)


_BILLS: Final = (
    _column("bill", "账单编号", "Bill", Kind.ID),
    _column("file_name", "文件名", "File"),
    _column("kind", "种类", "Kind"),
    _CHANNEL,
    _column("merchant", "商户号", "Merchant", Kind.ID),
    _column("currency", "币种", "Currency"),
    _column("first_day", "首日", "First day", Kind.DAY),
    _column("last_day", "末日", "Last day", Kind.DAY),
    _column("row_count", "行数", "Rows", Kind.NUMBER),
    _column("known_rows", "已有行数", "Rows known before", Kind.NUMBER),
    _sum("in_fen", "收入", "In"),
    _sum("out_fen", "支出", "Out"),
    _sum("fee_fen", "手续费", "Fees"),
    _column("imported_at", "导入时间", "Imported at", Kind.TIME),
    _column("imported_by", "导入人", "Imported by"),
    _column("mapping", "列映射", "Mapping"),
)


async def _bills(wanted: Wanted) -> tuple[int, AsyncIterator[Sequence[Row]]]:
    """Those that have a day of the month."""
    where = _EVERYTHING
    if month := wanted.scope.month:
        where = Condition("first_day < ? AND last_day >= ?", [f"{next_month(month)}-01", f"{month}-01"])
    return await _paged(wanted, "bill_view", where, ("imported_at", "bill"), _by_names(_BILLS))


_CLAIMS: Final = (
    _CASE,
    _ORDER,
    _column("payer", "投保方", "Insured by"),
    _column("state", "状态", "State"),
    _column("filed_at", "报案时间", "Filed at", Kind.TIME),
    _column("answered_at", "答复时间", "Answered at", Kind.TIME),
    _column("cover_fen", "保额", "Cover", Kind.MONEY),
    _column("payments", "赔付次数", "Payments", Kind.NUMBER),
    _sum("paid_fen", "赔付", "Paid"),
    _sum("freight_fen", "应返运费", "Freight owed"),
    _sum("deducted_fen", "已扣", "Deducted"),
    _sum("lost_fen", "多付", "Lost to the shop"),
    _column("difference", "差异", "Difference"),
)


async def _claims(wanted: Wanted) -> tuple[int, AsyncIterator[Sequence[Row]]]:
    """Those that were filed or answered in the month."""
    filed, answered = _times_in(wanted.scope, "filed_at"), _times_in(wanted.scope, "answered_at")
    where = Condition(f"(({filed.sql}) OR ({answered.sql}))", [*filed.params, *answered.params])
    return await _paged(wanted, "insurance_view", where, ("case_id",), _by_names(_CLAIMS))


def _title(zh: str, en: str) -> Text:
    return Text(zh=zh, en=en)


#: What can be exported as a table.
TABLES: Final[Mapping[str, Table]] = {
    "postings": Table(_title("分录", "Postings"), _POSTINGS, _postings),
    "trial-balance": Table(_title("试算平衡表", "Trial balance"), _TRIAL, _trial_balance),
    "parties": Table(_title("责任方对账单", "Statement by party"), _PARTIES, _parties),
    "discrepancies": Table(_title("对账差异", "Discrepancies"), _DISCREPANCIES, _discrepancies),
    "corrections": Table(_title("更正", "Corrections"), _CORRECTIONS, _corrections),
    "bills": Table(_title("账单", "Bills"), _BILLS, _bills),
    "insurance-claims": Table(_title("运费险理赔", "Freight-insurance claims"), _CLAIMS, _claims),
}

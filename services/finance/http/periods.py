"""Months over HTTP: which are closed, what one holds, preparing and closing it, and whether it still is what was
frozen."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec
from aiohttp import web

from contracts.policy import Policy, Text
from services.finance.closing import (
    Draft,
    OpenMonth,
    PeriodCheck,
    PeriodReport,
    check_of,
    draft_of,
    frozen_report,
    open_months,
    root_at,
)
from services.finance.covered import not_reconciled
from services.finance.domain.books import Books
from services.finance.domain.periods import (
    COMMANDS,
    Closed,
    Figures,
    FrozenFigures,
    Periods,
    Prepared,
    check_due,
    check_prepared,
    check_sums,
    next_month,
)
from services.finance.http.actions import BooksAction, tried
from services.finance.http.commands import books_command
from services.finance.http.ledger import position_of, trial_row
from services.finance.ledger.trial import Row, is_month
from services.finance.reading import reading_books
from services.kernel.actor import Actor
from services.kernel.decider import Context
from services.kernel.event_store import StoreUnavailable
from services.kernel.freshness import WrittenElsewhere
from services.kernel.http import lists
from services.kernel.http.app import actor_of
from services.kernel.http.commands import CommandAnswer, CommandDesk
from services.kernel.http.openapi import Operation, Parameter, command, describe
from services.kernel.intake import Unfit, field_errors, wrong_fields
from services.kernel.refusal import Refusal, invalid
from services.kernel.service import Service

#: What the border adds up, and nobody may say.
_FIGURES: Final = "figures"
JSON_LINES: Final = "application/x-ndjson"

EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "prepare_period": {"month": "2026-10"},
    "close_period": {"month": "2026-10"},
}
#: What stands in for hashes of a report that is not frozen yet.
_NO_HASH: Final = "0" * 64

_WAIT: Final = Parameter(
    "wait", Literal["true", "false"], "true: with everything that was committed before the request"
)
_FORMAT: Final = Parameter(
    "format", Literal["json", "jsonl"], "jsonl: the very bytes whose SHA-256 was frozen; of a closed month only"
)

#: What does not keep a month from being closed, and should be known before it is; `{count}` times.
_WARNINGS: Final[Mapping[str, Text]] = {
    "open_discrepancies": Text(
        zh="各月合计还有 {count} 项对账差异未处理,报告会写明。可先以更正处理。",
        en="Discrepancies that are open, of all months: {count}. The report says so; corrections close them.",
    ),
    "waiting_corrections": Text(
        zh="还有 {count} 笔更正待批准。更正在批准之日入账,不会进入本月。",
        en="Corrections that wait for approval: {count}. They are posted on the day of their approval, not in this"
        " month.",
    ),
    "misposted_events": Text(
        zh="有 {count} 个事件自相矛盾,未入账。核对总账可看到是哪些。",
        en="Events that contradict themselves and post nothing: {count}. A check of the ledger shows which.",
    ),
    "late_postings": Text(
        zh="有 {count} 笔分录属于已结账的月份,迟到后计入本月。",
        en="Postings of months that were closed already, late and counted in this one: {count}.",
    ),
}


class PeriodRow(msgspec.Struct, frozen=True, kw_only=True):
    """A month in a list. `late` of its postings were made in months that were closed when they were heard of; what is
    said of how it was prepared and closed is empty while it is not."""

    month: str
    state: Literal["open", "closed"]
    postings: int
    late: int
    position: int = 0
    root: str = ""
    report: str = ""
    prepared_at: datetime | None = None
    prepared_by: str = ""
    closed_at: datetime | None = None
    closed_by: str = ""


class PeriodList(msgspec.Struct, frozen=True):
    """All closed months, and the open ones in which something was posted; the newest first."""

    items: Sequence[PeriodRow]


class Said(msgspec.Struct, frozen=True):
    """Something to be known about a month, as a code and in words."""

    code: str
    zh: str
    en: str


class PeriodDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The report of a month, in fen: of a closed one as it was frozen, of an open one as it would be closed now.
    Openings and closings are debits above zero and credits below.

    `position` and `root`: up to where in the log of finance. `report` is the SHA-256 of its lines (`format=jsonl`);
    like the root, it is empty while the month is open. `totals` are accounts over all that they are kept by.
    `obstacles` keep an open month from being prepared and closed, whoever asks; `warnings` do not. `prepared_by` is
    who found it ready; another person closes it. `next_actions`: which of the two commands an open month takes now from
    the person who asks.
    """

    month: str
    state: Literal["open", "closed"]
    position: int
    root: str
    report: str
    prepared_at: datetime | None
    prepared_by: str
    closed_at: datetime | None
    closed_by: str
    postings: int
    late: int
    open_discrepancies: int
    waiting_corrections: int
    debit_fen: int
    credit_fen: int
    accounts: Sequence[Row]
    totals: Sequence[Row]
    obstacles: Sequence[Said]
    warnings: Sequence[Said]
    next_actions: Sequence[BooksAction]


class _Now(NamedTuple):
    """A month as it would be closed at this moment."""

    draft: Draft
    cut_off_at: datetime

    @property
    def figures(self) -> dict[str, Any]:
        """What it is prepared with."""
        report = self.draft.report
        return {
            "position": report.position,
            "postings": report.postings,
            "late": report.late,
            "accounts": tuple(report.accounts),
            "first_month": self.draft.first_month,
        }


class PeriodsHttp:
    """Months of the books."""

    def __init__(self, service: Service[Any], policy: Policy) -> None:
        self._service = service
        self._policy = policy
        self._desk = CommandDesk(service, policy, self._prepare)

    def routes(self) -> list[web.RouteDef]:
        """Every route of this subject."""
        return [
            web.get("/v1/periods", self.list_periods),
            web.get("/v1/periods/{month}/report", self.read_report),
            web.get("/v1/periods/{month}/check", self.check_period),
            web.post("/v1/periods/{month}/prepare", self._command("prepare_period")),
            web.post("/v1/periods/{month}/close", self._command("close_period")),
        ]

    # -- preparing and closing

    def _command(self, name: str) -> Any:
        """The handler of a command about a month, which its address names."""
        hidden = frozenset({_FIGURES})
        told = command(self._policy, name, COMMANDS[name], CommandAnswer, "finance", EXAMPLES[name], hidden=hidden)
        return books_command(self._desk, name, told)

    async def _prepare(self, command: str, body: dict[str, Any]) -> dict[str, Any]:
        """Complete a command with what the books hold of the month, which no sender may say."""
        closes = command == "close_period"
        said = {name: value for name, value in body.items() if name != _FIGURES}
        errors = field_errors(COMMANDS[command].body, said)
        if _FIGURES in body:
            errors += invalid(_FIGURES, "known_field", "没有这个字段", "is not a field of this command").errors
        if errors:
            raise wrong_fields(errors)
        month, periods = body["month"], await self._periods()
        check_due(periods, month, month, self._service.clock.now())  # as far as is known without adding anything up
        now = await self._now(periods, month, await self._heard())
        report = now.draft.report
        check_due(periods, month, now.draft.first_month, now.cut_off_at)
        for refusal in _unsound(now.draft, periods):
            raise refusal
        if not closes:
            return {**body, _FIGURES: msgspec.to_builtins(Figures(**now.figures))}
        check_prepared(periods, month)  # before the whole log is proven
        root = (await root_at(self._service.store, report.position)).hash
        frozen = msgspec.structs.replace(report, root=root).sha256
        figures = FrozenFigures(
            **now.figures,
            root=root,
            report=frozen,
            cut_off_at=now.cut_off_at,
            misposted=now.draft.misposted,
            unreconciled=tuple(await not_reconciled(self._service.store, month)),
        )
        return {**body, _FIGURES: msgspec.to_builtins(figures)}

    async def _heard(self) -> int:
        """Wait until finance has heard the others and its read tables say so; the position of its log by then. (Where
        another process hears, nobody can tell what is still on its way: that comes late, into the next month.)

        Raises `StoreUnavailable`, as `TablesStandStill` where waiting longer is of no use.
        """
        service = self._service
        fresh = service.freshness or WrittenElsewhere(service.store, service.projector.name, service.name)
        try:
            await fresh.heard()
            position = await service.store.head_position()
            await fresh.views_caught_up()
        except TimeoutError:
            raise StoreUnavailable("finance has not heard all that the other services committed") from None
        return position

    async def _now(self, periods: Periods, month: str, at_least: int = 0) -> _Now:
        """A month up to where the read tables stand. Raises `StoreUnavailable` where that is before `at_least`."""
        cut_off_at = self._service.clock.now()
        async with self._service.store.snapshot() as reads:
            position = await position_of(reads, self._service)
            if position < at_least:
                raise StoreUnavailable(f"the read tables stand still at {position}, before {at_least}")
            return _Now(await draft_of(reads, periods.positions, month, position), cut_off_at)

    async def _periods(self) -> Periods:
        async with reading_books(self._service) as (books, _):
            return Periods(books.periods.closed, books.periods.prepared)

    # -- reading

    @describe(
        Operation(
            summary="Months, closed and open, newest first",
            tag="finance",
            answer=PeriodList,
            query=(_WAIT,),
            refusals=(422,),
        )
    )
    async def list_periods(self, request: web.Request) -> web.Response:
        """All months of the books."""
        await self._waited(request)
        periods = await self._periods()
        still_open = await open_months(self._service.store, periods.positions)
        rows = [
            *map(_closed_row, periods.closed.values()),
            *(_open_row(one, periods.prepared_of(one.month)) for one in still_open),
        ]
        return lists.json(PeriodList(sorted(rows, key=lambda row: row.month, reverse=True)))

    @describe(
        Operation(
            summary="The report of a month: as it was frozen, or of an open month as it would be closed now",
            tag="finance",
            answer=PeriodDocument,
            query=(_FORMAT, _WAIT),
            refusals=(409, 422),
        )
    )
    async def read_report(self, request: web.Request) -> web.Response:
        """What a month holds, account by account."""
        asked = await self._waited(request, "format")
        month, periods = _month_of(request), await self._periods()
        closed = periods.closed.get(month)
        if asked.get("format") == "jsonl":
            report = await frozen_report(self._service.store, _must_be_closed(closed, month).event)
            return web.Response(body=report.lines(), content_type=JSON_LINES)
        if closed is None:
            unreconciled = await not_reconciled(self._service.store, month)
            now = await self._now(periods, month)
            return lists.json(self._open_document(now, periods, unreconciled, actor_of(request)))
        return lists.json(self._closed_document(await frozen_report(self._service.store, closed.event), closed))

    @describe(
        Operation(
            summary="Whether a closed month, made anew from the log, is what was frozen",
            description="It reads the whole log of finance up to where the month was closed: on a long one it takes its"
            " time.",
            tag="finance",
            answer=PeriodCheck,
            refusals=(409, 422),
        )
    )
    async def check_period(self, request: web.Request) -> web.Response:
        """Make a closed month anew and compare it with what was frozen."""
        month, periods = _month_of(request), await self._periods()
        _must_be_closed(periods.closed.get(month), month)
        events = [one.event for one in periods.closed.values()]
        return lists.json(await check_of(self._service.store, events, month))

    async def _waited(self, request: web.Request, *known: str) -> dict[str, str]:
        """The parameters of a request, after the wait that they ask for. Raises `Refusal`."""
        asked = dict(lists.parameters(request, [*known, "wait"]))
        lists.check_wait(asked)
        if asked.get("format", "json") not in ("json", "jsonl"):
            raise invalid("format", "one_of", "只能是 json 或 jsonl", "must be json or jsonl")
        if asked.get("wait") == "true":
            await self._service.views_caught_up()
        return asked

    def _closed_document(self, report: PeriodReport, closed: Closed) -> PeriodDocument:
        return _document(
            report,
            state="closed",
            report=closed.event.report,
            **_preparation(closed.prepared),
            closed_at=closed.at,
            closed_by=closed.by,
            obstacles=[],
            warnings=[
                *_warnings(report, closed.event.misposted),
                *_unreconciled(closed.event.unreconciled, closed=True),
            ],
            next_actions=[],
        )

    def _open_document(self, now: _Now, periods: Periods, unreconciled: Sequence[str], who: Actor) -> PeriodDocument:
        refusals = [*_undue(periods, now), *_unsound(now.draft, periods)]
        texts = [(one.code, self._policy.refusal_text(one.code, one.params)) for one in refusals]
        return _document(
            now.draft.report,
            state="open",
            report="",
            **_preparation(periods.prepared_of(now.draft.report.month)),
            closed_at=None,
            closed_by="",
            obstacles=[Said(code, text.zh, text.en) for code, text in texts],
            warnings=[*_warnings(now.draft.report, now.draft.misposted), *_unreconciled(unreconciled)],
            next_actions=[self._tried(name, now, periods, refusals, who) for name in COMMANDS],
        )

    def _tried(
        self, command: str, now: _Now, periods: Periods, obstacles: Sequence[Refusal], who: Actor
    ) -> BooksAction:
        """Whether somebody could give a command about an open month now: its own rules are asked."""
        said = {"month": now.draft.report.month, _FIGURES: now.figures}
        if command == "close_period":
            said[_FIGURES] = now.figures | {"root": _NO_HASH, "report": _NO_HASH, "cut_off_at": now.cut_off_at}
        body = Unfit(obstacles[0], said) if obstacles else said
        books = Books()
        books.periods = periods
        return tried(self._service, self._policy, books, command, body, Context(now.cut_off_at, who))


def _undue(periods: Periods, now: _Now) -> Iterator[Refusal]:
    """Why a month cannot be closed yet."""
    try:
        check_due(periods, now.draft.report.month, now.draft.first_month, now.cut_off_at)
    except Refusal as refusal:
        yield refusal


def _unsound(draft: Draft, periods: Periods) -> Iterator[Refusal]:
    """What in the books does not let a month be closed."""
    if draft.unheard:
        yield Refusal("orders_unheard", month=draft.report.month, count=draft.unheard)
    last = periods.last
    follows = last is not None and draft.report.month == next_month(last.month)
    try:
        check_sums(draft.report.accounts, last if follows else None)
    except Refusal as refusal:
        yield refusal


def _preparation(prepared: Prepared | None) -> dict[str, Any]:
    return {
        "prepared_at": prepared.at if prepared is not None else None,
        "prepared_by": prepared.by if prepared is not None else "",
    }


def _document(report: PeriodReport, /, **said: Any) -> PeriodDocument:
    own = msgspec.structs.asdict(report) | {"debit_fen": report.debit_fen, "credit_fen": report.credit_fen}
    own |= {"accounts": [*map(trial_row, report.accounts)], "totals": [*map(trial_row, report.totals)]}
    return PeriodDocument(**own, **said)


def _warnings(report: PeriodReport, misposted: int = 0) -> Iterator[Said]:
    counts = {
        "open_discrepancies": report.open_discrepancies,
        "waiting_corrections": report.waiting_corrections,
        "misposted_events": misposted,
        "late_postings": report.late,
    }
    for code, count in counts.items():
        if count:
            text = _WARNINGS[code]
            yield Said(code, text.zh.format(count=count), text.en.format(count=count))


def _unreconciled(channels: Sequence[str], *, closed: bool = False) -> Iterator[Said]:
    if channels:
        names = ", ".join(channels)
        zh, en = f"本月尚未对账的渠道:{names}。", f"Channels that this month was not reconciled with: {names}."
        if closed:
            zh, en = f"结账时{zh}", f"When it was closed: {en}"
        else:
            zh, en = f"{zh}请先导入账单并对账。", f"{en} Import their bills and reconcile them first."
        yield Said("not_reconciled", zh, en)


def _closed_row(closed: Closed) -> PeriodRow:
    event = closed.event
    return PeriodRow(
        month=event.month,
        state="closed",
        postings=event.postings,
        late=event.late,
        position=event.position,
        root=event.root,
        report=event.report,
        **_preparation(closed.prepared),
        closed_at=closed.at,
        closed_by=closed.by,
    )


def _open_row(one: OpenMonth, prepared: Prepared | None) -> PeriodRow:
    said = _preparation(prepared)
    return PeriodRow(month=one.month, state="open", postings=one.postings, late=one.late, **said)


def _month_of(request: web.Request) -> str:
    """The month that an address names; raises `Refusal` for what is none."""
    month = request.match_info["month"]
    if not is_month(month):
        raise invalid("month", "month", "须为月份,如 2026-10", "must be a month, as 2026-10")
    return month


def _must_be_closed(closed: Closed | None, month: str) -> Closed:
    if closed is None:
        raise Refusal("period_open", month=month)
    return closed

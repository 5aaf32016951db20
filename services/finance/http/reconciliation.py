"""Reconciliations and discrepancies over HTTP: made, listed, assigned; what a discrepancy is about, side by side."""

from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import date, datetime
from typing import Any, Final, Literal

import msgspec
from aiohttp import web

from contracts.policy import Policy
from services.finance.discrepancy_document import Billed, Posted, bills_say, books_say
from services.finance.domain.books import BOOKS
from services.finance.domain.discrepancies import COMMANDS as OF_DISCREPANCIES
from services.finance.domain.discrepancies import not_known
from services.finance.domain.runs import COMMANDS as OF_RUNS
from services.finance.domain.runs import Found, Made, Reconcile, raised
from services.finance.http.commands import books_command
from services.finance.reading import reading_books
from services.finance.reconciliation import Reconciler, Reconciliation, Request
from services.finance.reconciliation_totals import DayTotals, totals_of
from services.finance.reconciling.outcome import Kind
from services.finance.statements.ageing import age_of
from services.finance.views import discrepancies as discrepancy_views
from services.finance.views import runs as run_views
from services.kernel.event_store import StoreUnavailable
from services.kernel.files import Origin
from services.kernel.http import lists
from services.kernel.http.app import actor_of
from services.kernel.http.commands import CommandAnswer, CommandDesk, Target
from services.kernel.http.lists import Filter
from services.kernel.http.openapi import Operation, Parameter, command, describe
from services.kernel.http.trace import TRACE_ID
from services.kernel.intake import field_errors, parse, wrong_fields
from services.kernel.refusal import Refusal, invalid
from services.kernel.service import Service
from services.kernel.shop_time import shop_day

TAG: Final = "finance"
_ASSIGN: Final = "assign_discrepancy"
#: What the border finds out, and nobody may say.
_MADE: Final = "made"
#: Discrepancies that are raised at a time.
_CHUNK: Final = 500
#: Who asked for the run that is being made, and in which trace.
_ORIGIN: Final[ContextVar[Origin]] = ContextVar("origin")
#: The longest period of one run.
_DAYS_MOST: Final = 400

EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "reconcile": {"channel": "wechat", "first_day": "2026-10-01", "last_day": "2026-10-31"},
    "assign_discrepancy": {"discrepancy": "D-1f6c3b0a9d2e4f5a", "owner": "小周"},
}


class RunRow(msgspec.Struct, frozen=True):
    """A reconciliation: what was compared (`position`: up to where in the log of finance), and what it came to.
    `result` is the SHA-256 of all of it, which the same bills and events always give."""

    run: str
    channel: str
    first_day: str
    last_day: str
    bills: Sequence[str]
    order_channels: Sequence[str]
    position: int
    matched: int
    carried: int
    discrepancies: int
    result: str
    made_at: datetime
    made_by: str


class RunDocument(RunRow, frozen=True):
    """A reconciliation with the totals of its days, as they stand now, and its discrepancies by kind and state."""

    days: Sequence[DayTotals] = ()
    found: Mapping[str, Mapping[str, int]] = {}


class RunCheck(msgspec.Struct, frozen=True):
    """Whether a reconciliation, made anew from the same bills and events, comes to the same, to the byte."""

    run: str
    result: str
    made_again: str
    same: bool


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a reconciliation would come to: nothing is noted. `found` are discrepancies, `new` of which are not raised
    yet; `postings` and `rows` say how many ended as what."""

    channel: str
    first_day: str
    last_day: str
    bills: Sequence[str]
    position: int
    result: str
    matched: int
    carried: int
    discrepancies: int
    postings: Mapping[str, int]
    rows: Mapping[str, int]
    by_rule: Mapping[str, int]
    by_kind: Mapping[str, int]
    new: int
    found: Sequence[Found]


class DiscrepancyRow(msgspec.Struct, frozen=True):
    """Something that does not agree: `expected_fen` is ours, `found_fen` the bill's. `owner` is a role until somebody
    is named; `age_days` counts from `day`. `rows` are keys of rows of bills, `events` ids of events."""

    discrepancy: str
    kind: str
    channel: str
    day: str
    expected_fen: int
    found_fen: int
    state: Literal["open", "closed"]
    owner: str
    run: str
    order_id: str
    case_id: str
    rows: Sequence[str]
    events: Sequence[str]
    found_at: datetime
    closed_at: datetime | None
    correction: str
    age_days: int


class DiscrepancyDocument(DiscrepancyRow, frozen=True):
    """A discrepancy with what the bills say on one side and what events posted on the other."""

    bills_say: Sequence[Billed] = ()
    books_say: Sequence[Posted] = ()


class OpenKind(msgspec.Struct, frozen=True):
    """Open discrepancies of a kind: how many, since which day, and what they sum to, ours and the bills'."""

    kind: str
    discrepancies: int
    oldest_day: str
    age_days: int
    expected_fen: int
    found_fen: int


class OpenKinds(msgspec.Struct, frozen=True):
    """Open discrepancies by kind, the oldest first."""

    items: Sequence[OpenKind]


def _run_shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, **{name: msgspec.json.decode(row[name]) for name in ("bills", "order_channels")}}


def _discrepancy_shown(now: datetime, row: Mapping[str, Any]) -> dict[str, Any]:
    lists_of = {name: msgspec.json.decode(row[name]) for name in ("rows", "events")}
    end = datetime.fromisoformat(row["closed_at"]) if row["closed_at"] else now
    age_days = age_of(row["day"], shop_day(end))
    return {**row, **lists_of, "closed_at": row["closed_at"] or None, "age_days": age_days}


RUNS: Final = lists.Listing(
    table="run_view",
    row=RunRow,
    order=("made_at", "run"),
    filters={"channel": Filter("channel = ?")},
    present=_run_shown,
)
_KIND: Any = Literal[tuple(kind.value for kind in Kind)]
_FILTERS: Final = {
    "kind": Filter("kind = ?", _KIND),
    "state": Filter("state = ?", Literal["open", "closed"]),
    "channel": Filter("channel = ?"),
    "owner": Filter("owner = ?"),
    "order_id": Filter("order_id = ?"),
    "case_id": Filter("case_id = ?"),
    "run": Filter("run = ?"),
    "day": Filter("day = ?"),
}


class ReconciliationHttp:
    """Reconciliations and discrepancies."""

    def __init__(self, service: Service[Any], policy: Policy) -> None:
        self._service = service
        self._policy = policy
        self._reconciler = Reconciler(service)
        self._desk = CommandDesk(service, policy, self._prepare)
        self._discrepancies = lists.Listing(
            table="discrepancy_view",
            row=DiscrepancyRow,
            order=("found_at", "discrepancy"),
            filters=_FILTERS,
            present=lambda row: _discrepancy_shown(service.clock.now(), row),
        )

    def routes(self) -> list[web.RouteDef]:
        """Every route of this subject."""
        every = self._discrepancies.handler(self._service, "Discrepancies, newest first", TAG)
        return [
            web.post("/v1/reconciliations", self._reconcile()),
            web.get("/v1/reconciliations", RUNS.handler(self._service, "Reconciliations, newest first", TAG)),
            web.get("/v1/reconciliations/preview", self.preview),
            web.get("/v1/reconciliations/{run}", self.read_run),
            web.get("/v1/reconciliations/{run}/check", self.check_run),
            web.get("/v1/discrepancies", every),
            web.get("/v1/discrepancies/open-kinds", self.read_open_kinds),
            web.get("/v1/discrepancies/{discrepancy}", self.read_discrepancy),
            web.post(
                "/v1/discrepancies/{discrepancy}/assign",
                books_command(self._desk, _ASSIGN, self._told(_ASSIGN, OF_DISCREPANCIES)),
            ),
        ]

    def _told(self, name: str, specs: Any, hidden: frozenset[str] = frozenset()) -> Operation:
        """A command's description."""
        return command(self._policy, name, specs[name], CommandAnswer, TAG, EXAMPLES[name], hidden=hidden)

    # -- reconciling

    def _reconcile(self) -> Any:
        """The handler that compares, notes what agrees, and raises what does not."""

        @describe(self._told("reconcile", OF_RUNS, frozenset({_MADE})))
        async def reconcile(request: web.Request) -> web.Response:
            _ORIGIN.set(Origin(actor_of(request), request[TRACE_ID]))
            return await self._desk.take(request, "reconcile", lambda _: Target(BOOKS))

        return reconcile

    async def _prepare(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Complete the command with what the comparison came to. Whoever may not give it is told so without one."""
        if name != "reconcile":
            return body
        said = {name: value for name, value in body.items() if name != _MADE}
        errors = field_errors(Reconcile, said)
        if _MADE in body:
            errors += invalid(_MADE, "known_field", "没有这个字段", "is not a field of this command").errors
        if errors:
            raise wrong_fields(errors)
        origin = _ORIGIN.get()
        if origin.actor.role not in OF_RUNS["reconcile"].roles:
            return body
        asked = _request(parse(Reconcile, said))
        await self._heard()
        done = await self._reconciler.make(asked)
        found = await self._new(done)
        while len(found) > _CHUNK:
            page, found = found[:_CHUNK], found[_CHUNK:]
            await self._raise(page, done.run, origin)
        made = Made(
            run=done.run,
            bills=done.bills,
            position=done.position,
            matched=done.tally.matches,
            carried=done.tally.carried,
            discrepancies=done.tally.discrepancies,
            result=done.result,
            found=tuple(found),
        )
        return {**said, _MADE: msgspec.to_builtins(made)}

    async def _heard(self) -> None:
        """Wait until finance has heard the others and its read tables say so. Raises `StoreUnavailable`."""
        try:
            await self._service.heard()
        except TimeoutError:
            raise StoreUnavailable("finance has not heard all that the other services committed") from None
        await self._service.views_caught_up()

    async def _new(self, done: Reconciliation) -> list[Found]:
        """Those discrepancies that the books do not know."""
        async with reading_books(self._service) as (books, _):
            return [_given(one) for one in not_known(books.discrepancies, done.found)]

    async def _raise(self, found: Sequence[Found], run: str, origin: Origin) -> None:
        await self._service.files.record(
            BOOKS, lambda file, _: [raised(one, run) for one in not_known(file.discrepancies, found)], origin
        )

    @describe(
        Operation(
            summary="What a reconciliation would come to, now",
            tag=TAG,
            answer=Preview,
            query=(
                Parameter("channel", str, "As on bills: wechat, alipay, or as a mapping says"),
                Parameter("first_day", str, "2026-10-01"),
                Parameter("last_day", str, "2026-10-31"),
                Parameter("order_channels", str, "Of which orders the money goes through it, parted by commas"),
            ),
            refusals=(422,),
        )
    )
    async def preview(self, request: web.Request) -> web.Response:
        """Compare, and note nothing."""
        known = ("channel", "first_day", "last_day", "order_channels")
        said: dict[str, Any] = dict(lists.parameters(request, known))
        if "order_channels" in said:
            said["order_channels"] = [name for name in said["order_channels"].split(",") if name]
        if errors := field_errors(Reconcile, said):
            raise wrong_fields(errors)
        await self._heard()
        done = await self._reconciler.look(_request(parse(Reconcile, said)))
        new, tally = await self._new(done), done.tally
        return lists.json(
            Preview(
                channel=done.request.channel,
                first_day=done.request.first_day,
                last_day=done.request.last_day,
                bills=done.bills,
                position=done.position,
                result=done.result,
                matched=tally.matches,
                carried=tally.carried,
                discrepancies=tally.discrepancies,
                postings=tally.postings,
                rows=tally.rows,
                by_rule=tally.by_rule,
                by_kind=tally.by_kind,
                new=len(new),
                found=[_given(one) for one in done.found[:_CHUNK]],
            )
        )

    @describe(
        Operation(summary="A reconciliation, with the totals of its days", tag=TAG, answer=RunDocument, refusals=(404,))
    )
    async def read_run(self, request: web.Request) -> web.Response:
        """One reconciliation, as it was made."""
        row = await self._made(request)
        days = await totals_of(self._service.store, row["channel"], row["first_day"], row["last_day"])
        found = await self._by_kind(row["run"])
        return lists.json(msgspec.convert({**row, "days": days, "found": found}, RunDocument, strict=False))

    async def _made(self, request: web.Request) -> dict[str, Any]:
        """The run that a request names; raises `Refusal`."""
        name = request.match_info["run"]
        async with reading_books(self._service) as (books, _):
            rows = run_views.rows(books, [name])["run_view"]
        if not rows:
            raise Refusal("unknown_run", run=name[:64])
        return _run_shown(rows[0])

    @describe(
        Operation(
            summary="Whether a reconciliation comes to the same once more",
            tag=TAG,
            answer=RunCheck,
            refusals=(404,),
        )
    )
    async def check_run(self, request: web.Request) -> web.Response:
        """Make it anew from the bills and events that there were, and compare."""
        row = await self._made(request)
        asked = Request(
            channel=row["channel"],
            first_day=row["first_day"],
            last_day=row["last_day"],
            order_channels=tuple(row["order_channels"]),
        )
        again = await self._reconciler.look(asked, position=row["position"])
        same = again.result == row["result"]
        return lists.json(RunCheck(row["run"], row["result"], again.result, same))

    async def _by_kind(self, run: str) -> Mapping[str, Mapping[str, int]]:
        """How many discrepancies it raised: by kind, and by state."""
        sql = "SELECT kind, state, count(*) AS n FROM discrepancy_view WHERE run = ? GROUP BY kind, state"
        found: dict[str, dict[str, int]] = {}
        for row in await self._service.store.query(f"{sql} ORDER BY kind, state", [run]):
            found.setdefault(row["kind"], {})[row["state"]] = row["n"]
        return found

    # -- discrepancies

    @describe(Operation(summary="Open discrepancies by kind, with their age", tag=TAG, answer=OpenKinds))
    async def read_open_kinds(self, _: web.Request) -> web.Response:
        """How many are open of each kind, and since when."""
        today = shop_day(self._service.clock.now())
        rows = await self._service.store.query(
            "SELECT kind, count(*) AS discrepancies, min(day) AS oldest_day,"
            " CAST(sum(expected_fen) AS BIGINT) AS expected_fen, CAST(sum(found_fen) AS BIGINT) AS found_fen"
            " FROM discrepancy_view WHERE state = 'open' GROUP BY kind ORDER BY min(day), kind"
        )
        return lists.json(OpenKinds([OpenKind(age_days=age_of(row["oldest_day"], today), **row) for row in rows]))

    @describe(
        Operation(
            summary="A discrepancy, with rows of bills and events side by side",
            tag=TAG,
            answer=DiscrepancyDocument,
            refusals=(404,),
            etag=True,
        )
    )
    async def read_discrepancy(self, request: web.Request) -> web.Response:
        """What the bills say, and what our events posted."""
        name = request.match_info["discrepancy"]
        async with reading_books(self._service) as (books, version):
            rows = discrepancy_views.rows(books, [name])["discrepancy_view"]
        if not rows:
            raise Refusal("unknown_discrepancy", discrepancy=name[:64])
        row = _discrepancy_shown(self._service.clock.now(), rows[0])
        billed = await bills_say(self._service.store, row["channel"], row["rows"])
        posted = await books_say(self._service.store, row["order_id"], row["events"], _references(billed))
        document = {**row, "bills_say": billed, "books_say": posted}
        return lists.json(msgspec.convert(document, DiscrepancyDocument, strict=False), ETag=f'"{version}"')


def _request(body: Reconcile) -> Request:
    """What is asked for; raises `Refusal` for days that are none, or too many."""
    days = []
    for name in ("first_day", "last_day"):
        try:
            days.append(date.fromisoformat(getattr(body, name)))
        except ValueError:
            raise invalid(name, "day", "没有这一天", "is no day of the calendar") from None
    if days[0] > days[1]:
        raise invalid("first_day", "upside_down", "晚于最后一天,请对调", "is later than `last_day`; exchange the two")
    if (days[1] - days[0]).days >= _DAYS_MOST:
        zh, en = f"一次最多对账 {_DAYS_MOST} 天", f"is more than {_DAYS_MOST} days before `last_day`; ask for fewer"
        raise invalid("first_day", "too_long", zh, en)
    return Request(
        channel=body.channel.strip(),
        first_day=body.first_day,
        last_day=body.last_day,
        order_channels=tuple(sorted(set(body.order_channels))),
    )


def _given(one: Any) -> Found:
    return Found(**msgspec.structs.asdict(one))


def _references(billed: Iterable[Billed]) -> list[str]:
    """What of our references stands in rows."""
    return [reference for row in billed if (reference := row.refund_ref or row.order_ref)]

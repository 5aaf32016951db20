"""Statements of a month in books that hold a year, beside a bare scan of the same postings in the same database.

The documents are made as a request has them made: from one snapshot, and encoded. What both databases say is compared.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from benchmarks.figures import Figure, Report, Rounds
from benchmarks.finance.year import BEGAN, DAYS, TENTH, Part, parts
from benchmarks.replay.logs import DATABASES, POSTGRES, SQLITE
from benchmarks.sizes import QUICK, TINY, Sizes
from benchmarks.stack.servers import Servers
from contracts.registry import decode
from services import finance
from services.finance.closing import Draft, PeriodReport, draft_of, report_of
from services.finance.periods import calendar
from services.finance.statements.indicators import DefectRules, Indicators, indicators
from services.finance.statements.party import PartyStatement, parties, party_statement
from services.finance.statements.refunds import Refunds, refunds
from services.finance.statements.scope import AsAt, Scope, scope_of
from services.finance.views import FinanceViews
from services.kernel.event_store import Commit, EventStore, Reads, Statement
from services.kernel.migrations import migrate
from services.kernel.stores import open_store
from services.kernel.views import upsert, values
from services.stack.postgres import PostgresCluster

SECTION: Final = "statements"
#: Postings of the year, about.
POSTINGS: Final = 300_000
FEWER: Final = {QUICK: 20_000, TINY: 2_000}
#: How much longer a month's documents may take for each posting in the books with a year in them than with a tenth:
#: more is not linear.
GROWTH_AIM: Final = 1.5
_PARTY: Final = "courier/YTO"
_MIGRATIONS: Final = Path(finance.__file__).parent / "migrations"
_PERIODS: Final = "period_view"
_DATABASE: Final = "benchmark_statements"
_SCANNED: Final = "bare scan"
_SCAN: Final = "SELECT count(*) AS postings, CAST(sum(amount_fen) AS BIGINT) AS fen FROM posting_view"

Make: TypeAlias = Callable[[Reads, Scope], Awaitable[Any]]


async def _trial_balance(reads: Reads, scope: Scope) -> PeriodReport:
    return await report_of(reads, await calendar(reads), scope.month, scope.as_at.position)


async def _party(reads: Reads, scope: Scope) -> PartyStatement:
    return await party_statement(reads, scope, _PARTY)


async def _refunds(reads: Reads, scope: Scope) -> Refunds:
    return await refunds(reads, scope, "sku")


async def _indicators(reads: Reads, scope: Scope) -> Indicators:
    return await indicators(reads, scope, DefectRules())


async def _period(reads: Reads, scope: Scope) -> Draft:
    """What the month would be closed with."""
    closed = await reads.query("SELECT month, position FROM period_view ORDER BY month")
    months = [(row["month"], row["position"]) for row in closed]
    return await draft_of(reads, months, scope.month, scope.as_at.position)


_DOCUMENTS: Final[Mapping[str, Make]] = {
    "trial balance": _trial_balance,
    "all parties": parties,
    "one party, case by case": _party,
    "refunds by article": _refunds,
    "indicators": _indicators,
    "period report": _period,
}


class Measured(NamedTuple):
    """How many postings there are, and seconds in each round: of the scan, and of each document of a month."""

    month: str
    postings: int
    scan: Rounds
    documents: Mapping[str, Rounds]

    @property
    def each_posting(self) -> Rounds:
        """All documents together, in microseconds for each posting in the books."""
        rounds = zip(*(one.values for one in self.documents.values()), strict=True)
        return Rounds(tuple(1e6 * sum(seconds) / self.postings for seconds in rounds))

    @property
    def each(self) -> Mapping[str, float]:
        """The medians, and that of all documents together."""
        medians = {name: one.median for name, one in {_SCANNED: self.scan, **self.documents}.items()}
        return {**medians, "all documents": self.each_posting.median * self.postings / 1e6}


def run(
    report: Report,
    folder: Path,
    sizes: Sizes,
    kinds: Sequence[str] = DATABASES,
    postgres: PostgresCluster | None = None,
) -> None:
    """Fill books of each kind with a year, and have the documents of its last month made; and those of its first, when
    they hold a tenth. `postgres`: a server that runs already."""
    report.section("Statements of a month (orders, cases and postings of a year; the months before are closed)")
    with Servers(Path("var").absolute(), postgres) as servers, _books(folder, kinds, servers) as urls:

        def settle() -> None:
            """What the server does by itself at times, and not while something is measured. SQLite does without."""
            if POSTGRES in urls:
                servers.postgres.execute("VACUUM ANALYZE", _DATABASE)

        seen = asyncio.run(_measured(urls, settle, FEWER.get(sizes, POSTINGS), sizes.rounds))
    for kind, (tenth, year) in seen.items():
        for name, ours in year.documents.items():
            report.add(Figure(SECTION, f"{kind}, {name}", "s", ours, _SCANNED, year.scan))
        name, peer = f"{kind}, all, a posting of {year.postings:,}", f"of {tenth.postings:,}"
        report.add(Figure(SECTION, name, "µs", year.each_posting, peer, tenth.each_posting, GROWTH_AIM, at_most=True))
        grown = ", ".join(f"{name} {seconds / tenth.each[name]:.1f}" for name, seconds in year.each.items())
        report.note(SECTION, f"{kind}, time of {year.month} with the year to {tenth.month} with a tenth: {grown}")


@contextmanager
def _books(folder: Path, kinds: Sequence[str], servers: Servers) -> Iterator[Mapping[str, str]]:
    """Empty databases, and what to connect to."""
    urls: dict[str, str] = {}
    if SQLITE in kinds:
        folder.mkdir(parents=True, exist_ok=True)
        urls[SQLITE] = f"sqlite:///{folder / 'finance.db'}"
    if POSTGRES in kinds:
        urls[POSTGRES] = servers.postgres.create_database(_DATABASE)
    try:
        for url in urls.values():
            migrate(url, _MIGRATIONS)
        yield urls
    finally:
        if POSTGRES in urls:
            servers.postgres.execute(f'DROP DATABASE "{_DATABASE}"')


async def _measured(
    urls: Mapping[str, str], settle: Callable[[], None], postings: int, rounds: int
) -> Mapping[str, Sequence[Measured]]:
    """What was measured in each database, with a tenth of the year in it and with all of it."""
    stores = {kind: open_store(url, decode) for kind, url in urls.items()}
    seen: dict[str, list[Measured]] = {kind: [] for kind in stores}
    ended: list[tuple[str, int]] = []
    try:
        for part in parts(postings):
            today = BEGAN + timedelta(days=part.days)
            if today.day == 1:
                ended.append((_month_before(today), part.position))
            for store in stores.values():
                await _write(store, part, ended[:-1])
            if part.days in (TENTH, DAYS):
                await asyncio.to_thread(settle)
                as_at = AsAt(part.position, today)
                for kind, found in (await _stage(stores, ended[-1][0], as_at, rounds)).items():
                    seen[kind].append(found)
    finally:
        for store in stores.values():
            await store.close()
    return seen


def _month_before(day: datetime) -> str:
    return (day - timedelta(days=1)).strftime("%Y-%m")


async def _write(store: EventStore, part: Part, closed: Sequence[tuple[str, int]]) -> None:
    """As the service writes its rows. `closed`: months, each with the position up to which it holds postings."""
    views = FinanceViews()
    nothing = {**dict.fromkeys(views.tables[_PERIODS], ""), "postings": 0, "late": 0}
    periods = [{**nothing, "month": month, "position": position} for month, position in closed]
    rows = {**part.rows, _PERIODS: values(periods, views.tables[_PERIODS])}
    statements = [
        Statement(upsert(table, views.tables[table], views.keys[table]), some) for table, some in rows.items() if some
    ]
    [result] = await store.commit([Commit(statements=tuple(statements))])
    if isinstance(result, Exception):
        raise result


async def _stage(stores: Mapping[str, EventStore], month: str, as_at: AsAt, rounds: int) -> Mapping[str, Measured]:
    """Each document in each database in turn, round after round."""
    await _compared(stores, month, as_at)
    scans: dict[str, list[float]] = {kind: [] for kind in stores}
    documents: dict[str, list[list[float]]] = {kind: [] for kind in stores}
    postings = 0
    for _ in range(rounds):
        for kind, store in stores.items():
            seconds, postings = await _scanned(store)
            scans[kind].append(seconds)
            documents[kind].append([(await _made(store, month, as_at, make))[0] for make in _DOCUMENTS.values()])
    return {
        kind: Measured(
            month,
            postings,
            Rounds(tuple(scans[kind])),
            {name: Rounds(some) for name, some in zip(_DOCUMENTS, zip(*documents[kind], strict=True), strict=True)},
        )
        for kind in stores
    }


async def _compared(stores: Mapping[str, EventStore], month: str, as_at: AsAt) -> None:
    """Both databases say the same, and are warm afterwards. Raises RuntimeError."""
    for name, make in _DOCUMENTS.items():
        said = {(await _made(store, month, as_at, make))[1] for store in stores.values()}
        if len(said) > 1:
            raise RuntimeError(f"{name} of {month} is not the same on {' and '.join(stores)}")


async def _made(store: EventStore, month: str, as_at: AsAt, make: Make) -> tuple[float, bytes]:
    """Seconds until a document is there, and the document."""
    began = time.perf_counter()
    async with store.snapshot() as reads:
        document = msgspec.json.encode(await make(reads, await scope_of(reads, month, as_at)))
    return time.perf_counter() - began, document


async def _scanned(store: EventStore) -> tuple[float, int]:
    """Seconds that it takes to read all postings and do nothing with them, and how many there are."""
    began = time.perf_counter()
    [row] = await store.query(_SCAN)
    seconds = time.perf_counter() - began
    if row["fen"] or not row["postings"]:
        raise RuntimeError(f"{row['postings']} postings come to {row['fen']}")
    return seconds, row["postings"]

"""Gauges that need the database, refreshed by whoever leads a service.

Not on scrape: a scrape must not hang because the database does. While that is away, `aftersales_database_up` says so
and the others stand as they were last seen, so that no alarm ends because nobody can look.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import structlog
from prometheus_client import Gauge

from services.kernel.event_store import Reads
from services.kernel.lag import Lag
from services.kernel.metrics import DATABASE_UP, DEAD_LETTERS, LAG_EVENTS, LAG_SECONDS, PARKED_STREAMS, RELAY_AGE

#: How often the gauges are refreshed, and how long that may take.
EVERY_SECONDS: Final = 10.0
PATIENCE_SECONDS: Final = 5.0
#: The consumer whose lag is the age of what is not published.
RELAY: Final = "relay"

_DEAD = "SELECT cause, count(*) AS n FROM parked_messages WHERE state = 'dead' GROUP BY cause"
_PARKED = "SELECT cause, count(DISTINCT stream) AS n FROM parked_messages WHERE state = 'waiting' GROUP BY cause"

log = structlog.get_logger(__name__)
Values = Mapping[tuple[str, ...], float]


class Measure(NamedTuple):
    """A gauge of one service: SQL whose columns are the gauge's labels, in order, and then its value.

    At least one label: a gauge without any would be told, as nought, by every process that knows of it.
    """

    gauge: Gauge
    sql: str


class Gauges:
    """The gauges of one service. `refresh` them again and again while leading, `forget` them afterwards."""

    def __init__(
        self,
        service: str,
        store: Reads,
        lags: Callable[[], Awaitable[Sequence[Lag]]],
        parked: Callable[[], Iterable[str]] = tuple,
        measures: Sequence[Measure] = (),
    ) -> None:
        """`lags`: how far the service's consumers are behind. `parked`: the causes of the streams that consumers hold
        in memory."""
        self._service = service
        self._store = store
        self._lags = lags
        self._parked = parked
        self._measures = measures
        self._shown: dict[Gauge, set[tuple[str, ...]]] = {}
        self._away: set[str] = set()

    async def refresh(self) -> None:
        """Look everything up, in bounded time; raises nothing. A broker may be away while the database is not."""
        up = await self._looked("database", self._look_up)
        self._show(DATABASE_UP, {(self._service,): up})
        await self._looked("consumers", self._look_at_lags)

    def forget(self) -> None:
        """Show nothing any more: another process leads now, and the same figure must not be told twice."""
        for gauge, shown in self._shown.items():
            for labels in shown:
                gauge.remove(*labels)
        self._shown.clear()

    async def _looked(self, what: str, look: Callable[[], Awaitable[None]]) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await look()
        except Exception as error:
            if what not in self._away:  # told once, not in every round
                log.warning("gauges_not_refreshed", service=self._service, of=what, error=repr(error))
            self._away.add(what)
            return False
        if what in self._away:
            log.info("gauges_refreshed", service=self._service, of=what)
        self._away.discard(what)
        return True

    async def _look_up(self) -> None:
        dead = await self._counted(_DEAD)
        parked = await self._counted(_PARKED)
        for cause in self._parked():
            parked[cause] += 1
        self._show(DEAD_LETTERS, {(self._service, cause): n for cause, n in dead.items()})
        self._show(PARKED_STREAMS, {(self._service, cause): n for cause, n in parked.items()})
        for measure in self._measures:
            self._show(measure.gauge, await self._measured(measure.sql))

    async def _counted(self, sql: str) -> Counter[str]:
        return Counter({row["cause"]: int(row["n"]) for row in await self._store.query(sql)})

    async def _measured(self, sql: str) -> Values:
        rows = [tuple(row.values()) for row in await self._store.query(sql)]
        return {tuple(str(label) for label in labels): float(value) for *labels, value in rows}

    async def _look_at_lags(self) -> None:
        """Partitions of a source count together; of several consumers of the same, the one furthest behind counts."""
        events: dict[tuple[str, ...], float] = {}
        seconds: dict[tuple[str, ...], float] = {}
        relay: dict[tuple[str, ...], float] = {}
        behind = Counter[tuple[str, str]]()
        for lag in await self._lags():
            if lag.consumer == RELAY:
                relay[self._service,] = lag.seconds
                continue
            behind[lag.consumer, lag.source] += lag.behind
            labels = (self._service, lag.source)
            events[labels] = max(events.get(labels, 0), behind[lag.consumer, lag.source])
            seconds[labels] = max(seconds.get(labels, 0), lag.seconds)
        self._show(LAG_EVENTS, events)
        self._show(LAG_SECONDS, seconds)
        self._show(RELAY_AGE, relay)

    def _show(self, gauge: Gauge, values: Values) -> None:
        """Show these; what was shown before and is not among them any more is nought."""
        shown = self._shown.setdefault(gauge, set())
        for labels in shown - values.keys():
            gauge.labels(*labels).set(0)
        for labels, value in values.items():
            gauge.labels(*labels).set(value)
        shown.update(values)

"""How far all consumers are behind, over HTTP, and how that went lately.

Readers at work tell it where they run in this process; where services run apart, databases and brokers are asked. The
course of the last minutes is kept in memory by the process that answers, from one question to the next: who never asked
has none.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Final, Literal, Protocol

import msgspec
from aiohttp import web

from services.catalogue import SERVICES
from services.kernel.clock import SystemClock
from services.kernel.http import lists
from services.kernel.http.openapi import Operation, Parameter, describe
from services.kernel.lag import Lag, Look, trend
from services.kernel.refusal import invalid
from services.kernel.settings import Settings
from services.operations.lag_reading import BROKER, Row, Survey, Surveyor

#: How far two samples are apart at least, and for how long they are kept, in seconds.
EVERY_SECONDS: Final = 5.0
KEPT_SECONDS: Final = 600.0
#: The time over which rates are measured, in seconds, as far as there are samples.
RATE_SECONDS: Final = 60.0
#: How long a look at databases and brokers is told again, in seconds: many pages may ask.
FRESH_SECONDS: Final = 1.0

_FILTERS: Final = (
    Parameter(
        "trend", Literal["true", "false"], "true: also rates, time to clear, and the samples of the last minutes"
    ),
)


class LagTrend(msgspec.Struct, frozen=True):
    """How it went since `since`. `clears_in_seconds`: until nothing is left, if it goes on like this; null where it
    does not get less."""

    since: datetime
    arriving_per_second: float
    handled_per_second: float
    clears_in_seconds: float | None


class LagSample(msgspec.Struct, frozen=True):
    """How far a consumer was behind at a time: in events, and the age of the oldest in seconds."""

    time: datetime
    behind: int
    seconds: float


class ConsumerLag(msgspec.Struct, frozen=True, kw_only=True):
    """How far a consumer is behind what it follows: a log, or all `partitions` of a topic.

    `stuck` says what it stumbles over; `away` says that it cannot be looked at, and `behind` is then as it was last
    seen. `seconds` is the age of the oldest event that is not handled, 0 where there is none. `parked`: messages set
    aside (see `/v1/dead-letters`); `lost`: messages that the broker deleted before they were handled. `trend` and
    `samples` (oldest first, the machine's time) only where they are asked for; a trend needs an earlier sample.
    """

    service: str
    consumer: str
    behind: int
    stuck: str = ""
    away: str = ""
    source: str = ""
    seconds: float = 0.0
    partitions: int = 0
    parked: int = 0
    lost: int = 0
    trend: LagTrend | None = None
    samples: list[LagSample] = []


class Lags(msgspec.Struct, frozen=True):
    """How far all consumers are behind. `away`: the databases, by service, and `kafka`, that could not be asked."""

    caught_up: bool
    consumers: list[ConsumerLag]
    away: dict[str, str] = {}


class Standing(msgspec.Struct, frozen=True):
    """A consumer as it is told of, and how many events it has handled and has got since some moment that stays."""

    told: ConsumerLag
    handled: int
    arrived: int


class Reading(msgspec.Struct, frozen=True):
    """One look at everything."""

    standings: list[Standing]
    caught_up: bool
    away: dict[str, str] = {}


class Looks(Protocol):
    """Whoever can tell how far all consumers are."""

    async def look(self) -> Reading:
        """Look now, or so lately that it makes no difference."""

    async def close(self) -> None:
        """Let go of what it looks with."""


class AtWork(Looks):
    """Asks the readers in this process."""

    def __init__(self, lags: Callable[[], Awaitable[Sequence[Lag]]]) -> None:
        self._lags = lags

    async def look(self) -> Reading:
        lags = await self._lags()
        return Reading(
            [Standing(_of_reader(one), one.position, one.position + one.behind) for one in lags],
            not any(one.behind or one.stuck or one.away for one in lags),
        )

    async def close(self) -> None:
        """Nothing of it is ours."""


class FromOutside(Looks):
    """Asks databases and brokers, which works whoever is at work, and where."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._surveyor: Surveyor | None = None
        self._looking = asyncio.Lock()
        self._last: tuple[float, Reading] | None = None
        self._seen: dict[tuple[str, str, str], Standing] = {}

    async def look(self) -> Reading:
        async with self._looking:
            if self._last and time.monotonic() - self._last[0] < FRESH_SECONDS:
                return self._last[1]
            self._surveyor = self._surveyor or Surveyor(self._settings, list(SERVICES))
            reading = self._read(await self._surveyor.look())
            self._last = (time.monotonic(), reading)
            return reading

    async def close(self) -> None:
        surveyor, self._surveyor = self._surveyor, None
        if surveyor:
            await surveyor.close()

    def _read(self, survey: Survey) -> Reading:
        standings: dict[tuple[str, str, str], Standing] = {}
        rows = sorted(survey.consumers, key=_place)
        for place, partitions in groupby(rows, _place):
            standings[place] = self._standing(list(partitions), survey)
        for place, before in self._seen.items():  # the database that tells of it is away
            if place not in standings and (reason := survey.away.get(before.told.service)):
                standings[place] = _away(before, reason)
        self._seen = standings
        return Reading([standings[place] for place in sorted(standings)], survey.caught_up, survey.away)

    def _standing(self, rows: Sequence[Row], survey: Survey) -> Standing:
        first, known = rows[0], self._seen.get(_place(rows[0]))
        unseen = any(row.behind is None for row in rows)
        if unseen and known:
            return _away(known, survey.away.get(BROKER, ""))
        lost, parked = sum(row.lost for row in rows), sum(row.parked for row in rows)
        told = ConsumerLag(
            service=first.service,
            consumer=first.consumer,
            behind=sum(row.behind or 0 for row in rows),
            stuck="; ".join(_troubles(lost, parked)),
            away=survey.away.get(BROKER, "") if unseen else "",
            source=first.source,
            seconds=max(row.seconds or 0.0 for row in rows),
            partitions=sum(row.partition is not None for row in rows),
            parked=parked,
            lost=lost,
        )
        return Standing(told, sum(row.handled for row in rows), sum(row.arrived for row in rows))


class Moment(msgspec.Struct, frozen=True):
    """A consumer as it was when somebody asked."""

    monotonic: float
    time: datetime
    standing: Standing


class LagHttp:
    """The route, and what it remembers."""

    def __init__(self, looks: Looks) -> None:
        self._looks = looks
        self._past: dict[tuple[str, str, str], deque[Moment]] = defaultdict(deque)
        self._sampled_at = 0.0

    def routes(self) -> list[web.RouteDef]:
        """The one route."""
        return [web.get("/v1/lag", self.read)]

    @describe(
        Operation(
            summary="How far consumers are behind, and how that went lately",
            description=f"For every role. Samples are taken when somebody asks, at least {EVERY_SECONDS:.0f} s apart,"
            f" and kept for {KEPT_SECONDS / 60:.0f} minutes by the process that answers.",
            tag="operations",
            answer=Lags,
            query=_FILTERS,
            refusals=(422,),
        )
    )
    async def read(self, request: web.Request) -> web.Response:
        """Every consumer as it is now."""
        asked = dict(lists.parameters(request, [one.name for one in _FILTERS]))
        if asked.get("trend", "true") not in ("true", "false"):
            raise invalid("trend", "one_of", "只能是 true 或 false", "must be true or false")
        reading = await self._looks.look()
        self._sample(reading.standings)
        told: Iterable[ConsumerLag] = (one.told for one in reading.standings)
        if asked.get("trend") == "true":
            told = (self._with_trend(one) for one in reading.standings)
        return lists.json(Lags(reading.caught_up, list(told), reading.away))

    def _sample(self, standings: Iterable[Standing]) -> None:
        now = time.monotonic()
        if self._sampled_at and now - self._sampled_at < EVERY_SECONDS:
            return
        self._sampled_at, at = now, SystemClock().now()
        for one in standings:
            past = self._past[_key(one.told)]
            past.append(Moment(now, at, one))
            while past[0].monotonic < now - KEPT_SECONDS:
                past.popleft()

    def _with_trend(self, now: Standing) -> ConsumerLag:
        past = self._past[_key(now.told)]
        samples = [LagSample(one.time, one.standing.told.behind, one.standing.told.seconds) for one in past]
        return msgspec.structs.replace(now.told, trend=course(past, now, time.monotonic()), samples=samples)


def course(past: Iterable[Moment], now: Standing, at: float) -> LagTrend | None:
    """How it went since the first sample of the last minute, or since the last one where that is older."""
    before = [one for one in past if at - one.monotonic >= EVERY_SECONDS / 2]
    if not before or now.told.away:
        return None
    since = next((one for one in before if at - one.monotonic <= RATE_SECONDS), before[-1])
    earlier, arrived = since.standing, now.arrived - since.standing.arrived
    if now.handled < earlier.handled or arrived < 0:  # it was begun anew in between
        return None
    found = trend(Look(0, 0, earlier.told.behind), Look(0, 0, now.told.behind, arrived=arrived), at - since.monotonic)
    rates = (round(found.arriving_per_second, 3), round(found.handled_per_second, 3))
    return LagTrend(since.time, *rates, found.clears_in_seconds)


def _of_reader(lag: Lag) -> ConsumerLag:
    return ConsumerLag(
        service=lag.service,
        consumer=lag.consumer,
        behind=lag.behind,
        stuck=lag.stuck,
        away=lag.away,
        source=lag.source,
        seconds=lag.seconds,
    )


def _away(before: Standing, reason: str) -> Standing:
    return msgspec.structs.replace(before, told=msgspec.structs.replace(before.told, away=reason))


def _troubles(lost: int, parked: int) -> Iterable[str]:
    if lost:
        yield f"retention took {lost} events that were not handled"
    if parked:
        yield f"set aside: {parked}"


def _place(row: Row) -> tuple[str, str, str]:
    return row.service, row.consumer, row.source


def _key(told: ConsumerLag) -> tuple[str, str, str]:
    return told.service, told.consumer, told.source

"""What every bus between services must do, whatever carries the events. A bus's test module derives from `BusContract`
and gives it a `bus` fixture. The services on it are toys: see `tests/kernel/toy.py`.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar, cast

import pytest
from structlog.testing import capture_logs

from contracts.event import Event
from services.kernel.appender import Appender
from services.kernel.clock import ManualClock
from services.kernel.event_store import Commit, CommitResult, EventStore, StoreUnavailable
from services.kernel.files import Files
from services.kernel.hearing import Hearing
from services.kernel.log import Record
from services.kernel.progress import Progress
from services.kernel.proof import verify
from services.kernel.stores import open_store
from tests.kernel.toy import NOON, Added, Counted, Mentioned, TallyDomain, decode

PATIENCE_S = 20.0


class Unreadable(Event, frozen=True, tag="toy.of_the_future"):
    """An event of a type that no consumer knows yet."""

    @property
    def subject(self) -> str:
        return "future"


@dataclass(frozen=True)
class Message:
    """One delivery: what the stream's event number `sequence` claims to be."""

    stream: str
    sequence: int
    event: Event


def added(stream: str, sequence: int, amount: int | None = None) -> Message:
    """An event that has an effect; unless given, the amount is the sequence."""
    return Message(stream, sequence, Added(case_id=f"{stream}-1", amount=sequence if amount is None else amount))


class Faults:
    """The real store of a consumer, whose process or database can be made to fail around a commit."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.commits = 0
        #: The power goes at this commit: none from there on is written, or this one still is.
        self.cut_at, self.cut_after_writing = 0, False
        self.is_cut = asyncio.Event()
        self.dead = asyncio.Event()
        self.away = False
        self.open = asyncio.Event()
        self.open.set()

    async def commit(self, batch: list[Commit]) -> list[CommitResult | Exception]:
        await self.open.wait()
        self.commits += 1
        if self.commits == self.cut_at:
            if self.cut_after_writing:
                await self._store.commit(batch)
            self.is_cut.set()
            await self.dead.wait()
        if self.away or self.dead.is_set():
            return [StoreUnavailable("cut off")] * len(batch)
        return await self._store.commit(batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Consumer(ABC):
    """A toy service as one process runs it, hearing `toy`; how events reach it is the bus's."""

    def __init__(self, url: str, domain: TallyDomain) -> None:
        self.domain = domain
        self.store: EventStore = open_store(url, decode, busy_timeout_s=30)
        self.faults = Faults(self.store)
        #: Most events that were held in memory at the same time; 0 until the first ones came.
        self.held_most = 0
        #: The store as its own work sees it, faults included.
        self.own_store = cast(EventStore, self.faults)
        self.appender = Appender(self.own_store)
        self.files = Files(domain, self.own_store, self.appender, ManualClock(NOON))
        self._hearing = Hearing("toy", self.files, self.own_store, self.appender)

    async def handle(self, records: list[Record], progress: Progress) -> None:
        """What the bus brings."""
        self.held_most = max(self.held_most, len(records))
        await self._hearing(records, progress)

    @property
    @abstractmethod
    def parked(self) -> Collection[str]:
        """Streams that do not go on at present."""

    @property
    @abstractmethod
    def stuck(self) -> str:
        """What a person should look at; "" while all goes well."""

    @abstractmethod
    async def start(self) -> None:
        """Begin to hear."""

    @abstractmethod
    async def leave(self) -> None:
        """Hear nothing any more."""

    @abstractmethod
    async def behind(self) -> int:
        """Events that are not handled."""

    @abstractmethod
    async def again(self) -> None:
        """Have everything delivered from the start once more."""

    @abstractmethod
    async def caught_up(self) -> None:
        """Wait until everything sent so far is handled or parked."""

    async def stop(self) -> None:
        """End in an orderly way."""
        self.faults.open.set()
        await self.leave()
        await self.appender.close()
        await self.store.close()

    async def kill(self) -> None:
        """End without writing anything any more."""
        self.faults.dead.set()
        await self.stop()


C = TypeVar("C", bound=Consumer)


class Bus(Protocol):
    """What carries the toy service's events to any number of consumers."""

    async def send(self, *messages: Message) -> None:
        """Deliver in this order."""

    def consumer(self, service: str = "tally", **domain: Any) -> Consumer:
        """A new process of a service; those of the same service share its database. Ended with the fixture."""


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that takes a moment."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.005)


async def effects(consumer: Consumer) -> dict[str, list[int]]:
    """What was counted by each stream, in the order of the log, which must be whole."""
    assert await verify(consumer.store) is None
    counted: dict[str, list[int]] = {}
    for record in await consumer.store.read_log(0, 1_000_000):
        if isinstance(record.event, Counted):
            counted.setdefault(record.stream, []).append(record.event.amount)
    return counted


async def started(consumer: C) -> C:
    await consumer.start()
    await consumer.caught_up()
    return consumer


def _goes_on(consumer: Consumer) -> bool:
    return not consumer.parked


class BusContract:
    async def test_each_event_once_and_in_order(self, bus: Bus) -> None:
        """Every event has its effect once, in the order of its stream, whether sent before the start or after."""
        messages = [added(f"TB{n % 7}", n // 7 + 1) for n in range(210)]
        await bus.send(*messages[:100])
        consumer = await started(bus.consumer())
        await bus.send(*messages[100:])
        await consumer.caught_up()
        assert await effects(consumer) == {f"TB{n}": list(range(1, 31)) for n in range(7)}
        assert not consumer.stuck
        assert await consumer.behind() == 0

    async def test_unheard_events_leave_no_gap(self, bus: Bus) -> None:
        """What nobody listens to is passed over, and what comes after it is still the next one."""
        for round in range(4):
            mentioned = [Message("TB1", 3 * round + n, Mentioned(case_id="TB1-1")) for n in (1, 2)]
            await bus.send(*mentioned, added("TB1", 3 * round + 3))
        consumer = await started(bus.consumer())
        await bus.send(Message("TB1", 13, Mentioned(case_id="TB1-1")))
        await consumer.caught_up()
        assert await effects(consumer) == {"TB1": [3, 6, 9, 12]}
        assert await consumer.store.inbox("toy", ["TB1"]) == {"TB1": 13}

    async def test_effect_and_mark_are_one(self, bus: Bus) -> None:
        """What was learned, what followed and the mark that it is handled stand in the log together."""
        await bus.send(added("TB1", 1), added("TB1", 2))
        consumer = await started(bus.consumer())
        records = await consumer.store.read_stream("TB1")
        assert [(one.source, one.sequence) for one in records] == [("toy", 1), ("tally", 1), ("toy", 2), ("tally", 2)]
        assert records[1].causation_id == records[0].id
        assert await consumer.store.inbox("toy", ["TB1"]) == {"TB1": 2}

    async def test_duplicate_and_late_deliveries(self, bus: Bus) -> None:
        """Delivered twice at once, late, or all over again: one effect."""
        await bus.send(added("TB1", 1), added("TB1", 1), added("TB1", 2), added("TB2", 1))
        consumer = await started(bus.consumer())
        await bus.send(added("TB1", 1), added("TB1", 2), added("TB1", 3), added("TB2", 1))
        await consumer.caught_up()
        for _ in range(3):
            await consumer.again()
        await consumer.caught_up()
        assert await effects(consumer) == {"TB1": [1, 2, 3], "TB2": [1]}
        assert not consumer.parked

    async def test_gap_is_waited_for(self, bus: Bus) -> None:
        """An event that came too early waits with an alarm until the missing one is there, others go on."""
        await bus.send(added("TB1", 1), added("TB1", 3), added("TB2", 1), added("TB1", 4))
        consumer = await started(bus.consumer())
        assert await effects(consumer) == {"TB1": [1], "TB2": [1]}
        assert set(consumer.parked) == {"TB1"}
        await until(lambda: "TB1" in consumer.stuck)
        await bus.send(added("TB2", 2), added("TB1", 5), added("TB1", 2), added("TB1", 6))
        await until(lambda: not consumer.parked)
        await consumer.caught_up()
        assert await effects(consumer) == {"TB1": [1, 2, 3, 4, 5, 6], "TB2": [1, 2]}
        assert not consumer.stuck

    async def test_what_nobody_listens_to_does_not_wait_before_a_gap(self, bus: Bus) -> None:
        """Only what comes after a gap waits: so what fills the gap is known, and all goes on at once."""
        await bus.send(Message("TB1", 1, Mentioned(case_id="TB1-1")), added("TB1", 3))
        consumer = await started(bus.consumer())
        assert set(consumer.parked) == {"TB1"}
        assert await consumer.store.inbox("toy", ["TB1"]) == {"TB1": 1}
        await bus.send(added("TB1", 2))
        await until(lambda: not consumer.parked)
        assert await effects(consumer) == {"TB1": [2, 3]}

    async def test_out_of_order_is_put_in_order(self, bus: Bus) -> None:
        """Events that overtook each other have their effects in the order of the stream."""
        await bus.send(*(added("TB1", sequence) for sequence in (2, 1, 5, 3, 4)))
        consumer = await started(bus.consumer())
        await until(lambda: not consumer.parked)
        assert await effects(consumer) == {"TB1": [1, 2, 3, 4, 5]}

    async def test_poison_holds_up_its_stream_only(self, bus: Bus) -> None:
        """An event that cannot be handled stops its stream, alarms once, and goes on in order when it is cured."""
        await bus.send(added("TB1", 1), added("TB1", 2, 666), added("TB2", 1), added("TB1", 3))
        consumer = bus.consumer(poison=[666])
        with capture_logs() as logs:
            await started(consumer)
            await bus.send(added("TB1", 4), added("TB2", 2))
            await consumer.caught_up()
            await until(lambda: "poison" in consumer.stuck)
        assert await effects(consumer) == {"TB1": [1], "TB2": [1, 2]}
        assert [one["log_level"] for one in logs].count("error") == 1
        assert await consumer.behind() > 0
        consumer.domain.poison.clear()
        await until(lambda: not consumer.parked)
        await consumer.caught_up()
        assert await effects(consumer) == {"TB1": [1, 666, 3, 4], "TB2": [1, 2]}
        assert await consumer.behind() == 0

    async def test_unreadable_event_holds_up_its_stream_only(self, bus: Bus) -> None:
        """A type or a version that nobody here knows waits with its stream, bytes untouched, others go on."""
        await bus.send(added("TB1", 1), Message("TB1", 2, Unreadable()), added("TB2", 1), added("TB1", 3))
        consumer = await started(bus.consumer())
        await bus.send(added("TB2", 2))
        await consumer.caught_up()
        assert await effects(consumer) == {"TB1": [1], "TB2": [1, 2]}
        assert set(consumer.parked) == {"TB1"}

    async def test_restart_resumes(self, bus: Bus) -> None:
        """The next process goes on where the last one ended, and nothing is missed in between."""
        await bus.send(added("TB1", 1), added("TB2", 1))
        first = await started(bus.consumer())
        await first.stop()
        await bus.send(added("TB1", 2), added("TB3", 1))
        second = await started(bus.consumer())
        assert await effects(second) == {"TB1": [1, 2], "TB2": [1], "TB3": [1]}
        assert second.faults.commits <= 4

    async def test_restart_comes_back_to_what_is_parked(self, bus: Bus) -> None:
        """What could not be handled is not forgotten by a restart, however much was handled after it."""
        await bus.send(added("TB1", 1, 666), *(added("TB2", n) for n in range(1, 30)), added("TB1", 2))
        first = await started(bus.consumer(poison=[666]))
        await bus.send(added("TB2", 30))
        await first.caught_up()
        await first.stop()
        second = await started(bus.consumer(poison=[666]))
        assert set(second.parked) == {"TB1"}
        await second.stop()
        third = await started(bus.consumer())
        await until(partial(_goes_on, third))
        assert await effects(third) == {"TB1": [666, 2], "TB2": list(range(1, 31))}

    @pytest.mark.parametrize("after_writing", [False, True])
    async def test_crash_around_any_commit(self, bus: Bus, after_writing: bool) -> None:
        """Whichever commit a process dies at, just before or after it is written, each event has one effect."""
        messages = [added("TB1", 1), Message("TB1", 2, Mentioned(case_id="TB1-1")), added("TB1", 3), added("TB2", 1)]
        await bus.send(*messages)
        for cut_at in range(1, 8):
            doomed = bus.consumer(f"tally-{cut_at}")
            doomed.faults.cut_at, doomed.faults.cut_after_writing = cut_at, after_writing
            await doomed.start()
            caught_up, cut = (
                asyncio.ensure_future(doomed.caught_up()),
                asyncio.ensure_future(doomed.faults.is_cut.wait()),
            )
            done, pending = await asyncio.wait([caught_up, cut], return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.wait([caught_up, cut])
            await doomed.kill()
            heir = await started(bus.consumer(f"tally-{cut_at}"))
            assert await effects(heir) == {"TB1": [1, 3], "TB2": [1]}
            assert await heir.store.inbox("toy", ["TB1", "TB2"]) == {"TB1": 3, "TB2": 1}
            if caught_up in done:
                break
        assert cut_at > 2

    async def test_database_away_for_a_while(self, bus: Bus) -> None:
        """While the consumer's own database cannot write, nothing is parked or lost; it goes on by itself."""
        consumer = bus.consumer()
        consumer.faults.away = True
        await bus.send(*(added(f"TB{n}", 1) for n in range(20)))
        await consumer.start()
        await until(lambda: consumer.stuck)
        assert not consumer.parked
        assert await consumer.behind() > 0
        consumer.faults.away = False
        await until(lambda: not consumer.stuck)
        await consumer.caught_up()
        assert await effects(consumer) == {f"TB{n}": [1] for n in range(20)}

    async def test_flood_in_bounded_memory(self, bus: Bus) -> None:
        """However much waits, also behind a parked stream, a bounded part of it is in memory."""
        for part in range(5):
            await bus.send(*(added(f"TB{n % 40}", part * 15 + n // 40 + 1) for n in range(600)))
        await bus.send(added("TB0", 76, 666), *(added("TB0", n) for n in range(77, 300)))
        consumer = await started(bus.consumer(poison=[666]))
        assert set(consumer.parked) == {"TB0"}
        consumer.domain.poison.clear()
        await until(lambda: not consumer.parked)
        counted = await effects(consumer)
        assert counted.pop("TB0") == [*range(1, 76), 666, *range(77, 300)]
        assert counted == {f"TB{n}": list(range(1, 76)) for n in range(1, 40)}
        assert consumer.held_most <= 1_000

    async def test_slow_consumer_holds_up_nobody(self, bus: Bus) -> None:
        """One service that hangs is seen to be behind, while the other has long handled everything."""
        slow, quick = bus.consumer("slow"), bus.consumer("quick")
        slow.faults.open.clear()
        await slow.start()
        await bus.send(*(added(f"TB{n}", 1) for n in range(50)))
        await started(quick)
        assert len(await effects(quick)) == 50
        assert await effects(slow) == {}
        assert await slow.behind() > 0
        slow.faults.open.set()
        await slow.caught_up()
        assert len(await effects(slow)) == 50

    async def test_two_processes_of_one_service(self, bus: Bus) -> None:
        """Two processes of one service that start at once have one effect between them, in order: what the one may no
        longer write, the other does."""
        both = [bus.consumer(), bus.consumer()]
        await asyncio.gather(*(consumer.start() for consumer in both))
        for part in range(6):
            await bus.send(*(added(f"TB{n % 5}", part * 6 + n // 5 + 1) for n in range(30)))
        expected = {f"TB{n}": list(range(1, 37)) for n in range(5)}
        async with asyncio.timeout(PATIENCE_S):
            while await effects(both[0]) != expected:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        for consumer in both:
            await until(partial(_goes_on, consumer))
        assert not any(consumer.stuck for consumer in both)

    async def test_order_by_sequence_whatever_the_clock(self, bus: Bus) -> None:
        """Nothing depends on the time at which events were recorded: the stream's numbers are the order."""
        consumer = await started(bus.consumer())
        await bus.send(added("TB1", 1), added("TB1", 2), added("TB1", 3))
        await consumer.caught_up()
        assert await effects(consumer) == {"TB1": [1, 2, 3]}

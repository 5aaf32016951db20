"""Events are sent once more as they were, marked, in order, no faster than asked for; and never by mistake."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts import envelope, registry
from services.kernel.clock import SystemClock
from services.kernel.event_store import Checkpoint, Commit, EventStore
from services.kernel.kafka.connection import BrokerAway, Connection
from services.kernel.kafka.relay import Relay
from services.kernel.log import NoSuchRange, Record
from services.kernel.long_work import CalledOff
from services.kernel.operations import Desk, Watch, watch
from services.kernel.refusal import Refusal
from services.kernel.stores import open_store
from services.stack.kafka import KafkaCluster
from services.transfer import replay, resending
from services.transfer.exporting import LogDamaged
from services.transfer.replay import Endpoint, NoTopic, NotTaken, Topic
from services.transfer.resending import (
    ForeignTopic,
    Interrupted,
    LiveTopic,
    NotPublishedYet,
    may_send_to,
    must_be_known,
    resend,
)
from services.transfer.selection import Selection
from tests.kernel.kafka import make_topic, messages_in
from tests.transfer.conftest import NewLog
from tests.transfer.receiver import SECRET, Receiver, receiving

OPERATION = "019a9b2e-7f10-7a02-9d3c-4b1f6c2e8a90"
ALL = Selection()


class Kept:
    """A target that keeps what it gets, and when; from `fails_at` on it takes nothing."""

    def __init__(self, fails_at: int = 0) -> None:
        self.at_once = 1000
        self.records: list[Record] = []
        self.times: list[float] = []
        self.fails_at = fails_at

    async def send(self, records: Sequence[Record]) -> None:
        if self.fails_at and records[-1].position >= self.fails_at:
            raise BrokerAway("gone")
        self.records += records
        self.times += [time.monotonic()] * len(records)

    async def close(self) -> None:
        pass


@pytest.fixture
async def store(new_log: NewLog) -> EventStore:
    """60 events, 40 of them own."""
    return await new_log("log", 60)


async def test_own_events_in_order(store: EventStore) -> None:
    """What others decided is theirs to publish: only own events leave, in the order of the log."""
    target = Kept()
    sent = await resend(store, "cases", ALL, target)
    assert [record.position for record in target.records] == [n for n in range(1, 61) if n % 3]
    assert sent.first
    assert sent.last
    assert (sent.events, sent.first.position, sent.last.position) == (40, 1, 59)


async def test_counting_sends_nothing(store: EventStore) -> None:
    """A dry run tells what would leave, and nothing does."""
    counted = await resend(store, "cases", Selection(order="TB1"), None, rate=0.001)
    target = Kept()
    assert counted == await resend(store, "cases", Selection(order="TB1"), target)
    assert len(target.records) == counted.events == 6


async def test_no_faster_than_asked_for(store: EventStore) -> None:
    """40 events at 100 a second take 0.4 seconds, spread evenly; a pause of whoever watches is not caught up."""
    paused: list[float] = []

    async def tell(done: int, total: int) -> None:
        paused.append(time.monotonic())
        await asyncio.sleep(0.3)

    target = Kept()
    began = time.monotonic()
    await resend(store, "cases", ALL, target, 100)
    spread = [at - began for at in target.times]
    assert 0.3 <= spread[-1] <= 2
    assert all(at >= number / 100 - 0.11 for number, at in enumerate(spread))
    slow = Kept()
    await resend(store, "cases", Selection(order="TB1"), slow, 100, tell)
    assert paused


@pytest.mark.parametrize("rate", [20, 0])
async def test_who_is_held_up_stops_at_once(
    new_log: NewLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    """A pause, and then a cancellation, from elsewhere is heeded within an event or two, not at the end of a page."""
    store = await new_log("log", 240)
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.0)
    url = f"sqlite+aiosqlite:///{tmp_path / 'log.db'}"
    here, there = (open_store(url, registry.decode, readers=1) for _ in range(2))
    at_work, elsewhere = Desk(here, "cases", SystemClock()), Desk(there, "cases", SystemClock())
    ticket = await at_work.start("resend", {}, "operator/王敏", "a test")
    async with receiving() as receiver:
        target = Endpoint(receiver.url, SECRET, OPERATION)

        async def send() -> None:
            async with Watch(at_work, ticket) as tell:
                await resend(store, "cases", Selection(last=240), target, rate, tell)

        sending = asyncio.create_task(send())
        await _taken(receiver, 3)
        await elsewhere.pause(ticket.operation, "operator/李雷", "busy")
        taken = len(receiver.taken)
        await asyncio.sleep(0.5)
        assert taken <= len(receiver.taken) <= taken + 2 < 160
        progress = (await elsewhere.show(ticket.operation)).progress
        assert progress
        own = list(await store.read_log(0, 240, "cases", decode=False))
        assert progress.done == own[len(receiver.taken) - 1].position
        await elsewhere.resume(ticket.operation, "operator/李雷", "quiet")
        await _taken(receiver, taken + 3)
        await elsewhere.cancel(ticket.operation, "operator/李雷", "enough")
        taken = len(receiver.taken)
        with pytest.raises(CalledOff):
            await sending
        assert len(receiver.taken) <= taken + 2 < 160
        await target.close()
    assert receiver.ids == [record.id for record in own[: len(receiver.ids)]]
    for one in (here, there):
        await one.close()


async def _taken(receiver: Receiver, events: int) -> None:
    async with asyncio.timeout(20):
        while len(receiver.taken) < events:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


async def test_a_slow_rate_is_no_deaf_one(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits long for the next event to be due is asked in between whether it is still wanted."""
    monkeypatch.setattr(resending, "HEED_SECONDS", 0.01)
    target, heard = Kept(), 0

    async def tell(done: int, total: int) -> None:
        nonlocal heard
        heard += 1
        if heard == 5:
            raise CalledOff

    async with asyncio.timeout(5):
        with pytest.raises(CalledOff):
            await resend(store, "cases", ALL, target, 0.01, tell)
    assert len(target.records) == 1


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"order": "NOPE"}, "unknown_order"),
        ({"case": "NOPE-1"}, "unknown_case"),
        ({"case": "TB1-2"}, "unknown_case"),
        ({"order": "NOPE", "case": "TB1-1"}, "unknown_order"),
    ],
)
async def test_what_the_log_does_not_know(store: EventStore, asked: dict[str, str], code: str) -> None:
    """A slip of the pen in an order's or a case's number is told, not taken for one without events."""
    with pytest.raises(Refusal) as refused:
        await must_be_known(store, "cases", Selection(**asked))  # type: ignore[arg-type]
    assert refused.value.code == code
    await must_be_known(store, "cases", Selection(order="TB1", case="TB1-1"))
    await must_be_known(store, "cases", Selection(party="courier"))


async def test_called_off(store: EventStore) -> None:
    """Nothing is sent that was called off before."""

    async def tell(done: int, total: int) -> None:
        raise CalledOff

    target = Kept()
    with pytest.raises(CalledOff):
        await resend(store, "cases", ALL, target, tell=tell)
    assert not target.records


@pytest.mark.parametrize(
    ("damage", "asked", "where"),
    [
        ("DELETE FROM events WHERE position = 20", ALL, "#20"),
        ("DELETE FROM events WHERE position = 20", Selection(first=15, types=("case.rated",)), "#20"),
        ("DELETE FROM events WHERE stream = 'TB1' AND version = 3", Selection(order="TB1"), "TB1 v3"),
        (
            "UPDATE events SET actor = 'agent/x' WHERE stream = 'TB1' AND version = 3",
            Selection(case="TB1-1"),
            "TB1 v3 #15",
        ),
    ],
)
async def test_a_log_with_a_hole(new_log: NewLog, damage: str, asked: Selection, where: str) -> None:
    """Nothing is sent of a log from which events are missing, nor of an order that was altered; what stands before the
    hole can be sent."""
    store: Any = await new_log("damaged", 60)
    for trigger in ("events_keep_delete", "events_keep_update"):
        await store._written(f"DROP TRIGGER IF EXISTS {trigger}", ())
    await store._written(damage, ())
    target = Kept()
    with pytest.raises(LogDamaged) as raised:
        await resend(store, "cases", asked, target)
    assert raised.value.where == where
    assert not target.records
    await resend(store, "cases", Selection(last=14), target)
    assert target.records


async def test_where_it_stopped(store: EventStore) -> None:
    """Where the target takes no more, it is said how far it came and where to go on, so that nothing is left out."""
    target = Kept(fails_at=31)
    with pytest.raises(Interrupted) as raised:
        await resend(store, "cases", ALL, target, rate=10_000_000_000)
    assert raised.value.position == 1
    with pytest.raises(Interrupted) as raised:
        await resend(store, "cases", ALL, target, rate=100)
    assert raised.value.sent.events == len(target.records) == 20
    assert raised.value.position == 31


async def test_a_topic_gets_what_the_relay_publishes(store: EventStore, kafka: KafkaCluster) -> None:
    """Key, body and headers are those of the relay, with the mark besides, and readers take them as they are."""
    connection = Connection(servers=kafka.servers, prefix="resend-")
    await make_topic(connection, "resend-copy", partitions=3)
    target = Topic(connection, "resend-copy", OPERATION)
    sent = await resend(store, "cases", ALL, target)
    await target.close()
    messages = await messages_in(connection, "resend-copy")
    assert len(messages) == sent.events
    records = {record.id: record for record in await store.read_log(0, 100, "cases", decode=False)}
    for message in messages:
        read = envelope.parse(message.key, message.headers, message.value)
        record = records.pop(read.id)
        assert (read.sequence, read.data, read.time) == (record.sequence, record.data, record.time)
        assert [*message.headers] == [*envelope.headers(record), ("ce_replay", OPERATION.encode())]
    by_order: dict[bytes, list[int]] = {}
    for message in messages:
        by_order.setdefault(message.key, []).append(
            envelope.parse(message.key, message.headers, message.value).sequence
        )
    assert all(each == sorted(each) for each in by_order.values())


async def test_a_topic_that_is_not_there(store: EventStore, kafka: KafkaCluster) -> None:
    """No topic is made by a slip of the pen."""
    connection = Connection(servers=kafka.servers, prefix="resend-")
    target = Topic(connection, "resend-nowhere", OPERATION)
    with pytest.raises(Interrupted) as raised:
        await resend(store, "cases", ALL, target)
    assert isinstance(raised.value.__cause__, NoTopic)
    admin = await connection.admin()
    assert "resend-nowhere" not in await admin.list_topics()
    await admin.close()


async def test_an_endpoint_gets_signed_events(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each event comes as a CloudEvent with its own id, signed, marked, in order, and again until it is taken."""
    monkeypatch.setattr(replay, "PAUSES", (0.01, 0.01))
    async with receiving() as receiver:
        receiver.answers = [503, 429]
        target = Endpoint(receiver.url, SECRET, OPERATION)
        await resend(store, "cases", Selection(order="TB1"), target)
        await target.close()
    own = [record for record in await store.read_stream("TB1", decode=False) if record.source == "cases"]
    assert receiver.taken == [{**envelope.to_json(record), "replay": OPERATION} for record in own]
    assert receiver.ids == [record.id for record in own]


@pytest.mark.parametrize(("answers", "left"), [([404, 202], 1), ([503, 503, 503, 202], 1), ([302], 0)])
async def test_an_endpoint_that_does_not_take_them(
    store: EventStore, monkeypatch: pytest.MonkeyPatch, answers: list[int], left: int
) -> None:
    """A refusal ends it at once, a fault after some tries: nothing is skipped."""
    monkeypatch.setattr(replay, "PAUSES", (0.01, 0.01))
    async with receiving() as receiver:
        receiver.answers = answers
        target = Endpoint(receiver.url, SECRET, OPERATION)
        with pytest.raises(Interrupted) as raised:
            await resend(store, "cases", ALL, target)
        await target.close()
    assert isinstance(raised.value.__cause__, NotTaken)
    assert (receiver.taken, len(receiver.answers)) == ([], left)


async def test_nobody_listens(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address where nobody listens is an error that says so."""
    monkeypatch.setattr(replay, "PAUSES", ())
    target = Endpoint("http://127.0.0.1:9/", SECRET, OPERATION)
    with pytest.raises(Interrupted) as raised:
        await resend(store, "cases", ALL, target)
    await target.close()
    assert "127.0.0.1" in str(raised.value.__cause__)


async def test_live_topics(store: EventStore) -> None:
    """Nobody sends into a live topic without saying so, to another service's at all, or what the relay did not publish
    yet: readers would take it for a gap."""

    async def may(topic: str, into_live: bool = True, **asked: Any) -> None:
        await may_send_to(topic, store, "cases", Selection(**asked), "shop-", into_live)

    await may("shop-copy", into_live=False)
    await may("aftersales.cases.v1", into_live=False)  # another shop's, or nobody's
    with pytest.raises(LiveTopic):
        await may("shop-aftersales.cases.v1", into_live=False)
    for foreign in ("shop-aftersales.refunds.v1", "shop-orders.v1"):
        with pytest.raises(ForeignTopic):
            await may(foreign)
    await store.commit([Commit(checkpoint=(Checkpoint(Relay.name, "cases", 40),))])
    await may("shop-aftersales.cases.v1", last=40)
    with pytest.raises(NotPublishedYet) as raised:
        await may("shop-aftersales.cases.v1")
    assert (raised.value.last, raised.value.published) == (60, 40)
    with pytest.raises(NoSuchRange):
        await may("shop-aftersales.cases.v1", last=61)

"""What cannot go on: kept with its bytes, told to whoever watches, tried again or given up by name, and once."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs

from services.kernel.event_store import Commit, Statement
from services.kernel.kafka import dead_letters
from services.kernel.kafka.connection import Connection
from services.kernel.kafka.dead_letters import NotNext, Selection
from services.kernel.kafka.message import ERRORS, incoming
from services.kernel.kafka.parking import DEAD, DISCARDED, REDRIVEN, WAITING, ParkedMessage, Place
from services.kernel.log import MAX_DATA_BYTES
from services.stack.kafka import KafkaCluster
from tests.kernel.bus_contract import Message, Unreadable, added, effects, started, until
from tests.kernel.kafka import messages_in
from tests.kernel.toy_broker import KafkaBus, Member, Raw, decode

T = TypeVar("T")
_numbers = itertools.count()
ALL = (WAITING, DEAD, DISCARDED, REDRIVEN)


@pytest.fixture
async def bus(kafka: KafkaCluster, tmp_path: Path) -> AsyncIterator[KafkaBus]:
    bus = KafkaBus(Connection(servers=kafka.servers), f"dead{os.getpid()}-{next(_numbers)}", tmp_path)
    bus.retry_seconds = (0.05, 0.05)
    await bus.open()
    yield bus
    await bus.close()


async def dead_in(member: Member, *states: str) -> list[ParkedMessage]:
    return await dead_letters.selected(member.store, Selection(states=states or (DEAD,)))


async def eventually(look: Callable[[], Awaitable[T | None]]) -> T:
    """What is found once there is something to be found."""
    async with asyncio.timeout(20):
        while not (found := await look()):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    return found


async def published(bus: KafkaBus, count: int) -> list[Any]:
    async def enough() -> list[Any] | None:
        found = await messages_in(bus.connection, bus.dead_letters)
        return found if len(found) >= count else None

    return await eventually(enough)


def with_header(raw: tuple[bytes, bytes, list[tuple[str, bytes]]], name: str, value: bytes) -> list[tuple[str, bytes]]:
    return [(header, value if header == name else text) for header, text in raw[2]]


async def test_poison_dies_after_bounded_tries(bus: KafkaBus) -> None:
    """What fails again and again is dead after its tries: published with bytes, headers and reason; what follows it in
    its stream waits behind it, others go on, and a restart changes nothing of that."""
    raw = bus.raw(added("TB1", 2, 666))
    await bus.send(added("TB1", 1))
    await bus.send_raw(raw)
    await bus.send(added("TB1", 3), added("TB2", 1))
    member = bus.consumer(poison=[666])
    with capture_logs() as logs:
        await started(member)
        [letter] = await published(bus, 1)
    assert (letter.key, letter.value) == raw[:2]
    assert list(letter.headers)[: len(raw[2])] == raw[2]
    told = {name.removeprefix(ERRORS): value for name, value in letter.headers if name.startswith(ERRORS)}
    [dead] = await dead_in(member)
    assert told == {
        "exception": b"RuntimeError",
        "message": b"this amount is poison",
        "topic": bus.topic.encode(),
        "partition": str(dead.place.partition).encode(),
        "offset": str(dead.place.offset).encode(),
    }
    assert [one["event"] for one in logs if one["log_level"] == "error"] == ["stream_parked", "message_dead"]
    assert (dead.cause, dead.tries) == ("failed", 3)
    assert await effects(member) == {"TB1": [1], "TB2": [1]}
    assert "TB1 from #2" in member.stuck
    await member.stop()
    heir = await started(bus.consumer(poison=[666]))
    await bus.send(added("TB1", 4), added("TB2", 2))
    await heir.caught_up()
    assert heir.parked == ["TB1"]
    assert await effects(heir) == {"TB1": [1], "TB2": [1, 2]}
    assert [(one.sequence, one.cause) for one in await dead_in(heir, WAITING)] == [(3, "behind"), (4, "behind")]
    assert len(await messages_in(bus.connection, bus.dead_letters)) == 1


async def test_every_unreadable_message_dies_at_once_and_intact(bus: KafkaBus) -> None:
    """Whatever is wrong with a message, it is dead without another try, not a byte of it is lost, others go on."""
    sound = bus.raw(added("TB1", 1))
    future = bus.raw(Message("TB5", 1, Unreadable()))
    broken: dict[str, list[Raw]] = {
        "invalid_envelope": [
            (None, None, []),
            (b"\xff", b"\x00\xff", [("ce_id", b"\xff"), ("other", b"")]),
            (b"TB9", sound[1], sound[2]),
            (sound[0], sound[1], with_header(sound, "ce_source", b"/aftersales/cases")),
        ],
        "unknown_type": [future],
        "invalid_body": [(b"TB2", b"{", bus.raw(added("TB2", 1))[2]), (b"TB3", b"{}", bus.raw(added("TB3", 1))[2])],
        "too_large": [(b"TB4", b"9" * (MAX_DATA_BYTES + 1), bus.raw(added("TB4", 1))[2])],
    }
    everything = [message for messages in broken.values() for message in messages]
    await bus.send_raw(*everything, sound)
    await bus.send(added("TB2", 2), added("TB6", 1))
    member = await started(bus.consumer())
    assert await effects(member) == {"TB1": [1], "TB6": [1]}
    assert sorted(member.parked) == ["TB2", "TB3", "TB4", "TB5"]
    dead = await dead_in(member)
    kept = {(one.cause, one.message.key, one.message.value, tuple(one.message.headers)) for one in dead}
    assert kept == {(cause, m[0], m[1], tuple(m[2])) for cause, messages in broken.items() for m in messages}
    letters = await published(bus, len(everything))
    assert {(one.key, one.value) for one in letters} == {(key, value) for key, value, _ in everything}
    assert {one.cause: one.messages for one in await dead_letters.grouped(member.store)} == {
        **{cause: len(messages) for cause, messages in broken.items()},
        "behind": 1,
    }


async def test_redriven_runs_once(bus: KafkaBus) -> None:
    """A dead letter that is tried again after the cure really runs, once, and before what waits behind it; who asked
    for it is kept."""
    await bus.send(added("TB1", 1, 666), added("TB1", 2), added("TB1", 3))
    member = bus.consumer(poison=[666])
    await started(member)
    await published(bus, 1)
    [dead] = await dead_in(member)
    assert await dead_letters.redrive(member.store, dead, "小李")

    async def died_again() -> bool:
        return dead_letters.outcome(await dead_letters.found(member.store, dead.place)) == "dead"

    await eventually(died_again)
    member.domain.poison.clear()
    assert await dead_letters.redrive(member.store, dead, "小李")
    await until(lambda: not member.parked)
    assert await effects(member) == {"TB1": [666, 2, 3]}
    [kept] = await dead_in(member, *ALL)
    assert (kept.state, kept.resolved_by) == (REDRIVEN, "小李")
    assert dead_letters.outcome(kept) == "handled"
    await bus.send_raw((kept.message.key, kept.message.value, [(n, v or b"") for n, v in kept.message.headers]))
    await member.again()
    await member.caught_up()
    assert await effects(member) == {"TB1": [666, 2, 3]}
    assert not member.parked


async def test_redriven_without_owner_waits_for_one(bus: KafkaBus) -> None:
    """What is redriven while no consumer runs is tried by the next one; several of a stream in its order."""
    await bus.send(Message("TB1", 1, Unreadable()), added("TB1", 2, 666), added("TB1", 3))
    member = await started(bus.consumer(poison=[666]))
    [first] = await dead_in(member)
    await dead_letters.discard(member.store, first, "小李", "of no use")
    dead = await eventually(partial(dead_in, member))
    await member.stop()
    heir = bus.consumer()
    assert await dead_letters.redrive(heir.store, dead[0], "小李")
    await started(heir)
    await until(lambda: not heir.parked)
    assert await effects(heir) == {"TB1": [666, 3]}


async def test_discard_lets_the_stream_go_on(bus: KafkaBus) -> None:
    """What is given up counts as handled from then on, in the order of the stream, and is kept with who and why."""
    await bus.send(Message("TB1", 1, Unreadable()), Message("TB1", 2, Unreadable()), added("TB1", 3))
    member = await started(bus.consumer())
    one, two = await dead_in(member)
    with pytest.raises(NotNext, match="#0 is handled"):
        await dead_letters.discard(member.store, two, "小李", "wrong order")
    await dead_letters.discard(member.store, one, "小李", "a test of theirs")
    await dead_letters.discard(member.store, two, "小李", "a test of theirs")
    await until(lambda: not member.parked)
    assert await effects(member) == {"TB1": [3]}
    kept = await dead_in(member, *ALL)
    assert [(row.state, row.resolved_by, row.note) for row in kept] == [(DISCARDED, "小李", "a test of theirs")] * 2
    await bus.send(added("TB1", 4))
    await member.again()
    await member.caught_up()
    assert await effects(member) == {"TB1": [3, 4]}
    assert not member.parked


async def test_last_of_its_stream_is_discarded(bus: KafkaBus) -> None:
    """The stream is free again although nothing waited behind what was given up."""
    await bus.send(Message("TB1", 1, Unreadable()))
    member = await started(bus.consumer())
    [dead] = await dead_in(member)
    await dead_letters.discard(member.store, dead, "小李", "of no use")
    await until(lambda: not member.parked)
    await bus.send(added("TB1", 2))
    await member.caught_up()
    assert await effects(member) == {"TB1": [2]}


async def test_sound_copy_takes_the_place_of_a_dead_one(bus: KafkaBus) -> None:
    """Sent again in a form that can be read, a dead message is handled by that, and nobody has to do anything."""
    key, value, headers = bus.raw(added("TB1", 1))
    await bus.send_raw((key, b"{", headers))
    await bus.send(added("TB1", 2))
    member = await started(bus.consumer())
    assert member.parked == ["TB1"]
    await bus.send_raw((key, value, headers))
    await until(lambda: not member.parked)
    assert await effects(member) == {"TB1": [1, 2]}
    assert await dead_in(member, *ALL) == []


async def test_unreadable_again_when_it_was_handled_before(bus: KafkaBus) -> None:
    """A broken copy of what was handled long ago is no dead letter."""
    key, value, headers = bus.raw(added("TB1", 1))
    await bus.send_raw((key, value, headers), (key, b"{", headers))
    member = await started(bus.consumer())
    await bus.send_raw((key, b"{", headers))
    await bus.send(added("TB1", 2))
    await member.caught_up()
    await until(lambda: not member.parked)
    assert await effects(member) == {"TB1": [1, 2]}
    assert await dead_in(member, DEAD, WAITING) == []


async def test_unpublished_while_the_topic_is_missing(bus: KafkaBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the broker does not take dead letters they stay marked, with an alarm, and are published later."""
    member = bus.consumer()
    publish = member.dead_letters.__call__

    async def refused(_: object) -> None:
        raise OSError("refused")

    monkeypatch.setattr(member.consumer._outbox, "_publish", refused)
    await bus.send(Message("TB1", 1, Unreadable()), added("TB2", 1))
    await started(member)
    await until(lambda: "cannot be published" in member.stuck)
    assert await effects(member) == {"TB2": [1]}
    [dead] = await dead_in(member)
    assert dead.published_at is None
    monkeypatch.setattr(member.consumer._outbox, "_publish", publish)
    assert len(await published(bus, 1)) == 1
    await until(lambda: "cannot be published" not in member.stuck)
    [dead] = await dead_in(member)
    assert dead.published_at


async def test_stray_that_can_be_read_by_now(bus: KafkaBus) -> None:
    """A message that belonged to no stream is tried again with the stream that it turns out to be of."""
    await bus.send(added("TB1", 1))
    key, value, headers = bus.raw(added("TB1", 2))
    await bus.send_raw((b"TB9", value, headers), (None, None, []))
    member = await started(bus.consumer())
    strays = await dead_in(member)
    assert {one.cause for one in strays} == {"invalid_envelope"}
    [mended] = [one for one in strays if one.message.key]
    # As if a later release accepted such a key.
    sql = "UPDATE parked_messages SET key = ? WHERE position = ? AND partition = ?"
    statement = Statement(sql, [(key, mended.place.offset, mended.place.partition)])
    await member.store.commit([Commit(statements=(statement,))])
    for one in strays:
        assert await dead_letters.redrive(member.store, one, "小李")

    async def tried() -> bool:
        return not await dead_in(member, WAITING)

    await eventually(tried)
    await until(lambda: not member.parked)
    assert [one.message.key for one in await dead_in(member)] == [None]
    assert [one.state for one in await dead_in(member, REDRIVEN)] == [REDRIVEN]


async def test_what_would_still_be_unreadable(bus: KafkaBus) -> None:
    """Before anything is redriven it can be told what this program still cannot read."""
    await bus.send(Message("TB1", 1, Unreadable()), added("TB2", 1, 666))
    member = await started(bus.consumer(poison=[666]))

    async def both() -> list[ParkedMessage] | None:
        dead = await dead_in(member)
        return dead if len(dead) == 2 else None

    dead = await eventually(both)
    read = partial(incoming, source="toy", decode=decode)
    why = [dead_letters.unreadable(one, read) for one in dead]
    assert [one and one.cause for one in why] == ["unknown_type", None]


def test_place_as_a_person_writes_it() -> None:
    """A place is told and taken in one form, whatever the topic is called."""
    place = Place("shop-1/aftersales.cases.v1", 3, 1207)
    assert Place.parse(str(place)) == place
    with pytest.raises(ValueError):
        Place.parse("1207")

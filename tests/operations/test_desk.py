"""Operations on a log: what is told of them, who may do what when, and whom a process at work heeds."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC

import msgspec
import pytest

from services.kernel.event_store import IdempotentAnswer, KeyTaken
from services.kernel.fields import OrderId
from services.kernel.http.commands import stream_of_order
from services.kernel.long_work import CalledOff
from services.kernel.naming import is_operation, stream_of_operation
from services.kernel.operations import Desk, Operation, Ticket, Watch, lease_of, new_operation_id, service_in, watch
from services.kernel.refusal import Refusal

BY, OTHER = "operator/王敏", "store_manager/李雷"
NewDesk = Callable[[], Desk]
Begin = Callable[..., Awaitable[tuple[Process, str]]]


async def _types(desk: Desk, operation: str) -> list[str]:
    return [record.type for record in await desk.store.read_stream(stream_of_operation(operation))]


async def _until(desk: Desk, operation: str, holds: Callable[[Operation], bool]) -> Operation:
    async with asyncio.timeout(20):
        while not holds(known := await desk.show(operation)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    return known


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything goes ten times as fast."""
    monkeypatch.setattr(watch, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(watch, "NOTE_SECONDS", 0.1)


@pytest.fixture
async def begin(database_url: str) -> AsyncIterator[Begin]:
    """Begins processes that are at work on an operation, and ends them after the test."""
    processes: list[Process] = []

    async def run(operation: str = "") -> tuple[Process, str]:
        given = [operation] if operation else []
        arguments = ("-m", "tests.operations.worker", database_url, *given)
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=PIPE)
        processes.append(process)
        assert process.stdout
        return process, (await process.stdout.readline()).decode().strip()

    yield run
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_who_did_what_and_why_is_told_in_order(desk: Desk) -> None:
    """An auditor reads from the log alone who started, held up and ended what, with reasons."""
    ticket = await desk.start("verify", {"photos": True}, BY, "month's end")
    await desk.pause(ticket.operation, OTHER, "too busy")
    await desk.resume(ticket.operation, OTHER, "quiet again")
    await desk.finish(ticket.operation, BY, {"holds": True})
    records = await desk.store.read_stream(stream_of_operation(ticket.operation))
    told = [(one.type, one.actor, getattr(one.event, "reason", None)) for one in records]
    assert told == [
        ("operation.started", BY, "month's end"),
        ("operation.paused", OTHER, "too busy"),
        ("operation.resumed", OTHER, "quiet again"),
        ("operation.finished", BY, None),
    ]
    assert {(one.source, one.subject) for one in records} == {("cases", ticket.operation)}
    known = await desk.show(ticket.operation)
    assert (known.kind, known.options, known.state) == ("verify", {"photos": True}, "finished")
    assert (known.by, known.reason, known.outcome, known.version) == (BY, "month's end", {"holds": True}, 4)
    assert (known.by_last, known.reason_last) == (OTHER, "quiet again")  # its end has no reason of its own


def test_no_order_is_called_like_an_operation() -> None:
    """What a buyer's system sends as an order's id can never be taken for what an operator did."""
    operation = new_operation_id("cases", "what_if")
    assert (service_in(operation), is_operation(stream_of_operation(operation))) == ("cases", True)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(stream_of_operation(operation), OrderId)
    with pytest.raises(Refusal):
        stream_of_order(stream_of_operation(operation))
    for order in ("operation:1", "TB1001", "~stock"):
        assert not is_operation(order)


async def test_what_took_no_time_is_told_at_once(desk: Desk) -> None:
    """A checkpoint that was moved is told of in one go, and keeps nobody from moving the next."""
    for _ in range(2):
        operation = await desk.done("rewind", {"to": 5}, BY, "read again", {"moved": 1})
        assert await _types(desk, operation) == ["operation.started", "operation.finished"]
        assert (await desk.show(operation)).state == "finished"


async def test_what_is_announced_leaves_a_trace_whatever_becomes_of_it(desk: Desk) -> None:
    """An act of a moment is told before it is done: who dies half way leaves it interrupted, and keeps nobody from the
    next."""
    first, second = [await desk.announce("redrive", {"messages": ["t/0/1"]}, BY, "mended") for _ in range(2)]
    await desk.finish(second, BY, {"redriven": 1})
    assert [(await desk.show(one)).state for one in (first, second)] == ["interrupted", "finished"]


async def test_only_one_of_a_kind_is_at_work(new_desk: NewDesk) -> None:
    """Two operators who start the same at once do not do it twice; another kind goes on beside."""
    one, other = new_desk(), new_desk()
    first = await one.start("verify", {}, BY, "a")
    with pytest.raises(Refusal) as refused:
        await other.start("verify", {}, OTHER, "b")
    assert (refused.value.code, refused.value.params["operation"]) == ("operation_at_work", first.operation)
    await other.start("export", {}, OTHER, "c")
    assert len(await one.names()) == 2
    await one.finish(first.operation, BY, {})
    await one.let_go(first)
    await other.start("verify", {}, OTHER, "d")


@pytest.mark.parametrize(
    ("state", "refused"),
    [
        ("running", ["resume"]),
        ("paused", ["pause"]),
        ("cancelled", ["pause", "resume", "cancel"]),
        ("finished", ["pause", "resume", "cancel"]),
        ("failed", ["pause", "resume", "cancel"]),
        ("interrupted", ["pause"]),
    ],
)
async def test_what_the_state_does_not_allow_is_refused(desk: Desk, state: str, refused: list[str]) -> None:
    """Nobody pauses what is over, or resumes what runs: the answer names the state, and nothing is written."""
    ticket = await desk.start("verify", {}, BY, "a")
    operation = ticket.operation
    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "running": lambda: asyncio.sleep(0),
        "paused": lambda: desk.pause(operation, BY, ""),
        "cancelled": lambda: desk.cancel(operation, BY, ""),
        "finished": lambda: desk.finish(operation, BY, {}),
        "failed": lambda: desk.fail(operation, BY, "x", "坏了", "broken"),
        "interrupted": lambda: desk.let_go(ticket),
    }
    await steps[state]()
    before = await desk.show(operation)
    assert before.state == state
    for command in refused:
        with pytest.raises(Refusal) as no:
            await getattr(desk, command)(operation, BY, "")
        assert (no.value.code, no.value.params["state"]) == ("operation_state", state)
    assert await desk.show(operation) == before
    for command in {"pause", "resume", "cancel"} - {*refused}:
        await getattr(desk, command)(operation, BY, "")
        break


async def test_of_two_who_pause_at_once_one_is_told(new_desk: NewDesk) -> None:
    """One event, not two: the other operator learns that it was done already."""
    ticket = await new_desk().start("verify", {}, BY, "a")
    desks = [new_desk() for _ in range(4)]
    outcomes = await asyncio.gather(*(one.pause(ticket.operation, BY, "stop") for one in desks), return_exceptions=True)
    assert [outcome for outcome in outcomes if outcome is None] == [None]
    assert {outcome.params["state"] for outcome in outcomes if isinstance(outcome, Refusal)} == {"paused"}
    assert await _types(desks[0], ticket.operation) == ["operation.started", "operation.paused"]


async def test_a_change_is_for_the_version_that_was_seen(desk: Desk) -> None:
    """Whoever saw an older state and says so is refused, and learns the version."""
    ticket = await desk.start("verify", {}, BY, "a")
    await desk.pause(ticket.operation, BY, "", version=1)
    with pytest.raises(Refusal) as refused:
        await desk.cancel(ticket.operation, BY, "", version=1)
    assert (refused.value.code, refused.value.params) == ("version_conflict", {"version": 2})


async def test_the_answer_to_a_request_is_kept_with_its_event(desk: Desk) -> None:
    """A request that is sent again starts nothing a second time, nor leaves the kind locked."""

    def answer(operation: Operation) -> IdempotentAnswer:
        return IdempotentAnswer("key", b"h", 202, operation.id.encode(), operation.started_at)

    ticket = await desk.start("verify", {}, BY, "a", answer)
    with pytest.raises(KeyTaken) as taken:
        await desk.start("export", {}, BY, "a", answer)
    assert taken.value.answer.body.decode() == ticket.operation
    assert await desk.names() == [ticket.operation]
    assert await desk.store.holder(lease_of("export")) == ""


async def test_operations_are_listed_newest_first(desk: Desk) -> None:
    """The last one comes first, page by page, and streams of orders are not among them."""
    made = [await desk.done("rewind", {}, BY, "", {}) for _ in range(5)]
    assert await desk.names() == made[::-1]
    assert await desk.names(before=made[2], limit=1) == [made[1]]
    with pytest.raises(Refusal) as unknown:
        await desk.show("TB1001")
    assert unknown.value.code == "unknown_operation"


async def test_progress_is_told_with_rate_and_time_left(desk: Desk, hasty: None) -> None:
    """Whoever looks on sees how far it is, how fast, and how long it will take; the log gets no event of it."""
    ticket = await desk.start("verify", {}, BY, "a")
    async with Watch(desk, ticket) as tell:
        for done in range(1, 31):
            await asyncio.sleep(0.01)
            await tell(done, 60)
        await asyncio.sleep(0.1)
        await tell(30, 60)
        progress = (await desk.show(ticket.operation)).progress
        assert progress
        assert progress.seconds_left
        assert (progress.done, progress.total) == (30, 60)
        assert progress.rate == round(progress.rate, 1)
        assert progress.told_at.tzinfo is UTC
        assert progress.rate == pytest.approx(30 / progress.seconds_left, rel=0.05)
        assert 1 < progress.rate < 100
    assert await desk.store.head_position() == 1


async def test_a_pause_holds_the_work_up_until_it_is_resumed(new_desk: NewDesk, begin: Begin) -> None:
    """An operator stops what another process does, and lets it go on: work stands still in between."""
    desk = new_desk()
    process, operation = await begin()
    await _until(desk, operation, lambda one: bool(one.progress))
    await desk.pause(operation, OTHER, "too busy")
    await asyncio.sleep(1.5)  # it looks twice a second, and writes down where it stopped
    held = (await desk.show(operation)).progress
    await asyncio.sleep(1.5)
    still = await desk.show(operation)
    assert (still.state, still.progress) == ("paused", held)
    assert await desk.resume(operation, OTHER, "quiet again") is None
    assert held
    await _until(desk, operation, lambda one: bool(one.progress and one.progress.done > held.done))
    await desk.cancel(operation, OTHER, "enough")
    assert process.stdout
    assert (await asyncio.wait_for(process.stdout.readline(), 5)).decode().strip() == "off"
    assert await process.wait() == 0
    assert await desk.store.holder(lease_of("verify")) == ""


async def test_what_is_paused_can_be_cancelled(desk: Desk, hasty: None) -> None:
    """Work that waits in a pause ends when it is called off."""
    ticket = await desk.start("verify", {}, BY, "a")
    await desk.pause(ticket.operation, BY, "")
    async with Watch(desk, ticket) as tell:
        waits = asyncio.create_task(tell(1, 2))
        await asyncio.sleep(0.2)
        assert not waits.done()
        await desk.cancel(ticket.operation, BY, "")
        with pytest.raises(CalledOff):
            await waits
    with pytest.raises(CalledOff):
        await desk.finish(ticket.operation, BY, {})


async def test_what_was_killed_is_interrupted_and_can_be_taken_up(new_desk: NewDesk, begin: Begin) -> None:
    """A process that dies leaves an operation that anybody can have go on, once and not twice."""
    desk = new_desk()
    process, operation = await begin()
    await _until(desk, operation, lambda one: bool(one.progress))
    process.kill()
    await process.wait()
    await _until(desk, operation, lambda one: one.state == "interrupted")
    second, again = await begin(operation)
    assert again == operation
    assert (await desk.show(operation)).state == "running"
    with pytest.raises(Refusal):
        await desk.resume(operation, BY, "me too")
    assert await _types(desk, operation) == ["operation.started", "operation.resumed"]
    await desk.cancel(operation, BY, "enough")
    assert await second.wait() == 0


async def test_whoever_lost_the_right_to_work_stops(new_desk: NewDesk, hasty: None) -> None:
    """A process that was frozen does not go on beside the one that took over."""
    one, other = new_desk(), new_desk()
    ticket = await one.start("verify", {}, BY, "a")
    await one.let_go(ticket)
    taken = await other.resume(ticket.operation, OTHER, "it hangs")
    assert isinstance(taken, Ticket)
    async with Watch(one, ticket) as tell:
        with pytest.raises(CalledOff):
            await tell(1, 2)
    assert (await other.show(ticket.operation)).state == "running"

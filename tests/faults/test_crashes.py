"""Rows 4 to 9 of `faults.md`: the database and processes that are killed, at any moment and at the worst one."""

import asyncio
import random
import signal

import pytest

from tests.faults.history import History
from tests.faults.line import Answers, Line
from tests.faults.patience import PATIENCE_SECONDS, until
from tests.faults.plots import Story
from tests.faults.points import Doom
from tests.faults.stage import Stage


async def test_killed_database_says_try_again_and_loses_nothing(stage: Stage) -> None:
    """While PostgreSQL is gone, commands are answered 503 and retryable; nothing half is written, no offset moves."""
    async with stage.load() as load:
        await load.acknowledged(50)
        before = await stage.brokers.committed("aftersales-refunds")
        stage.stack.postgres.kill()
        await until(lambda: len(load.answers.unavailable) > 5)
        assert {(one.status, one.code, one.retryable) for one in load.answers.unavailable} == {
            (503, "unavailable", True)
        }
        await asyncio.to_thread(stage.stack.postgres.start)
        await load.acknowledged(50)
    history = await stage.must_be_sound()
    handled = history.logs["refunds"].checkpoints
    for (topic, number), offset in (await stage.brokers.committed("aftersales-refunds")).items():
        assert before.get((topic, number), 0) <= offset <= handled["aftersales-refunds", f"{topic}/{number}"]


@pytest.mark.parametrize("point", ["before_commit", "after_commit"])
async def test_command_of_a_killed_process_counts_once_or_not_at_all(stage: Stage, point: str) -> None:
    """Killed before its commit, a process leaves no event behind; killed after it, before anything is published, the
    event is published all the same. The sender repeats the command in both cases, and it happens once."""
    doomed = await stage.begin("cases-api-2", Doom(point))
    stage.answers.append(answers := Answers())
    looked = asyncio.Event()
    line = Line(lambda _: stage.urls("cases") if looked.is_set() else [doomed.url], stage.stack.token, answers, 1000)
    try:
        async with stage.load() as load:
            await load.acknowledged(20)
            story = Story(line, random.Random(stage.seed), f"row-{point}")
            command = asyncio.create_task(story.order())
            assert await doomed.wait(PATIENCE_SECONDS)
            assert doomed.exit_status == -signal.SIGKILL
            events = await stage.rows("cases", "SELECT id FROM events WHERE causation_id = $1", f"{story.order_id}/1")
            assert len(events) == (1 if point == "after_commit" else 0)
            looked.set()
            await command
            await load.acknowledged(20)
    finally:
        await line.close()
        await stage.end("cases-api-2")
    assert answers.unanswered
    assert answers.replayed == (1 if point == "after_commit" else 0)
    history = await stage.must_be_sound()
    assert [one.type for one in history.logs["cases"].events if one.stream == story.order_id] == ["order.recorded"]


@pytest.mark.parametrize(
    ("refunds", "liability"),
    [("handled_before_commit", "handled_after_commit"), ("handled_after_commit", "handled_before_commit")],
)
async def test_killed_relay_and_consumers_do_everything_once(stage: Stage, refunds: str, liability: str) -> None:
    """A relay is killed after the broker has events and before that is noted: they are published again under the same
    ids. A consumer is killed right before its commit, another right after it and before Kafka knows: the one handles
    the event later, the other not again."""
    await stage.quiet()
    before = _repeated(await stage.history(), "cases")
    fates = {
        "cases-relay": Doom("published", 5),
        "refunds-consume": Doom(refunds, 5),
        "liability-consume": Doom(liability, 5),
    }
    await asyncio.gather(*(stage.process(name).stop() for name in fates))
    doomed = await asyncio.gather(*(stage.begin(name, fate) for name, fate in fates.items()))
    async with stage.load() as load:
        for process in doomed:
            assert await process.wait(PATIENCE_SECONDS)
            assert process.exit_status == -signal.SIGKILL
            await stage.end(process.name)
        await load.acknowledged(40)
    history = await stage.must_be_sound()
    assert _repeated(history, "cases") > before


def _repeated(history: History, source: str) -> int:
    """How many messages of a topic were there before."""
    messages = history.topics[source]
    return len(messages) - len({message.header("ce_id") for message in messages})

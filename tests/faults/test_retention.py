"""Row 22 of `faults.md`: the broker deleted events before a consumer had handled them."""

from functools import partial

from tests.faults.patience import until
from tests.faults.stage import Stage

CASES = "aftersales.cases.v1"


async def test_deleted_events_are_missed_loudly_and_replayed_from_the_log(stage: Stage) -> None:
    """A consumer whose next event is gone from the topic stops with an alarm and skips nothing; published again from
    the log, and told to go on, it handles all of them, each once."""
    await stage.quiet()
    await stage.process("refunds-consume").stop()
    async with stage.load() as load:
        await load.acknowledged(80)
    await until(partial(_has_read_all, stage, "liability"))
    await stage.brokers.forget(CASES)
    handled = await _inbox(stage)
    await stage.process("refunds-consume").start()
    await until(partial(_alarms, stage, "refunds"))
    async with stage.load() as load:
        await load.acknowledged(20)
    stopped = await _inbox(stage)
    assert all(stopped.get(stream, 0) == sequence for stream, sequence in handled.items())
    await stage.command("republish", "cases", "--by", "老钱", "--json")
    await stage.command("resume", "refunds", "--by", "老钱", "--json")
    await stage.must_be_sound()


async def _alarms(stage: Stage, service: str) -> bool:
    """Whether the log of the process and `aftersales lag` tell what was lost, and nobody else is concerned."""
    told = await stage.command("lag", "--json", may_fail=True)
    lost = {one["service"] for one in told["consumers"] if one["lost"]}
    return lost == {service} and '"partition_stopped"' in stage.process(f"{service}-consume").log


async def _has_read_all(stage: Stage, service: str) -> bool:
    ends = await stage.brokers.ends([CASES])
    read = {
        row["source"]: row["position"] for row in await stage.rows(service, "SELECT source, position FROM checkpoints")
    }
    logs = {
        row["n"] for row in await stage.rows("cases", "SELECT max(position) AS n FROM events WHERE source = 'cases'")
    }
    relayed = {
        row["position"]
        for row in await stage.rows("cases", "SELECT position FROM checkpoints WHERE consumer = 'relay'")
    }
    return relayed >= logs and all(read.get(f"{topic}/{number}", 0) == end for (topic, number), end in ends.items())


async def _inbox(stage: Stage) -> dict[str, int]:
    rows = await stage.rows("refunds", "SELECT stream, sequence FROM inbox WHERE source = 'cases'")
    return {row["stream"]: row["sequence"] for row in rows}

"""Rows 10, 11, 13, 14 and 15 of `faults.md`: messages that come twice, late, too early, broken, or to a broken rule."""

import random
from functools import partial
from typing import Any

import msgspec

from contracts.events.cases import CaseOpened, LineQuantity
from contracts.events.orders import Line, Order, OrderRecorded
from contracts.registry import TOPICS
from services.kernel.clock import SystemClock
from tests.faults.brokers import made_up
from tests.faults.history import Message
from tests.faults.patience import until
from tests.faults.plots import LEAD, Story
from tests.faults.stage import Stage

GROUPS = ("refunds", "liability")


async def test_everything_delivered_again_and_late_happens_once(stage: Stage) -> None:
    """Every message of every topic comes once more, some keys' in the wrong order: nothing follows from it."""
    async with stage.load() as load:
        await load.acknowledged(60)
    before = await stage.must_be_sound()
    chance = random.Random(stage.seed)
    messages = [message for topic in before.topics.values() for message in topic]
    again = messages[-300:]
    chance.shuffle(again)
    await stage.brokers.send([*messages[-300:], *again])
    after = await stage.must_be_sound()
    for service, log in after.logs.items():
        assert len(log.events) == len(before.logs[service].events)


async def test_missing_message_is_waited_for_and_never_guessed(stage: Stage) -> None:
    """The events of a key come out of order: what is too early waits, with an alarm, until the gap is filled; the
    others go on."""
    stream = f"GAP{stage.seed}"
    stage.made_up.add(stream)
    first, second, third, fourth = _opened(stream, 4)
    await stage.brokers.send([first, fourth, third])
    async with stage.load() as load:
        for service in GROUPS:
            await until(partial(_waits, stage, service, stream, 2, "gap"))
            assert await _learned(stage, service, stream) <= {1}
        await until(
            partial(_shows, stage, "refunds-consume", 'aftersales_parked_streams{cause="gap",service="refunds"} 1.0')
        )
        await load.acknowledged(20)
    await stage.brokers.send([second])
    for service in GROUPS:
        await until(partial(_waits, stage, service, stream, 0))
    history = await stage.must_be_sound()
    learned = [event.sequence for event in history.logs["refunds"].events if event.stream == stream]
    assert learned == [1, 2, 3, 4]


async def test_broken_messages_are_dead_at_once_with_their_bytes(stage: Stage) -> None:
    """A message that breaks its schema or that nobody knows is put aside at once as it came; its key waits behind it,
    and no other does."""
    stream = f"BROKEN{stage.seed}"
    stage.made_up |= {stream, ""}
    first, second, third, _ = _opened(stream, 4)
    body = msgspec.json.decode(second.value or b"")
    broken = {
        "invalid_body": _with(second, value=msgspec.json.encode(body | {"problem": 7})),
        "later version": _with(
            second, value=b'{"type":"case.opened"}', ce_dataschema="urn:aftersales:event:case.opened:v9"
        ),
        "unknown_type": _with(
            second, ce_type="case.teleported", ce_dataschema="urn:aftersales:event:case.teleported:v1"
        ),
        "invalid_envelope": _with(second, ce_sequence="two"),
        "no envelope": Message(TOPICS["cases"], 0, 0, None, (), b"\xff\xfe"),
    }
    async with stage.load() as load:
        await stage.brokers.send([first, *broken.values(), third])
        for service in GROUPS:
            await until(partial(_dead, stage, service, len(broken)))
        await load.acknowledged(20)
    history = await stage.must_be_sound()
    buried = history.dead["aftersales.cases.v1.aftersales-refunds.dlq"]
    for name, message in broken.items():
        found = [one for one in buried if (one.key, one.value) == (message.key, message.value)]
        [letter] = [one for one in found if set(message.headers) <= set(one.headers)]
        assert any(header.startswith("__streams.errors.") for header, _ in letter.headers), name
    assert await _learned(stage, "refunds", stream) == {1}
    discard = ("dlq", "discard", "--stream", stream, "--by", "老钱", "--reason", "演练", "--json")
    for service in GROUPS:
        await stage.command(*discard, "--service", service)
        await until(partial(_waits, stage, service, stream, 0))
    assert await _learned(stage, "refunds", stream) == {1, 3}


async def test_poison_is_dead_lettered_and_redriven_once(stage: Stage) -> None:
    """A release fails on one order's refund: it is retried a bounded number of times and dead-lettered, the order's
    later events wait behind it, other orders are refunded. With the bug mended it is redriven, and paid once."""
    stream = f"POISON{stage.seed}"
    await stage.process("refunds-consume").stop()
    await stage.begin("refunds-consume", faulty_for=stream)
    async with stage.load() as load:
        story = Story(load.line, random.Random(stage.seed), stream)
        await story.order()
        await story.opens("logistics_delay")
        lines = [{"line_id": "L1", "quantity": 1}]
        await story.do("request_refund", LEAD, lines=lines, refund_only=True)
        await until(partial(_dead, stage, "refunds", 1, stream))
        await story.do("assess_cause", cause="supply_delay")
        await story.compensated("voucher", 300)
        await until(partial(_waits, stage, "refunds", stream, 3, "behind"))
        await load.acknowledged(40)
    assert await _payouts(stage, stream) == []
    await stage.end("refunds-consume")
    listed = await stage.command("dlq", "list", "--service", "refunds", "--stream", stream, "--json")
    [place] = [one["place"] for one in listed["messages"] if one["state"] == "dead"]
    redrive = ("dlq", "redrive", place, "--service", "refunds", "--by", "老钱", "--json")
    assert [one["outcome"] for one in (await stage.command(*redrive))["messages"]] == ["handled"]
    await until(partial(_waits, stage, "refunds", stream, 0))
    await stage.must_be_sound()
    assert await _payouts(stage, stream) == [(f"{stream}-1:refund:F1", "succeeded", 1)]
    await stage.command(*redrive, may_fail=True)
    await stage.must_be_sound()
    assert await _payouts(stage, stream) == [(f"{stream}-1:refund:F1", "succeeded", 1)]


def _opened(stream: str, count: int) -> list[Message]:
    """What the cases service would publish of an order with cases that nobody ever opened."""
    line = Line(line_id="L1", sku="LOCK-A1", kind="product", quantity=9, paid_fen=900, unit_cost_fen=1)
    order = Order(order_id=stream, channel="taobao", buyer_id="nobody", ordered_at=SystemClock().now(), lines=(line,))
    cases = [
        CaseOpened(
            case_id=f"{stream}-{number}",
            order_id=stream,
            problem="logistics_delay",
            lines=(LineQuantity(line_id="L1", quantity=1),),
            description="…",
        )
        for number in range(1, count)
    ]
    return [
        made_up(event, stream, number) for number, event in enumerate((OrderRecorded(order=order), *cases), start=1)
    ]


def _with(message: Message, value: bytes | None = None, **headers: str) -> Message:
    changed = {name: text.encode() for name, text in headers.items()}
    own = tuple((name, changed.get(name, raw)) for name, raw in message.headers)
    return Message(message.topic, -1, 0, message.key, own, value or message.value)


async def _waits(stage: Stage, service: str, stream: str, count: int, cause: str = "") -> bool:
    """Whether so many messages of a stream wait, among them one for this cause."""
    sql = "SELECT cause FROM parked_messages WHERE stream = $1 AND state = 'waiting'"
    causes = [row["cause"] for row in await stage.rows(service, sql, stream)]
    return len(causes) >= count > 0 and cause in causes if count else not causes


async def _dead(stage: Stage, service: str, count: int, stream: str = "%") -> bool:
    sql = "SELECT count(*) AS n FROM parked_messages WHERE state = 'dead' AND stream LIKE $1"
    return int((await stage.rows(service, sql, stream))[0]["n"]) >= count


async def _learned(stage: Stage, service: str, stream: str) -> set[int]:
    sql = "SELECT sequence FROM events WHERE stream = $1 AND source = 'cases'"
    return {row["sequence"] for row in await stage.rows(service, sql, stream)}


async def _shows(stage: Stage, name: str, line: str) -> bool:
    return line in (await stage.said(name, "/metrics")).splitlines()


async def _payouts(stage: Stage, order_id: str) -> list[tuple[Any, ...]]:
    sql = "SELECT payout, status, attempt FROM payout_view WHERE order_id = $1 ORDER BY payout"
    return [tuple(row.values()) for row in await stage.rows("refunds", sql, order_id)]

"""The judge itself: it finds nothing in a good history, and names whatever is done to a copy of it."""

import asyncio
import copy
import json
import pickle
import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from contracts import envelope
from services.embedded import Embedded
from services.kernel import logging
from services.kernel.clock import ManualClock
from services.kernel.settings import load_settings
from services.sandbox import SandboxSettings, start
from tests.faults.checker import ALWAYS, SETTLED, judge
from tests.faults.history import TABLES, History, Log, Logged, Message
from tests.faults.load import Load
from tests.shop import provider

SEED, COMMANDS, PARTITIONS = 11, 600, 3
OUTCOMES: Any = ("ok", "fail", "timeout_paid", "late", "duplicate_callback", "lie", "timeout_unpaid", "error") * 8


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> History:
    """What a real stream of commands left behind, on the embedded store."""
    return asyncio.run(_lived(tmp_path_factory.mktemp("shop")))


@pytest.fixture(scope="module")
def copied(good: History) -> bytes:
    """What each test makes its copy of the good history from: ten times as fast as `deepcopy`."""
    return pickle.dumps(good)


async def _lived(folder: Path) -> History:
    logging.set_up("error", "json")
    sandbox = await start(SandboxSettings(outcomes=OUTCOMES))
    clock = ManualClock(datetime.now().astimezone())
    shop = Embedded(load_settings({}, data_dir=folder, port=0, **provider(sandbox)), clock=clock)
    await shop.start()
    sandbox.callbacks.url = f"{shop.base_url}/v1/gateway/callbacks"
    load = Load(lambda _: [shop.base_url], shop.token, seed=SEED, senders=24, commands_per_second=150)
    try:
        async with load:
            await load.acknowledged(COMMANDS)
        await sandbox.callbacks.quiet()
        await shop.set_time(clock.now() + timedelta(minutes=1))  # when the provider is asked about what is open
    finally:
        await shop.stop()
        await sandbox.close()
    assert not load.answers.surprises
    paid = [{name: getattr(one, name) for name in one.__struct_fields__} for one in sandbox.account.paid]
    logs = {service: _read(service, folder / f"{service}.db") for service in TABLES}
    topics = {service: _published(log) for service, log in logs.items()}
    for service, log in logs.items():
        log.checkpoints["relay", service] = len(log.events)
    return History(logs, topics, {}, paid, load.answers.acknowledged)


def _read(service: str, file: Path) -> Log:
    database = sqlite3.connect(file)
    try:
        columns = ", ".join(f'"{name}"' for name in Logged.__slots__)
        log = Log(
            service, [Logged(*row) for row in database.execute(f"SELECT {columns} FROM events ORDER BY position")]
        )
        log.heads = {row[0]: row[1:] for row in database.execute("SELECT stream, version, sequence, hash FROM streams")}
        log.inbox = {row[:2]: row[2] for row in database.execute("SELECT source, stream, sequence FROM inbox")}
        read = database.execute("SELECT consumer, source, position FROM checkpoints")
        log.checkpoints = {row[:2]: row[2] for row in read}
        database.row_factory = sqlite3.Row
        log.tables = {table: list(map(dict, database.execute(f"SELECT * FROM {table}"))) for table in TABLES[service]}
        return log
    finally:
        database.close()


def _published(log: Log) -> list[Message]:
    """The topic as a relay leaves it that published a good part twice."""
    own = log.own()
    messages, ends = [], [0] * PARTITIONS
    for event in (*own[: len(own) // 2], *own[len(own) // 3 :]):
        told: Any = SimpleNamespace(**{name: getattr(event, name) for name in Logged.__slots__})
        told.time = datetime.fromisoformat(event.time)
        key = event.stream.encode()
        partition = zlib.crc32(key) % PARTITIONS
        headers = tuple(envelope.headers(told))
        messages.append(Message(log.service, partition, ends[partition], key, headers, event.data))
        ends[partition] += 1
    return sorted(messages, key=lambda one: (one.partition, one.offset))


def test_good_history_is_sound(good: History) -> None:
    """A judge that finds something in every history is as worthless as one that finds nothing."""
    assert judge(good) == []
    types = {event.type for log in good.logs.values() for event in log.events}
    assert len(good.acknowledged) >= COMMANDS
    assert {"payout.succeeded", "payout.failed", "loss.charged", "loss.recovered", "stock.reserved"} <= types
    assert {"insurance.paid", "deposit.returned", "reshipment.shipped", "case.closed", "refund.settled"} <= types
    assert "exception.raised" in types


Damage = Callable[[History], object]


def _event(history: History, service: str, type: str) -> Logged:
    """The last of its kind, in a case whose loss is borne by somebody where there is such a one."""
    events = [event for event in history.logs[service].own() if event.type == type]
    borne = {event.subject for event in history.logs["liability"].own() if event.type == "loss.charged"}
    return max(events, key=lambda event: (event.subject in borne, event.position))


def _edit(service: str, type: str, by_fen: int) -> Damage:
    """Write another amount into an event, as one who can write to the database does."""

    def damage(history: History) -> None:
        event = _event(history, service, type)
        body = json.loads(event.data)
        event.data = json.dumps({**body, "amount_fen": body["amount_fen"] + by_fen}).encode()

    return damage


def _forget(service: str, type: str) -> Damage:
    """Take an event out of a log, and close the gap in its positions."""

    def damage(history: History) -> None:
        log = history.logs[service]
        gone = _event(history, service, type)
        log.events = [event for event in log.events if event is not gone]
        for position, event in enumerate(log.events, start=1):
            event.position = position

    return damage


def _again(service: str, type: str) -> Damage:
    """Decide the same thing once more, well in order: as a message that was handled twice does."""

    def damage(history: History) -> None:
        log = history.logs[service]
        again = copy.copy(_event(history, service, type))
        version, sequence, _ = log.heads[again.stream]
        again.id, again.position = f"{again.id}-again", len(log.events) + 1
        again.version, again.sequence = version + 1, sequence + 1
        log.events.append(again)

    return damage


def _topic(service: str, damage: Callable[[list[Message]], object]) -> Damage:
    return lambda history: damage(history.topics[service])


def _swap(messages: list[Message]) -> None:
    """Swap two events of a key, as a producer without idempotence may."""
    times = Counter(message.header("ce_id") for message in messages)
    single = [message for message in messages if times[message.header("ce_id")] == 1]
    key = next(key for key, count in Counter(message.key for message in single).items() if count > 1)
    one, other = [message for message in single if message.key == key][:2]
    one.headers, other.headers = other.headers, one.headers
    one.value, other.value = other.value, one.value


def _drop(messages: list[Message]) -> None:
    """A whole key loses its third event, in all copies."""
    dropped = [one for one in messages if (one.key, one.header("ce_sequence")) == (b"L3", "3")]
    assert dropped
    messages[:] = [one for one in messages if one not in dropped]


def _drop_last(messages: list[Message]) -> None:
    last = messages[-1].header("ce_id")
    messages[:] = [one for one in messages if one.header("ce_id") != last]


def _move(messages: list[Message]) -> None:
    """A repetition goes to another partition."""
    message = copy.copy(messages[-1])
    message.partition, message.offset = message.partition + 1, 0
    messages.append(message)


def _alter_copy(messages: list[Message]) -> None:
    message = copy.copy(messages[-1])
    message.offset, message.value = message.offset + 1, (message.value or b"") + b" "
    messages.append(message)


def _add_message(messages: list[Message]) -> None:
    message = copy.copy(messages[-1])
    message.offset += 1
    message.headers = tuple((name, b"nobody" if name == "ce_id" else raw) for name, raw in message.headers)
    messages.append(message)


def _row(service: str, table: str, column: str, by: Any) -> Damage:
    """Change a row of a read table: add to a number, or write a text."""

    def damage(history: History) -> None:
        rows = history.logs[service].tables[table]
        row = next((row for row in rows if row[column]), rows[0])
        row[column] = row[column] + by if isinstance(by, int) else by

    return damage


def _lose_row(service: str, table: str, column: str) -> Damage:
    def damage(history: History) -> None:
        rows = history.logs[service].tables[table]
        rows.remove(next(row for row in rows if row[column]))

    return damage


def _reserve_more(history: History) -> None:
    """More units are reserved than anybody ever reported, as two writers do that do not see one another."""
    event = _event(history, "cases", "stock.reserved")
    body = json.loads(event.data)
    body["items"][0]["quantity"] += 1_000_000
    event.data = json.dumps(body).encode()


def _refund_more(history: History) -> None:
    """A refund of a line that was compensated before is altered: its line now got more than was paid."""
    event = _event(history, "refunds", "refund.settled")
    body = json.loads(event.data)
    body["lines"][0]["refund_fen"] += 1_000_000
    event.data = json.dumps(body).encode()


def _learned(history: History, service: str) -> Logged:
    return next(event for event in history.logs[service].events if event.source != service)


def _learn_again(history: History) -> None:
    log = history.logs["refunds"]
    again = copy.copy(_learned(history, "refunds"))
    again.position, again.version = len(log.events) + 1, log.heads[again.stream][0] + 1
    log.events.append(again)


def _learn_wrong(history: History) -> None:
    event = _learned(history, "refunds")
    event.time = event.time.replace("20", "21", 1)


def _swap_positions(history: History) -> None:
    events = history.logs["cases"].events
    events[0].position, events[1].position = events[1].position, events[0].position


def _rewrite_chain(history: History) -> None:
    """Give an altered stream's last event a hash that fits nothing."""
    event = history.logs["liability"].events[-1]
    event.hash = bytes(32)


def _inbox(by: int) -> Damage:
    def damage(history: History) -> None:
        place = next(place for place, last in history.logs["liability"].inbox.items() if last > 3)
        history.logs["liability"].inbox[place] += by

    return damage


def _pay(history: History, **changes: Any) -> None:
    assert history.paid
    history.paid.append({**history.paid[0], **changes})


def _checkpoint(service: str, consumer: str, by: int) -> Damage:
    def damage(history: History) -> None:
        history.logs[service].checkpoints[consumer, service] += by

    return damage


def _pass_unhandled(history: History) -> None:
    """A consumer's checkpoint passes messages of a key that its inbox does not know."""
    log, message = history.logs["refunds"], history.topics["cases"][-1]
    del log.inbox["cases", (message.key or b"").decode()]
    log.checkpoints["aftersales-refunds", f"aftersales.cases.v1/{message.partition}"] = message.offset + 1


def _lie_to_sender(history: History) -> None:
    one = history.acknowledged[0]
    history.acknowledged[0] = one._replace(events=(("nobody", one.events[0][1]), *one.events[1:]))


DAMAGES: dict[str, tuple[Damage, set[str]]] = {
    "acknowledged event lost": (
        _forget("cases", "case.opened"),
        {"acknowledged_events_are_logged", "streams_are_dense", "chain_is_whole", "topics_hold_only_what_was_decided"},
    ),
    "sender was told of another event": (
        _lie_to_sender,
        {"acknowledged_events_are_logged", "acknowledged_events_are_published"},
    ),
    "amount altered": (_edit("liability", "loss.recorded", 1), {"chain_is_whole"}),
    "compensation altered": (
        _edit("cases", "compensation.paid", 1),
        {"chain_is_whole", "losses_follow_from_facts"},
    ),
    "refund altered": (_refund_more, {"chain_is_whole", "refunds_stay_below_what_was_paid"}),
    "last hash altered": (_rewrite_chain, {"chain_is_whole"}),
    "event moved in the log": (_swap_positions, {"positions_are_dense"}),
    "loss recorded twice": (
        _again("liability", "loss.recorded"),
        {"effects_are_single", "refunds_are_single", "losses_follow_from_facts", "parties_bear_the_losses"},
    ),
    "payout asked for twice": (_again("refunds", "payout.requested"), {"effects_are_single", "payouts_are_single"}),
    "payout made twice": (_again("refunds", "payout.succeeded"), {"payouts_are_single"}),
    "refund settled twice": (
        _again("refunds", "refund.settled"),
        {"refunds_are_single", "losses_follow_from_facts"},
    ),
    "command executed twice": (_again("cases", "evidence.accepted"), {"effects_are_single"}),
    "learned twice": (_learn_again, {"ids_are_single", "learned_in_order"}),
    "learned something else": (_learn_wrong, {"ids_are_single", "chain_is_whole"}),
    "messages swapped": (
        _topic("cases", _swap),
        {"keys_keep_their_order"},
    ),
    "message lost": (
        _topic("cases", _drop),
        {"keys_keep_their_order", "everything_was_published", "checkpoints_are_not_ahead"},
    ),
    "last message lost": (_topic("refunds", _drop_last), {"everything_was_published", "checkpoints_are_not_ahead"}),
    "message repeated elsewhere": (
        _topic("cases", _move),
        {"keys_keep_their_order", "messages_of_an_id_are_alike"},
    ),
    "message repeated with other bytes": (
        _topic("cases", _alter_copy),
        {"messages_of_an_id_are_alike", "topics_hold_only_what_was_decided"},
    ),
    "message that nobody decided": (_topic("cases", _add_message), {"topics_hold_only_what_was_decided"}),
    "inbox ahead": (_inbox(+1), {"inbox_is_not_ahead", "everything_was_heard"}),
    "inbox behind": (_inbox(-1), {"everything_was_heard"}),
    "relay ahead": (_checkpoint("cases", "relay", +1), {"checkpoints_are_not_ahead"}),
    "views behind": (_checkpoint("cases", "views", -1), {"log_consumers_caught_up"}),
    "message passed": (_pass_unhandled, {"checkpoints_are_not_ahead", "everything_was_heard"}),
    "provider paid twice": (lambda history: _pay(history, channel_ref="SBX-again"), {"provider_paid_once"}),
    "provider paid what nobody asked for": (
        lambda history: _pay(history, reference="TB9-1:refund:F1"),
        {"provider_paid_once", "provider_agrees"},
    ),
    "provider paid another amount": (
        lambda history: (history.paid or [{}])[0].update(amount_fen=1),
        {"provider_paid_once", "provider_agrees"},
    ),
    "payment not noted": (lambda history: (history.paid or [{}]).pop(), {"provider_agrees"}),
    "case row stale": (_row("cases", "case_view", "status", "pending"), {"cases_table_is_the_fold"}),
    "case row lost": (_lose_row("cases", "case_view", "status"), {"cases_table_is_the_fold"}),
    "stock row wrong": (_row("cases", "stock_view", "sku", "LOCK-X"), {"stock_table_is_the_fold"}),
    "shelf oversold": (_reserve_more, {"chain_is_whole", "shelf_is_never_oversold", "stock_table_is_the_fold"}),
    "payout row wrong": (_row("refunds", "payout_view", "amount_fen", 1), {"payouts_table_is_the_fold"}),
    "settlement row wrong": (_row("refunds", "settlement_view", "net_fen", 1), {"settlements_table_is_the_fold"}),
    "settlement row lost": (_lose_row("refunds", "settlement_view", "net_fen"), {"settlements_table_is_the_fold"}),
    "exception row lost": (_lose_row("refunds", "exception_view", "case_id"), {"exceptions_table_is_the_fold"}),
    "exception row of another case": (
        _row("refunds", "exception_view", "case_id", "nobody-1"),
        {"exceptions_table_is_the_fold"},
    ),
    "loss row wrong": (
        _row("liability", "loss_view", "net_fen", 1),
        {"losses_tables_are_the_fold", "parties_and_suspense_make_the_loss"},
    ),
    "suspense wrong": (_row("liability", "loss_view", "suspense_fen", 1), {"parties_and_suspense_make_the_loss"}),
    "charge row wrong": (
        _row("liability", "charge_view", "charged_fen", 1),
        {"losses_tables_are_the_fold", "parties_and_suspense_make_the_loss"},
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_named(copied: bytes, name: str) -> None:
    """Whatever is damaged in a copy is found by the rules that are there for it."""
    damage, rules = DAMAGES[name]
    history: History = pickle.loads(copied)
    damage(history)
    found = {finding.rule for finding in judge(history)}
    assert rules <= found


def test_every_rule_can_fail() -> None:
    """There is no rule that no damage of this module makes speak."""
    spoken = {rule for _, rules in DAMAGES.values() for rule in rules}
    assert {rule.__name__ for rule in (*ALWAYS, *SETTLED)} == spoken


def test_history_is_not_damaged_by_its_copy(good: History) -> None:
    """The damages above were done to copies: the good history still is good."""
    assert judge(good) == []

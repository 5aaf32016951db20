"""The judge: reads what is in logs, topics, read tables and the provider's books, and says what is wrong.

It knows the contract (`contracts/`, `domain.md`, `faults.md`) and none of the services' code; hashes, folds and sums
are computed anew here and in `books.py`. Each rule gives what breaks it; the first example is told.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from contracts.registry import TOPICS
from tests.faults import books
from tests.faults.history import HEARS, VIEWS, History, Log, Logged, Message

Rule = Callable[[History], Iterator[str]]


class Finding(NamedTuple):
    """A rule that does not hold: the first example, and how many there are."""

    rule: str
    example: str
    times: int

    def __str__(self) -> str:
        return f"{self.rule}: {self.example}" + (f" (and {self.times - 1} more)" if self.times > 1 else "")


class Unsound(AssertionError):
    """The history is not what it must be; the message names the first example of each finding."""


def judge(history: History, *, settled: bool = True) -> list[Finding]:
    """What is wrong. `settled`: nothing is on its way any more, so what follows from what must all be there."""
    findings = []
    for rule in (*ALWAYS, *(SETTLED if settled else ())):
        broken = list(rule(history))
        if broken:
            findings.append(Finding(rule.__name__, broken[0], len(broken)))
    return findings


def must_be_sound(history: History, *, settled: bool = True) -> None:
    """Raises `Unsound` with all findings."""
    if findings := judge(history, settled=settled):
        raise Unsound("\n".join(map(str, findings)))


# -- the logs


def acknowledged_events_are_logged(history: History) -> Iterator[str]:
    """What a sender was told of is in the log, where he was told."""
    places = {
        (log.service, event.stream, event.version): (event.id, event.type)
        for log in history.logs.values()
        for event in log.events
    }
    for one in history.acknowledged:
        first = one.version - len(one.events) + 1
        for version, told in enumerate(one.events, start=first):
            found = places.get((one.service, one.stream, version))
            if found != told:
                yield f"{one.key} ({one.command}): told {told[1]} {told[0]} at {one.stream}#{version}, there is {found}"


def positions_are_dense(history: History) -> Iterator[str]:
    """Positions count every event of a log."""
    for log in history.logs.values():
        for expected, event in enumerate(log.events, start=1):
            if event.position != expected:
                yield f"log of {log.service}: {event.id} stands at {event.position} instead of {expected}"
                break


def streams_are_dense(history: History) -> Iterator[str]:
    """Versions count every event of a stream, sequences its own ones, both in the order of the log."""
    for log in history.logs.values():
        versions: dict[str, int] = defaultdict(int)
        sequences: dict[str, int] = defaultdict(int)
        for event in log.events:
            versions[event.stream] += 1
            sequences[event.stream] += event.source == log.service
            if event.version != versions[event.stream]:
                yield f"{log.service}/{event.stream}: version {event.version} instead of {versions[event.stream]}"
            elif event.source == log.service and event.sequence != sequences[event.stream]:
                yield f"{log.service}/{event.stream}: sequence {event.sequence} instead of {sequences[event.stream]}"
        for stream, (version, sequence, _) in log.heads.items():
            if (version, sequence) != (versions[stream], sequences[stream]):
                yield f"{log.service}/{stream}: its head says {version}, {sequence}, but it holds {versions[stream]}"


def chain_is_whole(history: History) -> Iterator[str]:
    """Each event is chained by its hash to the one before it in its stream, and the last one to the stream's head."""
    for log in history.logs.values():
        hashes: dict[str, bytes] = defaultdict(lambda: bytes(32))
        broken: set[str] = set()
        for event in log.events:
            if event.stream not in broken and event.hash != _chained(hashes[event.stream], event):
                broken.add(event.stream)
                yield f"{log.service}/{event.stream}#{event.version} ({event.type} {event.id}) does not fit its hash"
            hashes[event.stream] = event.hash
        for stream, (_, _, hash) in log.heads.items():
            if hash != hashes[stream]:
                yield f"{log.service}/{stream}: its head names another hash than its last event has"


def _chained(previous: bytes, event: Logged) -> bytes:
    fields = (
        *(event.stream, event.version, event.sequence, event.id, event.type, event.schema, event.source),
        *(event.subject, event.time, event.actor, event.correlation_id, event.causation_id, event.policy),
        event.traceparent,
    )
    written = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    return hashlib.sha256(previous + written + event.data).digest()


def ids_are_single(history: History) -> Iterator[str]:
    """No log holds an event twice; a learned one is the very one that its source's log holds."""
    origins = {event.id: event for log in history.logs.values() for event in log.own()}
    for log in history.logs.values():
        seen: dict[str, Logged] = {}
        for event in log.events:
            if event.id in seen:
                yield f"log of {log.service}: {event.type} {event.id} at {seen[event.id].position} and {event.position}"
            seen[event.id] = event
            origin = origins.get(event.id)
            if event.source == log.service or event.source not in history.logs or event.stream in history.made_up:
                continue
            if origin is None or _content(origin) != _content(event):
                yield f"log of {log.service}: {event.type} {event.id} is not what {event.source} decided"


def _content(event: Logged) -> tuple[object, ...]:
    return (event.stream, event.sequence, event.type, event.schema, event.source, event.subject, event.time, event.data)


# -- the topics


def acknowledged_events_are_published(history: History) -> Iterator[str]:
    """What a sender was told of reached the topic."""
    if not history.topics:
        return
    published = {message.header("ce_id") for messages in history.topics.values() for message in messages}
    for one in history.acknowledged:
        for id, type in one.events:
            if id not in published:
                yield f"{one.key} ({one.command}): {type} {id} is on no topic"


def topics_hold_only_what_was_decided(history: History) -> Iterator[str]:
    """Every message of a topic is an event of the log, with the same content."""
    for source in history.topics.keys() & history.logs.keys():
        own = _own(history, source)
        for message in history.published(source):
            event = own.get(message.header("ce_id"))
            if event is None:
                yield f"{message.place}: {message.header('ce_type')} {message.header('ce_id')} is not in the log"
            elif wrong := _differs(event, message):
                yield f"{message.place}: {event.type} {event.id} has another {wrong} than in the log"


def _own(history: History, service: str) -> dict[str, Logged]:
    return {event.id: event for event in history.logs[service].own()} if service in history.logs else {}


def _differs(event: Logged, message: Message) -> str:
    expected = {
        "ce_type": event.type,
        "ce_source": f"/aftersales/{event.source}",
        "ce_subject": event.subject,
        "ce_sequence": str(event.sequence),
        "ce_causationid": event.causation_id,
        "ce_correlationid": event.correlation_id,
        "ce_partitionkey": event.stream,
        "ce_dataschema": f"urn:aftersales:event:{event.type}:v{event.schema}",
    }
    if message.key != event.stream.encode():
        return "key"
    if message.value != event.data:
        return "body"
    return next((name for name, text in expected.items() if message.header(name) != text), "")


def messages_of_an_id_are_alike(history: History) -> Iterator[str]:
    """An event that was published again is the same byte by byte, in the same partition."""
    for source in history.topics:
        seen: dict[str, Message] = {}
        for message in history.published(source):
            first = seen.setdefault(message.header("ce_id"), message)
            if (first.partition, first.key, first.headers, first.value) != (
                *(message.partition, message.key, message.headers, message.value),
            ):
                yield f"{message.header('ce_id')}: {first.place} and {message.place} differ"


def keys_keep_their_order(history: History) -> Iterator[str]:
    """On a topic, the events of a key first appear as 1, 2, 3 …, in one partition; where the beginning of a partition
    was deleted, from some number on."""
    for source, messages in history.topics.items():
        last: dict[bytes | None, Message] = {}
        begins = {message.partition: message.offset for message in reversed(messages)}
        for message in history.published(source):
            whole = begins[message.partition] == 0
            before = last.get(message.key)
            sequence, first = _sequence(message), 1 if whole else _sequence(message)
            expected = _sequence(before) + 1 if before else first
            if before and before.partition != message.partition:
                yield f"{message.place}: key {message.key!r} was in partition {before.partition}"
            elif sequence > expected:
                yield f"{message.place}: key {message.key!r} comes to {sequence} before {expected}"
            if sequence >= expected:
                last[message.key] = message


def _sequence(message: Message) -> int:
    told = message.header("ce_sequence")
    return int(told) if told.isdecimal() else 0


# -- the consumers


def inbox_is_not_ahead(history: History) -> Iterator[str]:
    """Nobody has handled more than its source decided, and all that was learned is marked as handled."""
    for log in history.logs.values():
        for (source, stream), sequence in log.inbox.items():
            if source not in history.logs or stream in history.made_up:
                continue
            decided = history.logs[source].heads.get(stream, (0, 0, b""))[1]
            if sequence > decided:
                yield f"{log.service} handled {source}/{stream} up to {sequence} of {decided}"
        for event in log.events:
            if event.source != log.service and event.sequence > log.inbox.get((event.source, event.stream), 0):
                yield f"{log.service} learned {event.type} {event.id} without marking it as handled"


def learned_in_order(history: History) -> Iterator[str]:
    """Of one source and stream, a consumer learned each event once and in order."""
    for log in history.logs.values():
        learned: dict[tuple[str, str], list[Logged]] = defaultdict(list)
        for event in log.events:
            if event.source != log.service:
                learned[event.source, event.stream].append(event)
        for (source, stream), events in learned.items():
            for one, other in pairwise(events):
                if other.sequence <= one.sequence:
                    yield f"{log.service} learned {source}/{stream} #{other.sequence} after #{one.sequence}"


def effects_are_single(history: History) -> Iterator[str]:
    """The same cause has the same effect once: one event, or one command under its key, decided twice shows here."""
    for log in history.logs.values():
        seen: dict[tuple[object, ...], Logged] = {}
        for event in log.own():
            if not event.causation_id:
                continue
            effect = (event.causation_id, event.stream, event.subject, event.type, event.data)
            if first := seen.get(effect):
                yield f"{log.service}: {event.type} of {event.causation_id} at {first.position} and {event.position}"
            seen[effect] = event


def checkpoints_are_not_ahead(history: History) -> Iterator[str]:
    """No checkpoint has passed what was not handled: published, heard, or parked."""
    for log in history.logs.values():
        head = log.events[-1].position if log.events else 0
        for (consumer, source), position in log.checkpoints.items():
            if source == log.service and position > head:
                yield f"{log.service}: {consumer} is at {position} of {head}"
        yield from _unpublished(history, log)
        yield from _unheard(history, log)


def _unpublished(history: History, log: Log) -> Iterator[str]:
    relayed = log.checkpoints.get(("relay", log.service), 0)
    if log.service not in history.topics:
        return
    published = {message.header("ce_id") for message in history.topics[log.service]}
    for event in log.own():
        if event.position <= relayed and event.id not in published:
            yield f"{log.service}: relayed up to {relayed} without {event.type} {event.id} at {event.position}"


def _unheard(history: History, log: Log) -> Iterator[str]:
    """Messages before a partition's checkpoint that are neither marked as handled nor parked."""
    parked = {(row["topic"], row["partition"], row["position"]) for row in log.parked}
    for source in HEARS[log.service]:
        topic = history.prefix + TOPICS[source]
        read = {place: at for (_, place), at in log.checkpoints.items() if place.startswith(f"{topic}/")}
        for message in history.topics.get(source, ()):
            stream = (message.key or b"").decode(errors="replace")
            passed = message.offset < read.get(f"{topic}/{message.partition}", 0)
            handled = 0 < _sequence(message) <= log.inbox.get((source, stream), 0)
            if passed and not handled and (topic, message.partition, message.offset) not in parked:
                yield f"{log.service} passed {message.place} without handling it"


# -- once nothing is on its way any more


def everything_was_published(history: History) -> Iterator[str]:
    """Every event of a log is on its topic."""
    for source, messages in history.topics.items():
        published = {message.header("ce_id") for message in messages}
        for event in _own(history, source).values():
            if event.id not in published:
                yield f"log of {source}: {event.type} {event.id} at {event.position} is not on the topic"


def everything_was_heard(history: History) -> Iterator[str]:
    """Every service handled all that the ones it hears decided, but for what is parked, and all that follows it."""
    for log in history.logs.values():
        waiting = {(row["source"], row["stream"]) for row in log.parked if row["state"] in ("waiting", "dead")}
        for source in HEARS[log.service]:
            if source not in history.logs:
                continue
            for stream, (_, decided, _) in history.logs[source].heads.items():
                handled = log.inbox.get((source, stream), 0)
                if handled != decided and (source, stream) not in waiting:
                    yield f"{log.service} handled {source}/{stream} up to {handled} of {decided}"


def log_consumers_caught_up(history: History) -> Iterator[str]:
    """Read tables, cashier and relay have come to the end of their service's log."""
    for log in history.logs.values():
        for (consumer, source), position in log.checkpoints.items():
            if source != log.service:
                continue
            follows = log.events if consumer == VIEWS else log.own()
            if follows and position < follows[-1].position:
                yield f"{log.service}: {consumer} is at {position} of {follows[-1].position}"


ALWAYS: tuple[Rule, ...] = (
    acknowledged_events_are_logged,
    positions_are_dense,
    streams_are_dense,
    chain_is_whole,
    ids_are_single,
    topics_hold_only_what_was_decided,
    messages_of_an_id_are_alike,
    keys_keep_their_order,
    inbox_is_not_ahead,
    learned_in_order,
    effects_are_single,
    checkpoints_are_not_ahead,
    *books.ALWAYS,
)
SETTLED: tuple[Rule, ...] = (
    acknowledged_events_are_published,
    everything_was_published,
    everything_was_heard,
    log_consumers_caught_up,
    *books.SETTLED,
)

"""An event as a Kafka message: there and back again, and everything that cannot be read."""

from typing import Any

import msgspec
import pytest

from services.kernel.kafka.message import ERRORS, Message, Unreadable, dead_letter, incoming, outgoing
from services.kernel.log import MAX_DATA_BYTES, Record
from tests.kernel.toy import Added, toy_record
from tests.kernel.toy_broker import decode

ADDED = Added(case_id="TB1-1", amount=7)


def _record(**changes: Any) -> Record:
    fields = msgspec.structs.asdict(toy_record("e1", ADDED, sequence=3)) | changes
    return Record(stream="TB1", version=9, hash=b"h", position=4, **fields)


def _message(record: Record, **changes: Any) -> Message:
    sent = outgoing(record, "toy.v1")
    return Message(
        **{
            "topic": sent.topic,
            "partition": 2,
            "offset": 41,
            "key": sent.key,
            "value": sent.value,
            "headers": sent.headers,
            "timestamp_ms": 5,
            **changes,
        }
    )


def _with(message: Message, **headers: bytes) -> Message:
    changed = dict(message.headers) | headers
    return msgspec.structs.replace(message, headers=tuple(changed.items()))


def test_there_and_back() -> None:
    """A record survives the way: everything that travels is the same, its place is that of the topic."""
    record = _record()
    expected = msgspec.structs.replace(record, version=3, hash=b"", position=42)
    assert incoming(_message(record), "toy", decode) == expected


def test_an_upstream_is_what_its_topic_says() -> None:
    """Whatever a foreign system calls itself, its events count as those of the topic."""
    message = _with(_message(_record()), ce_source=b"https://shop.example/orders")
    assert incoming(message, "orders", decode).source == "orders"
    with pytest.raises(Unreadable, match="does not publish"):
        incoming(message, "toy", decode)


@pytest.mark.parametrize(
    ("cause", "changes", "headers"),
    [
        ("invalid_envelope", {"key": b"TB2"}, {}),
        ("invalid_envelope", {"key": None}, {}),
        ("invalid_envelope", {"value": None}, {}),
        ("invalid_envelope", {"headers": ()}, {}),
        ("invalid_envelope", {}, {"ce_sequence": b"0"}),
        ("invalid_envelope", {}, {"ce_sequence": b"9" * 19}),
        ("invalid_envelope", {}, {"ce_sequence": b"9" * 5_000}),
        ("invalid_envelope", {}, {"ce_source": b"/aftersales/cases"}),
        ("invalid_envelope", {}, {"ce_id": b"a\0b"}),
        ("invalid_envelope", {}, {"ce_time": b"yesterday"}),
        ("unknown_type", {}, {"ce_type": b"toy.new", "ce_dataschema": b"urn:aftersales:event:toy.new:v1"}),
        ("invalid_body", {"value": b"{"}, {}),
        ("invalid_body", {"value": b'{"case_id": "TB1-1", "amount": "seven"}'}, {}),
        ("too_large", {"value": b" " * (MAX_DATA_BYTES + 1)}, {}),
    ],
)
def test_what_cannot_be_read_says_why(cause: str, changes: dict[str, Any], headers: dict[str, bytes]) -> None:
    """Each way in which a message can be broken has its cause; where the envelope is sound, its stream is known."""
    message = _with(_message(_record(), **changes), **headers) if headers else _message(_record(), **changes)
    with pytest.raises(Unreadable) as caught:
        incoming(message, "toy", decode)
    assert caught.value.cause == cause
    assert (caught.value.envelope is None) == (cause == "invalid_envelope")


def test_dead_letter_says_why_and_keeps_all_else() -> None:
    """A dead letter has the bytes and headers of its message; what it says of an earlier death is replaced."""
    message = _message(_record())
    once = dead_letter(message, "dlq", "RuntimeError: no: really")
    twice = dead_letter(msgspec.structs.replace(message, headers=tuple(once.headers)), "dlq", "ValueError: \ud800")
    assert (once.key, once.value, list(once.headers)[: len(message.headers)]) == (
        message.key,
        message.value,
        list(message.headers),
    )
    assert dict(once.headers)[ERRORS + "exception"] == b"RuntimeError"
    assert dict(once.headers)[ERRORS + "message"] == b"no: really"
    assert dict(once.headers)[ERRORS + "offset"] == b"41"
    assert len(twice.headers) == len(once.headers)
    assert dict(twice.headers)[ERRORS + "exception"] == b"ValueError"

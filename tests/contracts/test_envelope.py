from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import envelope, registry
from contracts.envelope import Envelope, EnvelopeInvalid

CHINA = timezone(timedelta(hours=8))
BODY = b'{"type":"case.rated","case_id":"TB1001-1","score":5}'
RECORD = Envelope(
    stream="TB1001",
    sequence=7,
    id="019a9b2e-6f00-7c31-8f2a-0d6a5f3c1b11",
    type="case.rated",
    schema=1,
    source="cases",
    subject="TB1001-1",
    time=datetime(2026, 10, 5, 10, 0, tzinfo=CHINA),
    actor="service/买家",
    correlation_id="request-1",
    causation_id="command-1",
    policy="1.0",
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    data=BODY,
)
#: The headers that `conventions.md` names and a foreign producer therefore sends, no more.
UPSTREAM = {
    "ce_specversion": b"1.0",
    "ce_id": b"erp-42",
    "ce_type": b"order.recorded",
    "ce_source": b"https://erp.example/jushuitan",
    "ce_time": b"2026-10-01T01:00:00Z",
    "ce_dataschema": b"https://erp.example/schemas/order.recorded/v1.json",
    "content-type": b"application/json; charset=utf-8",
    "ce_sequence": b"1",
    "ce_partitionkey": b"TB1001",
}

texts = st.text(st.characters(codec="utf-8"), min_size=1)
records = st.builds(
    Envelope,
    stream=texts,
    sequence=st.integers(1, 2**63),
    id=texts,
    type=st.sampled_from(sorted(registry.EVENT_TYPES)),
    schema=st.integers(1, 99),
    source=st.sampled_from(sorted(registry.TOPICS)),
    subject=st.one_of(st.just(""), texts),
    time=st.datetimes(timezones=st.sampled_from([UTC, CHINA])),
    actor=texts.map(lambda name: f"agent/{name}"),
    correlation_id=texts,
    causation_id=st.one_of(st.just(""), texts),
    policy=st.one_of(st.just(""), texts),
    traceparent=st.sampled_from(["", RECORD.traceparent]),
    data=st.binary(min_size=1),
)


def arrive(**changed: bytes | None) -> Envelope:
    """Parse `RECORD` as it arrives, with some headers changed (`None` leaves one out)."""
    given = dict(envelope.headers(RECORD)) | {
        name.replace("content_type", "content-type"): raw for name, raw in changed.items()
    }
    return envelope.parse(
        envelope.key(RECORD), [(name, raw) for name, raw in given.items() if raw is not None], RECORD.data
    )


@given(records)
def test_every_record_arrives_as_it_was_sent(record: Envelope) -> None:
    """Nothing that a log knows of an event is lost or changed on the way through Kafka."""
    arrived = envelope.parse(envelope.key(record), envelope.headers(record), record.data)
    assert arrived == record
    assert arrived.time.utcoffset() == record.time.utcoffset()


def test_headers_are_the_agreed_ones() -> None:
    """Consumers written from the conventions find every header under its agreed name, as text."""
    assert dict(envelope.headers(RECORD)) == {
        "ce_specversion": b"1.0",
        "ce_id": b"019a9b2e-6f00-7c31-8f2a-0d6a5f3c1b11",
        "ce_type": b"case.rated",
        "ce_source": b"/aftersales/cases",
        "ce_time": b"2026-10-05T10:00:00+08:00",
        "ce_subject": b"TB1001-1",
        "ce_dataschema": b"urn:aftersales:event:case.rated:v1",
        "content-type": b"application/json",
        "ce_sequence": b"7",
        "ce_correlationid": b"request-1",
        "ce_causationid": b"command-1",
        "ce_partitionkey": b"TB1001",
        "ce_actor": "service/买家".encode(),
        "ce_policyversion": b"1.0",
        "traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    assert envelope.key(RECORD) == b"TB1001"


def test_empty_attributes_are_left_out() -> None:
    """CloudEvents forbids empty attributes, so an event without subject, cause or trace has no such header."""
    bare = msgspec.structs.replace(RECORD, subject="", causation_id="", policy="", traceparent="")
    names = dict(envelope.headers(bare)).keys()
    assert not names & {"ce_subject", "ce_causationid", "ce_policyversion", "traceparent"}


def test_an_upstream_event_needs_the_agreed_headers_only() -> None:
    """An ERP that knows nothing of actors and policies can still put orders on `orders.v1`."""
    arrived = envelope.parse(b"TB1001", UPSTREAM.items(), b"{}")
    assert arrived.schema == 1
    assert arrived.source == "https://erp.example/jushuitan"
    assert arrived.actor == "system/https://erp.example/jushuitan"
    assert arrived.correlation_id == arrived.id == "erp-42"
    assert dict(envelope.headers(arrived))["ce_source"] == UPSTREAM["ce_source"]


@pytest.mark.parametrize("header", [a.header for a in envelope.ATTRIBUTES if a.required])
def test_a_missing_header_is_named(header: str) -> None:
    """Whoever looks into a dead letter reads, in both languages, which header it lacked."""
    with pytest.raises(EnvelopeInvalid) as raised:
        envelope.parse(b"TB1001", [(name, raw) for name, raw in UPSTREAM.items() if name != header], b"{}")
    assert raised.value.header == header
    assert header in raised.value.zh
    assert header in raised.value.en
    assert header in str(raised.value)


@pytest.mark.parametrize(
    ("header", "raw"),
    [
        ("ce_specversion", b"0.3"),
        ("ce_id", b""),
        ("ce_type", b"CaseRated"),
        ("ce_source", b"/a b"),
        ("ce_time", b"2026-10-05T10:00:00"),
        ("ce_time", b"yesterday"),
        ("ce_subject", b"\xff"),
        ("ce_dataschema", b"urn:aftersales:event:case.closed:v1"),
        ("ce_dataschema", b"urn:aftersales:event:case.rated"),
        ("content_type", b"application/cloudevents+json"),
        ("ce_sequence", b"0"),
        ("ce_sequence", b"-1"),
        ("ce_sequence", "٣".encode()),
        ("ce_actor", "小李".encode()),
    ],
)
def test_an_odd_header_is_named(header: str, raw: bytes) -> None:
    """A header that does not say what it should stops the message before it has any effect."""
    with pytest.raises(EnvelopeInvalid) as raised:
        arrive(**{header: raw})
    assert raised.value.header == header.replace("content_type", "content-type")


def test_a_header_that_is_there_twice_is_named() -> None:
    """Two ids would let one message count as two: the first is not silently preferred."""
    twice = [*envelope.headers(RECORD), ("ce_id", b"another")]
    with pytest.raises(EnvelopeInvalid, match=r"^ce_id: "):
        envelope.parse(envelope.key(RECORD), twice, RECORD.data)


@pytest.mark.parametrize(
    ("key", "value", "named"), [(None, BODY, "key"), (b"TB2", BODY, "key"), (b"TB1001", None, "value")]
)
def test_key_and_value_belong_to_the_envelope(key: bytes | None, value: bytes | None, named: str) -> None:
    """A message under another order's key, or a tombstone, is refused: it would break the order's sequence."""
    with pytest.raises(EnvelopeInvalid) as raised:
        envelope.parse(key, envelope.headers(RECORD), value)
    assert raised.value.header == named


@pytest.mark.parametrize("raw", [b"garbage", b"\xff", b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01"])
def test_a_broken_trace_context_is_ignored(raw: bytes) -> None:
    """Money does not wait for telemetry: W3C asks to drop a trace context that cannot be read."""
    assert arrive(traceparent=raw).traceparent == ""


def test_headers_of_others_are_ignored() -> None:
    """A redriven message still carries its error headers and arrives all the same."""
    redriven = [*envelope.headers(RECORD), ("__streams.errors.exception", None), ("ce_sampledrate", b"3")]
    assert envelope.parse(envelope.key(RECORD), redriven, RECORD.data) == RECORD


def test_structured_mode_says_the_same() -> None:
    """HTTP and command line show the same attributes as Kafka, with the body as JSON."""
    shown = envelope.to_json(RECORD)
    assert shown.pop("data") == {"type": "case.rated", "case_id": "TB1001-1", "score": 5}
    headers = {attribute.name: attribute.header for attribute in envelope.ATTRIBUTES}
    assert {headers[name]: text.encode() for name, text in shown.items()} == dict(envelope.headers(RECORD))

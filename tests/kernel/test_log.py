"""The record: what may become one, and the hash that ties it to the one before."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.event_store import Append, Commit, Head
from services.kernel.ledger import Ledger
from services.kernel.log import GENESIS, MAX_DATA_BYTES, NewRecord, chain_hash, expected_hash, rfc3339
from tests.kernel.store_contract import NOON, new


def test_hash_is_what_an_auditor_can_compute() -> None:
    """The chain can be checked without this program: SHA-256 of previous hash, JSON array of the fields,
    data."""
    ledger = Ledger(0, {}, {}, {}, {})
    first, second = ledger.admit(Commit(appends=(Append("TB1", 0, [new("e1"), new("e2")]),))).records
    previous = GENESIS
    for record in (first, second):
        fields: list[Any] = [record.stream, record.version, record.sequence, record.id, record.type, record.schema]
        fields += [record.source, record.subject, record.time.isoformat(), record.actor, record.correlation_id]
        fields += [record.causation_id, record.policy, record.traceparent]
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        previous = hashlib.sha256(previous + text.encode() + record.data).digest()
        assert record.hash == previous


@pytest.mark.parametrize("field", [name for name in NewRecord.__struct_fields__ if name != "event"])
def test_every_field_is_hashed(field: str) -> None:
    """No stored value can be changed without the hash showing it."""
    ledger = Ledger(0, {}, {}, {}, {})
    [record] = ledger.admit(Commit(appends=(Append("TB1", 0, [new("e1")]),))).records
    value = getattr(record, field)
    changes: dict[type, Any] = {str: f"{value}x", int: 99, bytes: b"{}", datetime: NOON + timedelta(microseconds=1)}
    changed = msgspec.structs.replace(record, **{field: changes[type(value)]})
    assert expected_hash(GENESIS, record) == record.hash
    assert expected_hash(GENESIS, changed) != record.hash


@given(st.lists(st.text(), min_size=11, max_size=11), st.integers(0, 10), st.binary())
def test_no_two_records_share_their_bytes(texts: list[str], cut: int, data: bytes) -> None:
    """Moving characters from one field to the next gives another hash: fields cannot run into each other."""

    def hashed(texts: list[str]) -> bytes:
        stream, id, type, source, subject, time, actor, correlation, causation, policy, trace = texts
        head = (stream, 1, 1, id, type, 1, source, subject, time)
        return chain_hash(GENESIS, *head, actor, correlation, causation, policy, trace, data)

    moved = list(texts)
    if cut == 10 or not texts[cut]:
        return
    moved[cut], moved[cut + 1] = texts[cut][:-1], texts[cut][-1] + texts[cut + 1]
    assert hashed(moved) != hashed(texts)


@given(st.datetimes(timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))))
def test_time_survives_its_text(time: datetime) -> None:
    """Every aware time comes back from its RFC 3339 text with the same microseconds and offset."""
    back = datetime.fromisoformat(rfc3339(time))
    assert back == time
    assert back.utcoffset() == time.utcoffset()


@pytest.mark.parametrize(
    "time",
    [
        datetime(2026, 1, 1),
        datetime(2026, 1, 1, 1, 2, 3, 4),
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=8, seconds=43))),
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=8, microseconds=43))),
    ],
)
def test_time_without_a_proper_offset_is_refused(time: datetime) -> None:
    """A naive time, or one with an offset that RFC 3339 cannot write, never enters a log."""
    with pytest.raises(ValueError, match="offset"):
        new("e1", time=time)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("type", ""),
        ("source", ""),
        ("schema", 0),
        ("schema", "1"),
        ("schema", True),
        ("schema", 2**63),
        ("sequence", -1),
        ("sequence", 2**63),
        ("sequence", 1.0),
        ("data", "{}"),
        ("data", None),
        ("data", b"x" * (MAX_DATA_BYTES + 1)),
        ("actor", 5),
        ("policy", None),
        ("subject", "a\0b"),
        ("correlation_id", "\ud800"),
        ("traceparent", "a\nb"),
        ("causation_id", b"c"),
    ],
)
def test_unfit_value_is_refused(field: str, value: Any) -> None:
    """What a store could not keep faithfully is refused where it is made, not when the chain no longer
    fits."""
    fitting = new("e1")
    with pytest.raises((ValueError, TypeError)):
        msgspec.structs.replace(fitting, **{field: value})


def test_refused_commit_leaves_the_ledger_as_it_was() -> None:
    """A commit that fails at its last append has moved nothing for those after it."""
    ledger = Ledger(5, {"TB2": Head("TB2", 3, 3, bytes(32))}, {}, {}, {})
    half = Commit(appends=(Append("TB1", 0, [new("a")]), Append("TB2", 0, [new("b")])))
    with pytest.raises(Exception, match="TB2 is at version 3"):
        ledger.admit(half)
    assert ledger.position == 5
    assert not ledger.events
    result = ledger.admit(Commit(appends=(Append("TB1", 0, [new("a")]), Append("TB1", 1, [new("b")]))))
    assert [(record.version, record.position) for record in result.records] == [(1, 6), (2, 7)]


def test_record_in_a_named_zone_folds_the_same_now_and_later() -> None:
    """The record a commit returns carries the offset that a reader will see, not a zone with its own
    rules."""
    ledger = Ledger(0, {}, {}, {}, {})
    [record] = ledger.admit(Commit(appends=(Append("TB1", 0, [new("a", time=NOON.astimezone(UTC))]),))).records
    assert record.time == NOON
    assert record.time.utcoffset() == timedelta(0)

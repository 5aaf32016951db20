"""A record as a line of JSON: exact to the byte, there and back."""

import msgspec
import pytest

from services.kernel.event_store import InboxMark
from services.kernel.log import Record
from services.transfer.lines import Digest, Heading, Manifest, line_of, row_of
from tests.transfer.history import ODD, event

DATA = b'{"type":"case.rated","note":"\\u4e00 \xe4\xb8\x80","n":1.50}'
HEADING = Heading(service="cases", whole=True, first=1, last=1, selection={}, made_at="2026-10-05T12:00:00+00:00")
MANIFEST = Manifest(heading=HEADING, complete=True, events=1, heard=0, first=1, last=1, root="00")


def record(data: bytes) -> Record:
    fields = {name: value for name, value in msgspec.structs.asdict(event(1)).items() if name != "sequence"}
    return Record(stream="TB1", version=3, sequence=2, hash=bytes(range(32)), position=9, **fields | {"data": data})


@pytest.mark.parametrize("data", [DATA, b"1", *ODD])
def test_every_byte_comes_back(data: bytes) -> None:
    """Whatever bytes an event is, and whatever offset its time has, the record comes back as it was: else no hash of it
    would hold elsewhere."""
    line = line_of(record(data))
    assert line.count(b"\n") == 1
    assert row_of(line) == record(data)


def test_an_event_is_readable_in_its_line() -> None:
    """What is JSON already is not wrapped: a line can be worked with by any tool."""
    assert msgspec.json.decode(line_of(record(DATA)))["data"]["n"] == 1.5


def test_the_others_come_back() -> None:
    """Marks, heading and manifest are told from events."""
    for row in (InboxMark("refunds", "TB1", 3), HEADING, MANIFEST):
        assert row_of(line_of(row)) == row


@pytest.mark.parametrize(
    "line", [b"", b"{}", b'{"line":"event"}', b'{"line":"no"}', line_of(MANIFEST).replace(b'"root"', b'"rood"')]
)
def test_anything_else_is_refused(line: bytes) -> None:
    """A line that is none of ours is an error, not an event with empty fields."""
    with pytest.raises(ValueError):
        row_of(line)


def test_the_digest_covers_the_manifest() -> None:
    """Whoever alters the manifest alone is found out as well."""
    digest = Digest()
    digest.add(line_of(HEADING))
    altered = msgspec.structs.replace(MANIFEST, complete=False)
    assert digest.of(MANIFEST) == digest.of(msgspec.structs.replace(MANIFEST, sha256="x")) != digest.of(altered)

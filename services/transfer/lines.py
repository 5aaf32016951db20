"""A record, and how far a service heard another, as one line of JSON: exact to the byte, there and back."""

import base64
import hashlib
from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec

from services.kernel.event_store import InboxMark
from services.kernel.log import Record, rfc3339

#: What a file of events holds: what happened, and last of all how far the service heard the others.
Row: TypeAlias = Record | InboxMark


class EventLine(
    msgspec.Struct, frozen=True, tag_field="line", tag="event", forbid_unknown_fields=True, omit_defaults=True
):
    """Every field of a record. `data` is the event as the log holds it, or text in base64 where it is not one line of
    JSON (`base64`); `hash` is hexadecimal, `time` RFC 3339 with the offset that it was given with."""

    position: int
    stream: str
    version: int
    sequence: int
    id: str
    type: str
    schema: int
    source: str
    subject: str
    time: str
    actor: str
    correlation_id: str
    causation_id: str
    policy: str
    traceparent: str
    data: msgspec.Raw
    hash: str
    base64: bool = False


class HeardLine(msgspec.Struct, frozen=True, tag_field="line", tag="heard", forbid_unknown_fields=True):
    """The service handled the events of `source` in `stream` up to this sequence."""

    source: str
    stream: str
    sequence: int


class Heading(msgspec.Struct, frozen=True, tag_field="line", tag="heading", kw_only=True, forbid_unknown_fields=True):
    """What a file of events holds, at its beginning."""

    service: str
    """Whose log it was."""
    whole: bool
    """Whether it holds every record from `first` to `last`; only then can it be imported."""
    first: int
    """Positions that were asked for, both included."""
    last: int
    selection: dict[str, str]
    """What else was asked for; empty where it is whole."""
    made_at: str
    format: Literal[1] = 1


class Manifest(msgspec.Struct, frozen=True, tag_field="line", tag="manifest", kw_only=True, forbid_unknown_fields=True):
    """What a file of events turned out to hold, at its end."""

    heading: Heading
    complete: bool
    """Whether it reaches to the end that the log had, and so holds how far the service heard the others."""
    events: int
    heard: int
    first: int
    """Positions of the first and the last record."""
    last: int
    root: str
    """Root of the Merkle tree over the last record of each stream in the file (`services/kernel/proof`): that of the
    log itself, as of `last`, where the file is whole and begins at 1."""
    sha256: str = ""
    """Over every line before, each with its end of line, and this manifest without it."""


Line: TypeAlias = Heading | EventLine | HeardLine | Manifest

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Line).decode
_raw: Final = msgspec.json.Decoder(msgspec.Raw).decode


class Digest:
    """SHA-256 over the lines of a file: the same in every format."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def add(self, line: bytes) -> None:
        """A line with its end."""
        self._sha256.update(line)

    def of(self, manifest: Manifest) -> str:
        """The digest that the manifest behind these lines must carry."""
        sha256 = self._sha256.copy()
        sha256.update(_encode(msgspec.structs.replace(manifest, sha256="")))
        return sha256.hexdigest()


def line_of(row: Row | Heading | Manifest) -> bytes:
    """The line of a row, with its end."""
    return _encode(_line(row)) + b"\n"


def row_of(line: bytes) -> Row | Heading | Manifest:
    """What a line says. Raises `ValueError` for one that says nothing sensible."""
    read: Line = _decode(line)
    match read:
        case EventLine() as event:
            return _record(event)
        case HeardLine() as heard:
            return InboxMark(heard.source, heard.stream, heard.sequence)
        case Heading() | Manifest():
            return read


def _line(row: Row | Heading | Manifest) -> Line:
    match row:
        case Heading() | Manifest():
            return row
        case InboxMark():
            return HeardLine(row.source, row.stream, row.sequence)
    plain = _is_one_line_of_json(row.data)
    return EventLine(
        position=row.position,
        stream=row.stream,
        version=row.version,
        sequence=row.sequence,
        id=row.id,
        type=row.type,
        schema=row.schema,
        source=row.source,
        subject=row.subject,
        time=rfc3339(row.time),
        actor=row.actor,
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
        policy=row.policy,
        traceparent=row.traceparent,
        data=msgspec.Raw(row.data if plain else _encode(base64.b64encode(row.data).decode())),
        hash=row.hash.hex(),
        base64=not plain,
    )


def _record(line: EventLine) -> Record:
    data = bytes(line.data)
    return Record(
        stream=line.stream,
        version=line.version,
        sequence=line.sequence,
        id=line.id,
        type=line.type,
        schema=line.schema,
        source=line.source,
        subject=line.subject,
        time=datetime.fromisoformat(line.time),
        actor=line.actor,
        correlation_id=line.correlation_id,
        causation_id=line.causation_id,
        policy=line.policy,
        traceparent=line.traceparent,
        event=None,
        data=base64.b64decode(msgspec.json.decode(data, type=str), validate=True) if line.base64 else data,
        hash=bytes.fromhex(line.hash),
        position=line.position,
    )


def _is_one_line_of_json(data: bytes) -> bool:
    """Whether these bytes come back as they are from within a line of JSON: an upstream's event may be laid out."""
    try:
        return b"\n" not in data and bytes(_raw(data)) == data and bool(data.decode())
    except (ValueError, RecursionError):
        return False

"""How an event travels: CloudEvents 1.0, in Kafka's binary mode or as one JSON object.

The body is the event's JSON as the log holds it; everything else that a log knows of it travels as
attributes, so that a reader can rebuild the record. One table, `ATTRIBUTES`, says what each of them must
look like: it is checked here and published in the AsyncAPI document.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, NamedTuple, Protocol

import msgspec

CONTENT_TYPE = "application/json"
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_OWN_SOURCES = "/aftersales/"
_SCHEMA_NAMES = "urn:aftersales:event:"

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_SCHEMA_VERSION = re.compile(r"(?:^|[:/.])v?([1-9]\d*)(?:\.json)?$")


class Published(Protocol):
    """What of a log's record travels."""

    @property
    def stream(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def schema(self) -> int: ...
    @property
    def source(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def time(self) -> datetime: ...
    @property
    def actor(self) -> str: ...
    @property
    def correlation_id(self) -> str: ...
    @property
    def causation_id(self) -> str: ...
    @property
    def policy(self) -> str: ...
    @property
    def traceparent(self) -> str: ...
    @property
    def data(self) -> bytes: ...


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A message that arrived whole. Its fields are those of the record; `data` is not decoded yet."""

    stream: str
    sequence: int
    id: str
    type: str
    schema: int
    source: str
    subject: str
    time: datetime
    actor: str
    correlation_id: str
    causation_id: str
    policy: str
    traceparent: str
    data: bytes


class EnvelopeInvalid(ValueError):
    """A message that is no event of ours: `header` names what is wrong, or is `key` or `value`."""

    def __init__(self, header: str, zh: str, en: str) -> None:
        super().__init__(f"{header}: {en}")
        self.header = header
        self.zh = f"{header}:{zh}"
        self.en = f"{header}: {en}"


class Attribute(NamedTuple):
    """One attribute of an envelope: its CloudEvents name, what its text must match, and an example."""

    name: str
    required: bool
    pattern: str
    example: str
    meaning: str

    @property
    def header(self) -> str:
        """Its Kafka header."""
        return {"datacontenttype": "content-type", "traceparent": "traceparent"}.get(self.name, f"ce_{self.name}")


#: An upstream system need not send what is not required here (`orders.v1`).
ATTRIBUTES = (
    Attribute("specversion", True, r"1\.0", "1.0", "Version of CloudEvents."),
    Attribute("id", True, r".+", "019a9b2e-6f00-7c31-8f2a-0d6a5f3c1b11", "Id of the event, a UUIDv7."),
    Attribute("type", True, r"[a-z_]+(\.[a-z_]+)+", "case.opened", "Type of the event, `noun.past`."),
    Attribute("source", True, r"\S+", "/aftersales/cases", "Who decided it."),
    Attribute("time", True, r".+", "2026-10-05T10:00:00+08:00", "Business time, RFC 3339 with offset."),
    Attribute("subject", False, r".+", "TB1001-1", "The case, or the order or article where there is no case."),
    Attribute("dataschema", True, r".+", f"{_SCHEMA_NAMES}case.opened:v1", "Type and version of the body's schema."),
    Attribute("datacontenttype", True, r"(?i)application/json( *;.*)?", CONTENT_TYPE, "Always JSON."),
    Attribute(
        "sequence",
        True,
        r"[1-9][0-9]*",
        "1",
        "Place among its source's events of the key: a dense decimal from 1.",
    ),
    Attribute(
        "correlationid",
        False,
        r".+",
        "019a9b2e-6eff-7d40-9c1e-52b7a4d0e6f3",
        "The request all this began with.",
    ),
    Attribute(
        "causationid",
        False,
        r".+",
        "019a9b2e-6eff-7d40-9c1e-52b7a4d0e6f3",
        "The event or command it follows from.",
    ),
    Attribute("partitionkey", True, r".+", "TB1001", "The message key: the order id (`~stock` for stock)."),
    Attribute("actor", False, r"[a-z_]+/.+", "agent/小李", "Who caused it, `role/name`."),
    Attribute(
        "replay",
        False,
        r".+",
        "019a9b2e-7f10-7a02-9d3c-4b1f6c2e8a90",
        "The operation that sent the event once more, with the id and sequence that it had; absent the first time.",
    ),
    Attribute("policyversion", False, r".+", "2026-11-22", "The policy version it was decided under."),
    Attribute(
        "traceparent",
        False,
        _TRACEPARENT.pattern,
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "W3C trace context.",
    ),
)
_HEADERS = [(attribute.name, attribute.header) for attribute in ATTRIBUTES]
_BY_HEADER = {attribute.header: attribute for attribute in ATTRIBUTES}
_PATTERNS = {attribute.name: re.compile(attribute.pattern, re.DOTALL) for attribute in ATTRIBUTES}


def dataschema(type_: str, version: int) -> str:
    """The name of a schema, which is also its `$id`: `urn:aftersales:event:case.opened:v1`."""
    return f"{_SCHEMA_NAMES}{type_}:v{version}"


def key(record: Published) -> bytes:
    """The message key: all events of one order share it, so they keep their order."""
    return record.stream.encode()


def headers(record: Published) -> list[tuple[str, bytes]]:
    """The Kafka headers of a record, in a fixed order; what is empty is left out, as CloudEvents asks."""
    given = _attributes(record)
    return [(header, given[name].encode()) for name, header in _HEADERS if name in given]


def to_json(record: Published) -> dict[str, Any]:
    """The record as one CloudEvents JSON object (`application/cloudevents+json`), for HTTP and people."""
    return {**_attributes(record), "data": msgspec.json.decode(record.data)}


def parse(key: bytes | None, headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> Envelope:
    """The envelope of a Kafka message.

    Headers that are not ours are ignored (a redriven message has some), and so is a trace context that is
    broken, as W3C asks. Raises `EnvelopeInvalid` for a header that is missing, twice there or odd, and
    for a key other than `ce_partitionkey`. The body is not looked into: that is `registry.decode`'s.
    """
    given = _read(headers)
    stream = given["partitionkey"]
    if key is None or key != stream.encode():
        raise EnvelopeInvalid("key", f"应等于 ce_partitionkey({stream})", f"should equal ce_partitionkey ({stream})")
    if not value:
        raise EnvelopeInvalid("value", "消息没有内容", "the message has no body")
    source = given["source"].removeprefix(_OWN_SOURCES)
    return Envelope(
        stream=stream,
        sequence=int(given["sequence"]),
        id=given["id"],
        type=given["type"],
        schema=_version(given["type"], given["dataschema"]),
        source=source,
        subject=given.get("subject", ""),
        time=_time(given["time"]),
        actor=given.get("actor", f"system/{source}"),
        correlation_id=given.get("correlationid", given["id"]),
        causation_id=given.get("causationid", ""),
        policy=given.get("policyversion", ""),
        traceparent=given.get("traceparent", ""),
        data=value,
    )


def _attributes(record: Published) -> dict[str, str]:
    foreign = "/" in record.source or ":" in record.source
    given = {
        "specversion": "1.0",
        "id": record.id,
        "type": record.type,
        "source": record.source if foreign else _OWN_SOURCES + record.source,
        "time": str(msgspec.to_builtins(record.time)),
        "subject": record.subject,
        "dataschema": dataschema(record.type, record.schema),
        "datacontenttype": CONTENT_TYPE,
        "sequence": str(record.sequence),
        "correlationid": record.correlation_id,
        "causationid": record.causation_id,
        "partitionkey": record.stream,
        "actor": record.actor,
        "policyversion": record.policy,
        "traceparent": record.traceparent,
    }
    return {name: text for name, text in given.items() if text}


def _read(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    given: dict[str, str] = {}
    for header, raw in headers:
        attribute = _BY_HEADER.get(header)
        if attribute is None:
            continue
        text = _text(attribute, raw)
        if attribute.name == "traceparent" and (attribute.name in given or not _TRACEPARENT.fullmatch(text)):
            given["traceparent"] = ""
            continue
        if attribute.name in given:
            raise EnvelopeInvalid(header, "出现了两次", "is there twice")
        if not _PATTERNS[attribute.name].fullmatch(text):
            raise _odd(attribute, text)
        given[attribute.name] = text
    for attribute in ATTRIBUTES:
        if attribute.required and attribute.name not in given:
            raise EnvelopeInvalid(attribute.header, "缺少", "is missing")
    return given


def _text(attribute: Attribute, raw: bytes | None) -> str:
    try:
        return (raw or b"").decode()
    except UnicodeDecodeError:
        if attribute.name == "traceparent":
            return ""
        raise EnvelopeInvalid(attribute.header, "不是 UTF-8 文本", "is no UTF-8 text") from None


def _odd(attribute: Attribute, text: str) -> EnvelopeInvalid:
    return EnvelopeInvalid(
        attribute.header,
        f"{text!r} 不合规,例如 {attribute.example}",
        f"{text!r} is odd; an example is {attribute.example}",
    )


def _version(type_: str, text: str) -> int:
    match = _SCHEMA_VERSION.search(text)
    if match is None or (text.startswith(_SCHEMA_NAMES) and text != dataschema(type_, int(match[1]))):
        raise _odd(_BY_HEADER["ce_dataschema"], text)
    return int(match[1])


def _time(text: str) -> datetime:
    try:
        return msgspec.convert(text, _Moment)
    except msgspec.ValidationError:
        raise _odd(_BY_HEADER["ce_time"], text) from None

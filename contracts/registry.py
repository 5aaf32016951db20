"""Every event that there is, by type: its struct, its topic and how older versions are lifted to the present one."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec

from contracts.event import CaseEvent, Event, type_of
from contracts.events import cases, finance, liability, operations, orders, refunds

#: Topic by the service (or upstream) that emits on it.
TOPICS = {
    "orders": "orders.v1",
    "cases": "aftersales.cases.v1",
    "refunds": "aftersales.refunds.v1",
    "liability": "aftersales.liability.v1",
    "finance": "aftersales.finance.v1",
}

#: Whose events each service hears, besides its own.
HEARS = {
    "cases": ("refunds", "liability", "orders"),
    "refunds": ("cases",),
    "liability": ("cases", "refunds"),
    "finance": ("cases", "refunds", "liability"),
}

_MODULES: dict[str, ModuleType] = {
    "orders": orders,
    "cases": cases,
    "refunds": refunds,
    "liability": liability,
    "finance": finance,
}


_BASES = (Event, CaseEvent, operations.OperationEvent, finance.DiscrepancyEvent, finance.CorrectionEvent)


def _events_of(module: ModuleType) -> list[type[Event]]:
    return [
        member
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, Event) and member not in _BASES
    ]


#: Event types by emitting service. The cases service publishes the order snapshots that it recorded as well.
EVENTS_BY_SOURCE: dict[str, dict[str, type[Event]]] = {
    source: {type_of(event): event for event in _events_of(module)} for source, module in _MODULES.items()
}

#: Event types that every service emits of the work on its own log. Nobody hears them.
OPERATION_EVENTS: dict[str, type[Event]] = {type_of(event): event for event in _events_of(operations)}

EVENT_TYPES: dict[str, type[Event]] = {
    **{name: event for events in EVENTS_BY_SOURCE.values() for name, event in events.items()},
    **OPERATION_EVENTS,
}

#: (type, version) → function that lifts the raw body of that version to the next: the only way to change an event.
UPCASTERS: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}

_DECODERS = {name: msgspec.json.Decoder(event) for name, event in EVENT_TYPES.items()}
_ENCODER = msgspec.json.Encoder()


class UnknownEvent(Exception):
    """An event of a type, or of a version, that this release does not know."""


def encode(event: Event) -> bytes:
    """The JSON body of an event."""
    return _ENCODER.encode(event)


def decode(type_: str, schema: int, data: bytes) -> Event:
    """The event of a JSON body.

    Raises `UnknownEvent` where the type is unknown, `msgspec.ValidationError` where the body breaks its schema.
    """
    decoder = _DECODERS.get(type_)
    if decoder is None:
        raise UnknownEvent(f"unknown event type {type_!r}")
    current = EVENT_TYPES[type_].schema_version
    if schema >= current:  # a later version only adds what this one may ignore
        return decoder.decode(data)
    return msgspec.convert(_lift(type_, schema, current, msgspec.json.decode(data)), EVENT_TYPES[type_])


def _lift(type_: str, schema: int, current: int, body: dict[str, Any]) -> dict[str, Any]:
    for version in range(schema, current):
        upcaster = UPCASTERS.get((type_, version))
        if upcaster is None:
            raise UnknownEvent(f"{type_} version {version} has no upcaster")
        body = upcaster(body)
    return body

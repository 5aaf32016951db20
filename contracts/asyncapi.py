"""The AsyncAPI 3.0 document: which events travel on which topic, under which headers and in which shape."""

from typing import Any

from contracts import registry
from contracts.envelope import ATTRIBUTES, CONTENT_TYPE, dataschema
from contracts.event import Event
from contracts.json_schema import DIALECT

VERSION = "3.0.0"
#: Upstream's topic: this system reads it and never writes to it.
UPSTREAM = "orders"
#: The cases service publishes the order snapshots that it was given over HTTP among its own events.
_ALSO_SENT = {"cases": ("order.recorded",)}

_INTRODUCTION = """\
Events of order after-sales: what happened in a case, what the buyer is refunded, who bears the loss.

Every message is a CloudEvents 1.0 event in Kafka's binary mode: attributes are headers, the value is the
event's JSON. The key is the `order_id` (`~stock` for stock), so all events of one order keep their order. What
operators had done to a service's log (`operation.…`) is told there too, under a key that begins with `~operation:`.
`ce_sequence` is dense from 1 for each source and key: what is not above the last one seen is a duplicate,
what leaves a hole is a loss. What an operator had sent once more carries `ce_replay` and is otherwise as it was.

No event holds personal data beyond ids: what people wrote freely (`x-sealed` in the schemas) is sealed, `sealed:…`,
with a key that the cases service keeps for each order and destroys when it is asked to (`personal_data.erased`).

Readers ignore unknown fields and fill in the schema's default where a field is absent. Every version of a
schema reads every other one; a change that could not is a new event type.

A message that a consumer group cannot handle goes to `<topic>.<group>.dlq` with its bytes and headers as they
were and `__streams.errors.*` headers that say why; later messages of the same key wait behind it."""


def document(examples: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The whole document. `examples` holds bodies by event type; payloads refer to files in `schemas/`."""
    return {
        "asyncapi": VERSION,
        "info": {"title": "aftersales", "version": "1.0.0", "description": _INTRODUCTION},
        "defaultContentType": CONTENT_TYPE,
        "channels": {source: _channel(source, topic) for source, topic in registry.TOPICS.items()},
        "operations": dict(_operation(action, source) for source in registry.TOPICS for action in _actions(source)),
        "components": {
            "messages": {
                name: _message(name, event, examples.get(name, []))
                for name, event in sorted(registry.EVENT_TYPES.items())
            },
            "schemas": {"headers": _headers()},
        },
    }


def _channel(source: str, topic: str) -> dict[str, Any]:
    emitter = "upstream systems" if source == UPSTREAM else f"the {source} service"
    return {
        "address": topic,
        "description": f"Events from {emitter}. Dead letters of a consumer group: `{topic}.<group>.dlq`.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _types_on(source)},
        "bindings": {"kafka": {"topic": topic, "bindingVersion": "0.5.0"}},
    }


def _types_on(source: str) -> list[str]:
    operations = () if source == UPSTREAM else registry.OPERATION_EVENTS
    return sorted([*registry.EVENTS_BY_SOURCE[source], *_ALSO_SENT.get(source, ()), *operations])


def _actions(source: str) -> tuple[str, ...]:
    return ("receive",) if source == UPSTREAM else ("send", "receive")


def _operation(action: str, source: str) -> tuple[str, dict[str, Any]]:
    summaries = {
        "send": f"The {source} service publishes what it decided.",
        "receive": f"Services read events of {source}: each once, in the order of its key.",
    }
    return f"{action}_{source}", {
        "action": action,
        "channel": {"$ref": f"#/channels/{source}"},
        "summary": summaries[action],
        "messages": [{"$ref": f"#/channels/{source}/messages/{name}"} for name in _types_on(source)],
    }


def _message(name: str, event: type[Event], examples: list[dict[str, Any]]) -> dict[str, Any]:
    version = event.schema_version
    return {
        "name": name,
        "title": event.__name__,
        "summary": (event.__doc__ or "").strip(),
        "contentType": CONTENT_TYPE,
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "headers": {
            "type": "object",
            "allOf": [{"$ref": "#/components/schemas/headers"}],
            "properties": {"ce_type": {"const": name}, "ce_dataschema": {"const": dataschema(name, version)}},
        },
        "payload": {
            "schemaFormat": f"application/schema+json;version={DIALECT.split('/')[-2]}",
            "schema": {"$ref": f"./schemas/{name}.v{version}.json"},
        },
        "bindings": {"kafka": {"key": {"type": "string", "description": "order_id"}, "bindingVersion": "0.5.0"}},
        "examples": [{"payload": example} for example in examples],
    }


def _headers() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "CloudEvents 1.0 attributes as Kafka headers: UTF-8 text.",
        "properties": {
            attribute.header: {
                "type": "string",
                "description": attribute.meaning,
                "pattern": _ecma(attribute.pattern),
                "examples": [attribute.example],
            }
            for attribute in ATTRIBUTES
        },
        "required": [attribute.header for attribute in ATTRIBUTES if attribute.required],
    }


def _ecma(pattern: str) -> str:
    """A pattern as JSON Schema has it: anchored, and without the inline flags that it does not know."""
    return f"^({pattern.removeprefix('(?i)')})$"

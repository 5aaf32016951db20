"""The JSON Schema of an event: generated from its struct, each a document that stands alone."""

from typing import Any

import msgspec

from contracts.envelope import dataschema
from contracts.event import Event, type_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def document(event: type[Event]) -> dict[str, Any]:
    """The schema of one event type at its present version.

    Titles and descriptions are the structs' names and docstrings. Unknown fields stay allowed: readers ignore
    them.
    """
    # Through JSON, so that defaults are lists here as they are in the files.
    generated = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(event)))
    definitions = dict(sorted(generated["$defs"].items()))
    root = definitions.pop(generated["$ref"].removeprefix("#/$defs/"))
    bundled = {"$schema": DIALECT, "$id": dataschema(type_of(event), event.schema_version), **root}
    return {**bundled, "$defs": definitions} if definitions else bundled

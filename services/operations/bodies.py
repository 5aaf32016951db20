"""What a request to start an operation may be, kind by kind, as the document of the API tells it."""

from typing import Any, Final, Literal, Union

import msgspec

from services.kernel.fields import Text
from services.operations.kind import Kind
from services.operations.kinds import KINDS


def _body(kind: Kind) -> type[msgspec.Struct]:
    """What a request for this kind holds: `options` where the kind needs some, or may have them."""
    needed = any(field.required for field in msgspec.structs.fields(kind.options))
    fields: list[Any] = [("service", Literal[kind.services]), ("reason", Text)]
    options = ("options", kind.options)
    return msgspec.defstruct(
        f"Start{kind.options.__name__}",
        [*fields, options if needed else (*options, msgspec.field(default_factory=kind.options))],
        tag_field="kind",
        tag=kind.name,
        forbid_unknown_fields=True,
        kw_only=True,
        namespace={"__doc__": f"{kind.about.en.capitalize()} · {kind.about.zh}"},
    )


#: One of them, told apart by its `kind`.
START: Final[Any] = Union[tuple(_body(kind) for kind in KINDS.values())]  # noqa: UP007 - made of a table

"""Saved column mappings: how tables of one shape, such as a carrier's claim statement, are read as bills."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from contracts.events.finance import MappingSaved
from services.kernel.decider import Command, CommandSpec, Context, Events, Fact

if TYPE_CHECKING:
    from services.finance.domain.books import Books

#: The longest mapping, in characters: one has some twenty lines.
MAX_CONTENT: Final = 64 * 1024

#: It stands in addresses.
MappingName = Annotated[str, msgspec.Meta(pattern=r"^[^\s/\x00-\x1f\x7f]+$(?!\n)", max_length=64)]
Content = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]+$(?!\n)", max_length=MAX_CONTENT)]


class SavedMapping(msgspec.Struct, frozen=True):
    """A mapping as it was saved last: YAML or JSON, as it was written."""

    mapping: str
    content: str
    saved_at: datetime
    saved_by: str


class Mappings:
    """The mappings that there are, by name."""

    def __init__(self) -> None:
        self.saved: dict[str, SavedMapping] = {}

    def evolve(self, fact: Fact) -> None:
        """Fold one event."""
        if isinstance(event := fact.event, MappingSaved):
            self.saved[event.mapping] = SavedMapping(event.mapping, event.content, fact.time, fact.actor)


class SaveMapping(Command, frozen=True, kw_only=True):
    """How tables of one shape are read from now on. Whoever takes the command has read the content as a mapping."""

    mapping: MappingName
    content: Content


def save_mapping(file: "Books", _: str, body: SaveMapping, __: Context) -> Events:
    """Nothing where it is saved so already."""
    known = file.mappings.saved.get(body.mapping)
    if known is not None and known.content == body.content:
        return ()
    return (MappingSaved(mapping=body.mapping, content=body.content),)


COMMANDS: "Mapping[str, CommandSpec[Books]]" = {
    "save_mapping": CommandSpec(SaveMapping, frozenset({"finance"}), save_mapping)
}

"""What every event is: a frozen fact with a type, a schema version and the topic it travels on."""

from datetime import datetime
from typing import Annotated, ClassVar

import msgspec

#: The largest amount that any field takes, in fen (one billion yuan): above it a number is a mistake, not money.
MAX_FEN = 100_000_000_000

Fen = Annotated[int, msgspec.Meta(ge=0, le=MAX_FEN, description="Amount in fen (CNY 0.01)")]
SignedFen = Annotated[int, msgspec.Meta(ge=-MAX_FEN, le=MAX_FEN, description="Signed amount in fen (CNY 0.01)")]
Units = Annotated[int, msgspec.Meta(ge=0, le=1_000_000, description="Number of units")]
BasisPoints = Annotated[int, msgspec.Meta(ge=0, le=10_000, description="Share in 1/10000")]
Moment = Annotated[datetime, msgspec.Meta(tz=True, description="A time with its offset (RFC 3339)")]


# Without `gc`: a frozen value holds no cycle, and the collector walking all events that are being read took a fifth of
# the time in which a long history is folded.
class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True, gc=False):
    """A fact. Fields that a later version adds have defaults, so that every version reads every other."""

    schema_version: ClassVar[int] = 1

    @property
    def subject(self) -> str:
        """What the fact is about: the case, or the order or article where there is no case."""
        raise TypeError(f"{type(self).__name__} names no subject")


class CaseEvent(Event, frozen=True, kw_only=True):
    """A fact about one case. `note` is what the person who caused it added in free words."""

    case_id: str
    note: str = ""

    @property
    def subject(self) -> str:
        return self.case_id


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A value inside an event."""


def type_of(event: Event | type[Event]) -> str:
    """The name of an event, e.g. `case.opened`."""
    return str(event.__struct_config__.tag)

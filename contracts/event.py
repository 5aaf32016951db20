"""What every event is: a frozen fact with a type, a schema version and the topic it travels on."""

import re
from datetime import datetime
from functools import cache
from typing import Annotated, ClassVar, Final, get_type_hints

import msgspec

#: The largest amount that any field takes, in fen (one billion yuan): above it a number is a mistake, not money.
MAX_FEN = 100_000_000_000

Fen = Annotated[int, msgspec.Meta(ge=0, le=MAX_FEN, description="Amount in fen (CNY 0.01)")]
SignedFen = Annotated[int, msgspec.Meta(ge=-MAX_FEN, le=MAX_FEN, description="Signed amount in fen (CNY 0.01)")]
Units = Annotated[int, msgspec.Meta(ge=0, le=1_000_000, description="Number of units")]
BasisPoints = Annotated[int, msgspec.Meta(ge=0, le=10_000, description="Share in 1/10000")]
Moment = Annotated[datetime, msgspec.Meta(tz=True, description="A time with its offset (RFC 3339)")]
#: A buyer's name or number may be in what people write, so that no event holds it in plain (decision 7).
FreeText = Annotated[
    str,
    msgspec.Meta(
        description="What somebody wrote, sealed: `sealed:…`; only whoever keeps the order's key can read it",
        extra_json_schema={"x-sealed": True},
    ),
]
CodeOrFreeText = Annotated[
    str,
    msgspec.Meta(
        description="A code (`no_reason_7_days`), or what somebody wrote, sealed: `sealed:…`",
        extra_json_schema={"x-sealed": True},
    ),
]
TextLock = Annotated[
    str,
    msgspec.Meta(description="Number and public key that free texts of the order are sealed with from now on"),
]

#: What rules may compare, where a field holds either a code or free words.
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


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
    note: FreeText = ""

    @property
    def subject(self) -> str:
        return self.case_id


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A value inside an event."""


def type_of(event: Event | type[Event]) -> str:
    """The name of an event, e.g. `case.opened`."""
    return str(event.__struct_config__.tag)


def free_texts(event: Event) -> dict[str, str]:
    """What people wrote in an event, by field. What is empty is left out, and a code where a field may hold one."""
    return {
        name: text
        for name, may_be_code in _free_fields(type(event))
        if (text := getattr(event, name)) and not (may_be_code and _CODE.fullmatch(text))
    }


@cache
def _free_fields(event: type[Event]) -> tuple[tuple[str, bool], ...]:
    """The fields that hold free words, and whether each may hold a code instead."""
    hints = get_type_hints(event, include_extras=True)
    return tuple((name, hints[name] == CodeOrFreeText) for name in event.__struct_fields__ if _is_free(hints[name]))


def _is_free(hint: object) -> bool:
    return hint in (FreeText, CodeOrFreeText)

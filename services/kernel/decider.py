"""What a domain is made of: a file that folds events, decisions about it, and follow-ups that derive from it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from contracts.event import Event
from services.kernel.actor import Actor
from services.kernel.fields import Note

Events = Sequence[Event]


class Fact(Protocol):
    """What a file needs to know of a record: the event, and who caused it and when."""

    @property
    def event(self) -> Event: ...
    @property
    def time(self) -> datetime: ...
    @property
    def actor(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def source(self) -> str: ...


class File(Protocol):
    """The state of one stream. It changes by `evolve` only, which is deterministic and knows no clock and no rule."""

    def evolve(self, fact: Fact) -> None:
        """Fold one more event, decided here or learned from another service."""


F = TypeVar("F", bound=File)


class Context(msgspec.Struct, frozen=True):
    """What a decision is given besides the file: the time, and who acts."""

    now: datetime
    actor: Actor


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a command. `note` is a free remark that its first event keeps."""

    note: Note = ""


@dataclass(frozen=True, slots=True)
class CommandSpec(Generic[F]):
    """One command: its body, who may give it, and the pure function that decides it.

    `decide(file, case_id, body, context)` gives events or raises `Refusal`. `validate` holds the refusals that come
    before `forbidden` in `domain.md` §3 but need the file.
    """

    body: type[Command]
    roles: frozenset[str]
    decide: Callable[[F, str, Any, Context], Events]
    validate: Callable[[F, str, Any, Context], None] | None = None


class Domain(Protocol[F]):
    """The rules of one service, for the kernel to run. It holds the policy and no state of its own."""

    #: The service's name, which is the source of its events.
    source: str
    #: Version of the policy that decisions are made under.
    policy_version: str
    #: Events of other services that a file keeps, by type; others are only reacted to.
    learns: Collection[str]
    #: Events of other services that matter at all, by type.
    hears: Collection[str]
    commands: Mapping[str, CommandSpec[F]]

    def new_file(self, stream: str) -> F:
        """The state before the first event."""

    def check_known(self, file: F, case_id: str, command: str, body: Mapping[str, Any]) -> None:
        """Refuse what names an unknown thing, then what a closed case does not take; `body` is not validated yet."""

    def react(self, file: F, fact: Fact, context: Context) -> Events:
        """What follows directly from another service's event (already folded if it is one that the file keeps)."""

    def needs(self, file: F, case_ids: Collection[str]) -> Sequence[str]:
        """Other streams of this service that `follow_ups` must see, in the order in which they are to be locked."""

    def follow_ups(self, file: F, others: Mapping[str, File], case_ids: Collection[str], context: Context) -> Events:
        """What is due now by the state of these cases; asked again until nothing is."""

    def stream_of(self, event: Event, stream: str) -> str:
        """The stream that an own event belongs to; `stream` is that of the file being decided."""

    def home_of(self, event: Event, stream: str) -> str:
        """The stream of the file that a heard event concerns; `stream` is the one that it was recorded in."""

"""Reconciliations that were made, by their names; and making one, which raises what does not agree."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from contracts.event import MAX_FEN
from contracts.events.finance import DiscrepancyFound, Reconciled
from services.finance.domain.discrepancies import not_known
from services.kernel.decider import Command, CommandSpec, Context, Events, Fact
from services.kernel.fields import Code, Name, Sha256
from services.kernel.refusal import Refusal, invalid

if TYPE_CHECKING:
    from services.finance.domain.books import Books

Day = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$(?!\n)")]
_Count = Annotated[int, Meta(ge=0)]
_Fen = Annotated[int, Meta(ge=-MAX_FEN, le=MAX_FEN)]


@dataclass(slots=True)
class Run:
    """One reconciliation: what it came to, when and by whom."""

    event: Reconciled
    at: datetime
    by: str


class Runs:
    """All reconciliations; a later one of the same name replaces the earlier."""

    def __init__(self) -> None:
        self.all: dict[str, Run] = {}

    def evolve(self, fact: Fact) -> None:
        """Fold one event."""
        if isinstance(fact.event, Reconciled):
            self.all[fact.event.run] = Run(fact.event, fact.time, fact.actor)


class Found(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that does not agree, as in `discrepancy.found`."""

    discrepancy: Code
    kind: Code
    channel: str
    day: Day
    expected_fen: _Fen
    found_fen: _Fen
    order_id: str = ""
    case_id: str = ""
    rows: tuple[str, ...] = ()
    events: tuple[str, ...] = ()


class Made(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run came to, as in `books.reconciled`; `found` are those discrepancies that are not raised yet."""

    run: Code
    bills: tuple[str, ...]
    position: _Count
    matched: _Count
    carried: _Count
    discrepancies: _Count
    result: Sha256
    found: tuple[Found, ...] = ()


class Reconcile(Command, frozen=True, kw_only=True):
    """Compare events, ledger and the bills of a channel, day by day. `order_channels`: of which orders the money goes
    through it; where none are named, all but those that are of another payment channel.

    Nobody may say `made`: it is found out where the command arrives.
    """

    channel: Name
    first_day: Day
    last_day: Day
    order_channels: Annotated[tuple[Name, ...], Meta(max_length=100)] = ()
    made: Made | None = None


def raised(found: Found, run: str) -> DiscrepancyFound:
    """The event that raises it."""
    return DiscrepancyFound(
        discrepancy=found.discrepancy,
        kind=found.kind,
        channel=found.channel,
        day=found.day,
        expected_fen=found.expected_fen,
        found_fen=found.found_fen,
        run=run,
        order_id=found.order_id,
        case_id=found.case_id,
        rows=found.rows,
        events=found.events,
    )


def _reconcile(file: "Books", _: str, body: Reconcile, __: Context) -> Events:
    """What is known already is not raised again. A run that was made with the same result is no news."""
    made = body.made
    if made is None:
        raise invalid("made", "required", "缺少对账结果", "is what the comparison came to")
    if not made.bills:
        raise Refusal("nothing_to_reconcile", channel=body.channel, first_day=body.first_day, last_day=body.last_day)
    news = [raised(found, made.run) for found in not_known(file.discrepancies, made.found)]
    known = file.runs.all.get(made.run)
    if known is not None and known.event.result == made.result and not news:
        return ()
    return (
        *news,
        Reconciled(
            run=made.run,
            channel=body.channel,
            first_day=body.first_day,
            last_day=body.last_day,
            bills=made.bills,
            order_channels=tuple(sorted(set(body.order_channels))),
            position=made.position,
            matched=made.matched,
            carried=made.carried,
            discrepancies=made.discrepancies,
            result=made.result,
        ),
    )


COMMANDS: Mapping[str, CommandSpec["Books"]] = {"reconcile": CommandSpec(Reconcile, frozenset({"finance"}), _reconcile)}

"""Discrepancies: where events, ledger and bills do not agree, who looks after each, and which correction closed it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from contracts.events.finance import DiscrepancyAssigned, DiscrepancyClosed, DiscrepancyFound
from services.kernel.decider import Command, CommandSpec, Context, Events, Fact
from services.kernel.fields import Code, Name
from services.kernel.refusal import Refusal

if TYPE_CHECKING:
    from services.finance.domain.books import Books


#: Who looks after a discrepancy before anybody is named; finance where nothing is said here.
FIRST_OWNERS: Final[Mapping[str, str]] = {"liability_unassigned": "team_lead"}


@dataclass(slots=True)
class Discrepancy:
    """One that was found. `owner` is a role until somebody is named; `correction` is the one that closed it, empty
    while it is open."""

    event: DiscrepancyFound
    found_at: datetime
    owner: str
    correction: str = ""
    closed_at: datetime | None = None


class Discrepancies:
    """All discrepancies by their ids."""

    def __init__(self) -> None:
        self.all: dict[str, Discrepancy] = {}

    def is_known(self, discrepancy: str) -> bool:
        """Whether it was ever found."""
        return discrepancy in self.all

    def is_open(self, discrepancy: str) -> bool:
        """Whether it was found and not closed."""
        return self.is_known(discrepancy) and self.all[discrepancy].closed_at is None

    def evolve(self, fact: Fact) -> None:
        """Fold one event."""
        match fact.event:
            case DiscrepancyFound() as event:
                owner = FIRST_OWNERS.get(event.kind, "finance")
                self.all[event.discrepancy] = Discrepancy(event, fact.time, owner)
            case DiscrepancyAssigned() as event:
                self.all[event.discrepancy].owner = event.owner
            case DiscrepancyClosed() as event:
                one = self.all[event.discrepancy]
                one.correction, one.closed_at = event.correction, fact.time


class _Named(Protocol):
    @property
    def discrepancy(self) -> str: ...


N = TypeVar("N", bound=_Named)


def not_known(known: Discrepancies, found: Iterable[N]) -> Iterator[N]:
    """Those that were never raised, each once."""
    seen: set[str] = set()
    for one in found:
        if one.discrepancy not in seen and not known.is_known(one.discrepancy):
            seen.add(one.discrepancy)
            yield one


class AssignDiscrepancy(Command, frozen=True, kw_only=True):
    """Somebody looks after a discrepancy from now on."""

    discrepancy: Code
    owner: Name


def _check_known(file: "Books", _: str, body: AssignDiscrepancy, __: Context) -> None:
    if not file.discrepancies.is_known(body.discrepancy):
        raise Refusal("unknown_discrepancy", discrepancy=body.discrepancy)


def _assign(file: "Books", _: str, body: AssignDiscrepancy, __: Context) -> Events:
    """Nothing where it is so already; one that is closed needs nobody any more."""
    if not file.discrepancies.is_open(body.discrepancy):
        raise Refusal("discrepancy_closed", discrepancy=body.discrepancy)
    owner = body.owner.strip()
    if file.discrepancies.all[body.discrepancy].owner == owner:
        return ()
    return (DiscrepancyAssigned(discrepancy=body.discrepancy, owner=owner),)


COMMANDS: Mapping[str, CommandSpec["Books"]] = {
    "assign_discrepancy": CommandSpec(AssignDiscrepancy, frozenset({"finance"}), _assign, _check_known)
}

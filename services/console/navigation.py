"""The menu, and the pages of operations: which there are for whom. It only spares people what is not theirs; the API
says what may be done."""

from collections.abc import Sequence
from typing import Final, NamedTuple

LEADS: Final = ("team_lead", "store_manager")
OFFICE: Final = ("agent", *LEADS, "finance")
EVERYBODY: Final = (*OFFICE, "warehouse")


class Entry(NamedTuple):
    """A page of the menu: its text, its address, and the roles that see it."""

    text: str
    path: str
    roles: Sequence[str]


MENU: Final = (
    Entry("menu.work", "/console/", EVERYBODY),
    Entry("menu.cases", "/console/cases", EVERYBODY),
    Entry("menu.stock", "/console/stock", EVERYBODY),
    Entry("menu.liability", "/console/liability", OFFICE),
    Entry("menu.indicators", "/console/indicators", OFFICE),
    Entry("menu.finance", "/console/finance", ("finance", *LEADS)),
    Entry("menu.operations", "/console/operations", ("store_manager",)),
)
#: Pages of operations: everybody may ask how far consumers are, and how something was.
OPERATIONS: Final = (
    Entry("operations.overview", "/console/operations", EVERYBODY),
    Entry("operations.dead", "/console/operations/dead-letters", ("store_manager",)),
    Entry("operations.runs", "/console/operations/runs", ("store_manager",)),
    Entry("operations.what_if", "/console/operations/what-if", ("store_manager",)),
    Entry("operations.time", "/console/operations/time", EVERYBODY),
    Entry("operations.audit", "/console/operations/audit", ("store_manager",)),
)


def menu_of(role: str) -> list[Entry]:
    """What a role sees."""
    return [entry for entry in MENU if role in entry.roles]


def operations_of(role: str) -> list[Entry]:
    """The pages of operations that a role sees."""
    return [entry for entry in OPERATIONS if role in entry.roles]

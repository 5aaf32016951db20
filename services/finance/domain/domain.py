"""The rules of finance, for the kernel to run."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from contracts.event import Event, type_of
from contracts.policy import Policy
from contracts.registry import EVENTS_BY_SOURCE
from services.finance.domain import bills, corrections, discrepancies, mappings, periods, runs
from services.finance.domain.books import BOOKS, Books
from services.finance.domain.order import HEARD, OrderBooks
from services.finance.ledger.accounts import external_parties
from services.kernel.decider import CommandSpec, Context, Fact, File

AnyFile = OrderBooks | Books


class FinanceDomain:
    """The ledger of after-sales, and what channels say of it.

    What others tell of money and cases it keeps in the file of the order, and decides nothing about it. What it does
    decide is about the books as a whole.
    """

    source = "finance"
    learns: Collection[str] = frozenset(type_of(event) for event in HEARD)
    hears: Collection[str] = learns

    def __init__(self, policy: Policy) -> None:
        self.policy_version = policy.version
        self.commands: Mapping[str, CommandSpec[Any]] = {
            name: spec
            for subject in (mappings, bills, runs, discrepancies, corrections, periods)
            for name, spec in subject.COMMANDS.items()
        }
        self._external = external_parties(policy)
        self._own = frozenset(EVENTS_BY_SOURCE[self.source])

    def new_file(self, stream: str) -> AnyFile:
        return Books() if stream == BOOKS else OrderBooks(stream, self._external)

    def stream_of(self, event: Event, stream: str) -> str:
        return BOOKS if type_of(event) in self._own else stream

    def home_of(self, event: Event, stream: str) -> str:
        return stream

    def check_known(self, file: AnyFile, case_id: str, command: str, body: Mapping[str, Any]) -> None:
        """What a command names is looked for by its own decision."""

    def react(self, file: AnyFile, fact: Fact, context: Context) -> Sequence[Event]:
        return ()

    def needs(self, file: AnyFile, case_ids: Collection[str]) -> Sequence[str]:
        return ()

    def follow_ups(
        self, file: AnyFile, others: Mapping[str, File], case_ids: Collection[str], context: Context
    ) -> Sequence[Event]:
        return ()

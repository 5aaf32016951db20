"""The rules of liability, for the kernel to run."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from contracts.event import Event, type_of
from contracts.events.cases import CaseOpened, CauseAssessed, PersonalDataErased
from contracts.events.liability import LiabilityDetermined, Share
from contracts.policy import Policy
from services.kernel.decider import Context, Fact, File
from services.kernel.refusal import Refusal
from services.liability.domain.charge import charges_due
from services.liability.domain.commands import WHOLE_BP, commands
from services.liability.domain.entry import SOURCES, entries_of
from services.liability.domain.file import LiabilityFile

#: What liability hears of cases and refunds.
HEARD: Sequence[type[Event]] = (CaseOpened, PersonalDataErased, CauseAssessed, *SOURCES)


class LiabilityDomain:
    """Which party bears which loss, and what was recovered from it.

    Its own entries say all that it needs of other services' events, so it keeps only that a case was opened, and what
    the words of people are sealed with.
    """

    source = "liability"
    learns: Collection[str] = frozenset({type_of(CaseOpened), type_of(PersonalDataErased)})
    hears: Collection[str] = frozenset(type_of(event) for event in HEARD)

    def __init__(self, policy: Policy) -> None:
        self.policy_version = policy.version
        self.commands = commands(policy)

    def new_file(self, stream: str) -> LiabilityFile:
        return LiabilityFile(stream)

    def stream_of(self, event: Event, stream: str) -> str:
        return stream

    def home_of(self, event: Event, stream: str) -> str:
        return stream

    def check_known(self, file: LiabilityFile, case_id: str, command: str, body: Mapping[str, Any]) -> None:
        """Raises `unknown_case`. Closed cases take all commands."""
        case = file.cases.get(case_id)
        if case is None or not case.known:
            raise Refusal("unknown_case", case_id=case_id)

    def react(self, file: LiabilityFile, fact: Fact, context: Context) -> Sequence[Event]:
        """An assessed cause says who bears the loss; what cost or brought money is an entry of it."""
        if isinstance(fact.event, CauseAssessed):
            return (_determined(fact.event),)
        return entries_of(fact)

    def needs(self, file: LiabilityFile, case_ids: Collection[str]) -> Sequence[str]:
        return ()

    def follow_ups(
        self, file: LiabilityFile, others: Mapping[str, File], case_ids: Collection[str], context: Context
    ) -> Sequence[Event]:
        """Charges that differ from what the parties bear, in every case: a credit may be another case's."""
        return [event for case in file.cases.values() for event in charges_due(case)]


def _determined(assessed: CauseAssessed) -> LiabilityDetermined:
    return LiabilityDetermined(
        case_id=assessed.case_id,
        cause=assessed.cause,
        shares=(Share(party=assessed.party, share_bp=WHOLE_BP),),
    )

"""The rules of refunds, for the kernel to run."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from contracts.event import Event, type_of
from contracts.events import cases as c
from contracts.events.orders import OrderRecorded
from contracts.policy import Policy
from services.kernel.decider import Context, Fact, File
from services.kernel.refusal import Refusal
from services.refunds.domain.buyers_money import charge_returns_due, deposits_due
from services.refunds.domain.commands import COMMANDS
from services.refunds.domain.file import RefundsFile
from services.refunds.domain.freight import freight_due, insurance_exceptions
from services.refunds.domain.payout import Outcome, outcome_events
from services.refunds.domain.refund import calculated, refunds_due
from services.refunds.domain.settlement import settlement_due

#: What refunds keeps of cases.
LEARNED: tuple[type[Event], ...] = (
    OrderRecorded,
    c.CaseOpened,
    c.CompensationPaid,
    c.ReturnAuthorised,
    c.ReturnReceived,
    c.ReturnCancelled,
    c.DepositCollected,
    c.DepositForfeited,
    c.InsurancePaid,
    c.InsuranceFailed,
    c.RefundRequested,
    c.ReshipmentCancelled,
    c.PersonalDataErased,
)

#: What may be due on a case, in the order of decisions; the settlement follows the figures that it tells.
_DUE = (refunds_due, freight_due, deposits_due, charge_returns_due)


class RefundsDomain:
    """How much the buyer finally gets, and when each payout may leave."""

    source = "refunds"
    learns: Collection[str] = frozenset(type_of(event) for event in LEARNED)
    hears: Collection[str] = learns
    commands = COMMANDS

    def __init__(self, policy: Policy) -> None:
        self.policy_version = policy.version

    def new_file(self, stream: str) -> RefundsFile:
        return RefundsFile(stream)

    def stream_of(self, event: Event, stream: str) -> str:
        return stream

    def home_of(self, event: Event, stream: str) -> str:
        return stream

    def check_known(self, file: RefundsFile, case_id: str, command: str, body: Mapping[str, Any]) -> None:
        """Raises `unknown_case`, or `unknown_item` for a payout not of the case. Closed cases take all."""
        if case_id not in file.cases:
            raise Refusal("unknown_case", case_id=case_id)
        named = body.get("payout")
        if isinstance(named, str):
            payout = file.payouts.get(named)
            if payout is None or payout.case_id != case_id:
                raise Refusal("unknown_item", item=named)

    def react(self, file: RefundsFile, fact: Fact, context: Context) -> Sequence[Event]:
        """An insurance payout may be an exception; all else follows from the state."""
        if isinstance(fact.event, c.InsurancePaid):
            return insurance_exceptions(file.cases[fact.event.case_id])
        return ()

    def needs(self, file: RefundsFile, case_ids: Collection[str]) -> Sequence[str]:
        return ()

    def follow_ups(
        self, file: RefundsFile, others: Mapping[str, File], case_ids: Collection[str], context: Context
    ) -> Sequence[Event]:
        """The next thing due: refunds in order of requests, then each case's payouts and its settlement."""
        if file.order is None:
            return ()
        if file.requests:
            return (calculated(file, *file.requests[0]),)
        for case in file.concerned(case_ids):
            events = next((events for due in _DUE if (events := due(file, case))), None) or settlement_due(case)
            if events:
                return events
        return ()

    def record_outcome(
        self, file: RefundsFile, payout: str, attempt: int, outcome: Outcome, context: Context
    ) -> Sequence[Event]:
        """What the gateway says of an attempt, as events: once, however often and however late it says so.

        Raises `Refusal` `unknown_item` for a payout that was never requested.
        """
        if payout not in file.payouts:
            raise Refusal("unknown_item", item=payout)
        return outcome_events(file.payouts[payout], attempt, outcome)

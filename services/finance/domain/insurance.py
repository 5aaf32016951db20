"""Freight insurance, case by case: what the insurer paid the buyer of return freight, and what of it the shop deducted.

An insurer pays the buyer, not the shop. What it paid lowers what the shop gives back of the freight that it bears; what
was paid and not deducted, the shop paid as well. No event tells that a claim was filed: insurers take one up by
themselves once a return is under way, so it is filed when the return was shipped.

Events of cases and of refunds come in no common order, so that what stands here never depends on it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec

from contracts.event import Event
from contracts.events import cases as c
from contracts.events import refunds as r
from contracts.events.orders import FreightInsurance, OrderRecorded
from services.kernel.decider import Fact

#: What is wrong with a claim, as discrepancies are called.
NOT_DEDUCTED: Final = "insurance_not_deducted"
PAID_TWICE: Final = "insurance_paid_twice"

#: What refunds says of a payment that came when the freight was decided.
_LATE: Final = "insurance_late"
_FREIGHT: Final = "freight_reimbursement"


@dataclass(slots=True)
class Return:
    """Goods that come back. `reimbursed_fen`: what the shop decided to pay of the freight, None until it did."""

    borne_by_merchant: bool = False
    under_way_at: datetime | None = None
    accepted: bool = False
    cancelled: bool = False
    freight_fen: int = 0
    reimbursed_fen: int | None = None

    @property
    def owes_freight(self) -> bool:
        """Whether the shop owes the buyer its freight, settled or not."""
        return self.accepted and self.borne_by_merchant and self.freight_fen > 0

    @property
    def deducted_fen(self) -> int:
        """What the shop took off its freight for the insurance."""
        return 0 if self.reimbursed_fen is None else self.freight_fen - self.reimbursed_fen


class Result(msgspec.Struct, frozen=True):
    """What the insurer answered: an amount that it paid the buyer, 0 where it refused."""

    event_id: str
    time: datetime
    amount_fen: int


class Difference(msgspec.Struct, frozen=True):
    """Something about a claim that finance must look at. `expected_fen` is what should have been deducted or paid,
    `found_fen` what was; `events` are the payments, the last of them at `time`."""

    kind: str
    time: datetime
    expected_fen: int
    found_fen: int
    events: tuple[str, ...]


@dataclass(slots=True)
class Claim:
    """The one claim of a case."""

    case_id: str
    returns: dict[str, Return] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    late: bool = False

    @property
    def filed_at(self) -> datetime | None:
        """When the first return was sent whose freight the shop bears."""
        sent = [one.under_way_at for one in self._insured if one.under_way_at]
        return min(sent, default=None)

    @property
    def payments(self) -> list[Result]:
        """What the insurer paid, in order."""
        return [one for one in self.results if one.amount_fen]

    @property
    def paid_fen(self) -> int:
        """What the buyer has from the insurer."""
        return sum(one.amount_fen for one in self.results)

    @property
    def freight_fen(self) -> int:
        """The freight that the shop owes for returns that were accepted, before anything is deducted."""
        return sum(one.freight_fen for one in self._owed)

    @property
    def deducted_fen(self) -> int:
        """What the shop took off the freight."""
        return sum(one.deducted_fen for one in self._owed)

    @property
    def lost_fen(self) -> int:
        """Freight that the insurer paid and the shop paid too. Nothing is lost while some freight is undecided: the
        payment may be deducted from it."""
        if any(one.reimbursed_fen is None for one in self._owed):
            return 0
        return max(0, self._deductible_fen - self.deducted_fen)

    @property
    def state(self) -> str:
        """insured → filed → paid or failed; `paid_late`: after the freight was decided, or after a refusal; and
        `paid_twice`. `lapsed`: insured, and the return never came."""
        match len(self.payments):
            case 0:
                return "failed" if self.results else self._unanswered
            case 1:
                return "paid_late" if self.late or not self.results[0].amount_fen else "paid"
            case _:
                return "paid_twice"

    @property
    def concerns(self) -> bool:
        """Whether a claim can come of it where the order is insured: the shop bears the freight of a return."""
        return bool(self._insured)

    @property
    def difference(self) -> Difference | None:
        """What is wrong with it, if anything. Of a claim that was paid twice, only that is told."""
        if not (payments := self.payments):
            return None
        if len(payments) > 1:
            return _difference(PAID_TWICE, payments, payments[0].amount_fen, self.paid_fen)
        if self.lost_fen:
            return _difference(NOT_DEDUCTED, payments, self._deductible_fen, self.deducted_fen)
        return None

    @property
    def _deductible_fen(self) -> int:
        return min(self.paid_fen, self.freight_fen)

    @property
    def _owed(self) -> list[Return]:
        return [one for one in self.returns.values() if one.owes_freight]

    @property
    def _insured(self) -> list[Return]:
        return [one for one in self.returns.values() if one.borne_by_merchant]

    @property
    def _unanswered(self) -> str:
        if self.filed_at:
            return "filed"
        return "insured" if any(not one.cancelled for one in self._insured) else "lapsed"


def _difference(kind: str, payments: list[Result], expected_fen: int, found_fen: int) -> Difference:
    return Difference(kind, payments[-1].time, expected_fen, found_fen, tuple(one.event_id for one in payments))


class Insurance:
    """The freight insurance of one order, and the claims of its cases."""

    HEARS: Final[frozenset[type[Event]]] = frozenset(
        {
            OrderRecorded,
            c.ReturnAuthorised,
            c.ReturnShipped,
            c.ReturnReceived,
            c.ReturnCancelled,
            c.InsurancePaid,
            c.InsuranceFailed,
            r.PayoutRequested,
            r.ReturnFreightReimbursed,
            r.ExceptionRaised,
        }
    )

    def __init__(self) -> None:
        self.policy: FreightInsurance | None = None
        self._claims: dict[str, Claim] = {}

    @property
    def claims(self) -> Mapping[str, Claim]:
        """By case: where the order is insured and the shop bears freight, and wherever an insurer answered."""
        return dict(self._told())

    def evolve(self, fact: Fact) -> None:
        """Fold one event."""
        match fact.event:
            case OrderRecorded(order=order):
                self.policy = order.freight_insurance
            case c.ReturnAuthorised() as event:
                self._return(event).borne_by_merchant = event.freight_borne_by == "merchant"
            case c.ReturnShipped() as event:
                self._under_way(event, fact.time)
            case c.ReturnReceived() as event:
                self._received(event, fact.time)
            case c.ReturnCancelled() as event:
                self._return(event).cancelled = True
            case c.InsurancePaid() as event:
                self._claim(event.case_id).results.append(Result(fact.id, fact.time, event.amount_fen))
            case c.InsuranceFailed() as event:
                self._claim(event.case_id).results.append(Result(fact.id, fact.time, 0))
            case r.PayoutRequested(kind=kind) as event if kind == _FREIGHT:
                returned = self._claim(event.case_id).returns.setdefault(event.item, Return())
                returned.reimbursed_fen = event.amount_fen
            case r.ReturnFreightReimbursed() as event:
                self._return(event).reimbursed_fen = event.amount_fen
            case r.ExceptionRaised(kind=kind) as event if kind == _LATE:
                self._claim(event.case_id).late = True

    def _told(self) -> Iterator[tuple[str, Claim]]:
        for case_id, claim in self._claims.items():
            if claim.results or (self.policy is not None and claim.concerns):
                yield case_id, claim

    def _received(self, event: c.ReturnReceived, time: datetime) -> None:
        returned = self._under_way(event, time)
        returned.accepted = event.accepted
        returned.freight_fen = event.freight_fen
        returned.borne_by_merchant = event.freight_borne_by == "merchant"

    def _under_way(self, event: c.ReturnShipped | c.ReturnReceived, time: datetime) -> Return:
        returned = self._return(event)
        returned.under_way_at = returned.under_way_at or time
        return returned

    def _return(
        self,
        event: c.ReturnAuthorised | c.ReturnShipped | c.ReturnReceived | c.ReturnCancelled | r.ReturnFreightReimbursed,
    ) -> Return:
        return self._claim(event.case_id).returns.setdefault(event.return_id, Return())

    def _claim(self, case_id: str) -> Claim:
        return self._claims.setdefault(case_id, Claim(case_id))

"""One order's file in the liability service: the loss of each case and who bears it, folded from events."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.event import CaseEvent
from contracts.events import liability as li
from services.kernel.decider import Fact


@dataclass(slots=True)
class CaseLoss:
    """The loss of one case. `known` once cases told of it: entries may come before, by way of refunds."""

    case_id: str
    known: bool = False
    net_fen: int = 0
    entries: list[li.LossRecorded] = field(default_factory=list)
    determined: tuple[li.Share, ...] = ()
    assigned: tuple[li.Share, ...] = ()
    charged: dict[str, int] = field(default_factory=dict)
    recoveries: list[li.LossRecovered] = field(default_factory=list)

    @property
    def shares(self) -> Sequence[li.Share]:
        """The shares in force: those last assigned, else those of the last assessed cause, else none."""
        return self.assigned or self.determined

    @property
    def suspense_fen(self) -> int:
        """What no party was charged: the whole loss until there are shares."""
        return self.net_fen - sum(self.charged.values())

    def recovered_fen(self, party: str) -> int:
        """What was collected from a party so far."""
        return sum(one.amount_fen for one in self.recoveries if one.party == party)


class LiabilityFile:
    """All that liability knows of one order."""

    def __init__(self, order_id: str) -> None:
        self.order_id = order_id
        self.cases: dict[str, CaseLoss] = {}

    def evolve(self, fact: Fact) -> None:
        """Fold one event, learned from cases or decided here."""
        event = fact.event
        if not isinstance(event, CaseEvent):
            return
        case = self.cases.setdefault(event.case_id, CaseLoss(event.case_id))
        match event:
            case li.LossRecorded():
                case.net_fen += event.amount_fen
                case.entries.append(event)
            case li.LiabilityDetermined():
                case.determined = event.shares
            case li.LiabilityAssigned():
                case.assigned = event.shares
            case li.LossCharged():
                case.charged[event.party] = case.charged.get(event.party, 0) + event.amount_fen
            case li.LossReversed():
                case.charged[event.party] = case.charged.get(event.party, 0) - event.amount_fen
            case li.LossRecovered():
                case.recoveries.append(event)
            case _:
                case.known = True

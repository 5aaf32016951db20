"""Which party bears which loss, and what was recovered (topic `aftersales.liability.v1`); `domain.md` §5."""

from contracts.event import BasisPoints, CaseEvent, Fen, FreeText, Part, SignedFen


class Share(Part, frozen=True, kw_only=True):
    """A party (`production`, `courier/YTO`) and its part of a loss."""

    party: str
    share_bp: BasisPoints


class LossRecorded(CaseEvent, frozen=True, kw_only=True, tag="loss.recorded"):
    """An entry of the case's net loss; `entry` names its kind, `cause_id` the event it comes from."""

    entry: str
    amount_fen: SignedFen
    cause_id: str


class LiabilityDetermined(CaseEvent, frozen=True, kw_only=True, tag="liability.determined"):
    """The assessed cause says who bears the loss."""

    cause: str
    shares: tuple[Share, ...]


class LiabilityAssigned(CaseEvent, frozen=True, kw_only=True, tag="liability.assigned"):
    """A lead decided who bears the loss; it overrides the cause."""

    shares: tuple[Share, ...]
    reason: FreeText


class LossCharged(CaseEvent, frozen=True, kw_only=True, tag="loss.charged"):
    """A party bears so much more, taken from suspense."""

    party: str
    amount_fen: Fen


class LossReversed(CaseEvent, frozen=True, kw_only=True, tag="loss.reversed"):
    """A party bears so much less, put back into suspense."""

    party: str
    amount_fen: Fen


class LossRecovered(CaseEvent, frozen=True, kw_only=True, tag="loss.recovered"):
    """A party paid what it owed, in part or in full."""

    party: str
    amount_fen: Fen
    payment_ref: str

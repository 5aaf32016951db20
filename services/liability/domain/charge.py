"""Who is charged what: the net loss by the shares in force, posted as differences (`domain.md` §5)."""

from collections.abc import Mapping, Sequence

from contracts.event import Event
from contracts.events.liability import LossCharged, LossReversed
from services.kernel.money import allocate
from services.liability.domain.file import CaseLoss


def borne(case: CaseLoss) -> Mapping[str, int]:
    """What each party bears, in fen: by the net loss and the shares only, never by the order of entries."""
    if not case.shares:
        return {}
    amounts = allocate(case.net_fen, [share.share_bp for share in case.shares])
    return {share.party: amount for share, amount in zip(case.shares, amounts, strict=True)}


def charges_due(case: CaseLoss) -> Sequence[Event]:
    """The differences to what was charged: first those who bear less, then those who bear more.

    A net below zero makes parties bear less than nothing: they are reversed beyond what they were charged.
    """
    target = borne(case)
    differences = {party: target.get(party, 0) - case.charged.get(party, 0) for party in {**case.charged, **target}}
    return [
        *(
            LossReversed(case_id=case.case_id, party=party, amount_fen=-difference)
            for party, difference in differences.items()
            if difference < 0
        ),
        *(
            LossCharged(case_id=case.case_id, party=party, amount_fen=difference)
            for party, difference in differences.items()
            if difference > 0
        ),
    ]

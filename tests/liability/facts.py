"""Facts and expected events that the tests of liability share."""

from contracts.event import Event
from contracts.events import cases as c
from contracts.events import liability as li
from contracts.events import refunds as r
from contracts.policy import load_policy
from services.liability.domain import LiabilityDomain, LiabilityFile
from tests.given import Story, opened

DOMAIN = LiabilityDomain(load_policy())
LEAD = "team_lead/老陈"


def story() -> Story[LiabilityFile]:
    """Order TB1 with its case TB1-1."""
    return Story(DOMAIN).given(opened())


def assessed(party: str, cause: str = "packing_error", case_id: str = "TB1-1") -> c.CauseAssessed:
    return c.CauseAssessed(
        case_id=case_id,
        cause=cause,
        party=party,
        freight_borne_by="merchant",
        in_warranty=True,
        human_caused=False,
        affects_use=False,
    )


def settled(*lines: r.RefundedLine, case_id: str = "TB1-1", **deducted: int) -> r.RefundSettled:
    """A settled refund; `deducted` names the cases that had paid, as in `TB1_2=500`."""
    return r.RefundSettled(
        case_id=case_id,
        refund="F1",
        refund_fen=0,
        lines=lines,
        deductions=tuple(
            r.Deduction(
                case_id=payer.replace("_", "-"), proposal="P1", line_id="L1", kind="cash", amount_fen=amount_fen
            )
            for payer, amount_fen in deducted.items()
        ),
    )


def refunded(quantity: int, unit_cost_fen: int, kind: str = "product") -> r.RefundedLine:
    return r.RefundedLine(
        line_id="L1",
        quantity=quantity,
        kind=kind,
        unit_cost_fen=unit_cost_fen,
        goods_fen=0,
        compensation_deducted_fen=0,
        price_difference_deducted_fen=0,
        refund_fen=0,
    )


def shares(**basis_points: int) -> list[dict[str, object]]:
    """Shares as a command takes them; `courier__YTO` stands for `courier/YTO`."""
    return [{"party": party.replace("__", "/"), "share_bp": share_bp} for party, share_bp in basis_points.items()]


def entry(kind: str, amount_fen: int, cause_id: str, case_id: str = "TB1-1") -> li.LossRecorded:
    return li.LossRecorded(case_id=case_id, entry=kind, amount_fen=amount_fen, cause_id=cause_id)


def charged(party: str, amount_fen: int, case_id: str = "TB1-1") -> li.LossCharged:
    return li.LossCharged(case_id=case_id, party=party, amount_fen=amount_fen)


def reversed_(party: str, amount_fen: int, case_id: str = "TB1-1") -> li.LossReversed:
    return li.LossReversed(case_id=case_id, party=party, amount_fen=amount_fen)


def amounts(events: list[Event]) -> list[tuple[str, str, int]]:
    """Case, term and amount of the entries among events."""
    return [(event.case_id, event.entry, event.amount_fen) for event in events if isinstance(event, li.LossRecorded)]

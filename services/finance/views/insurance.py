"""Rows of freight insurance: the claim of each case, as it stands."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from services.finance.domain.insurance import Claim
from services.finance.domain.order import OrderBooks
from services.kernel.shop_time import shop_day
from services.kernel.views import Row, utc

CLAIMS: Final = (
    "case_id",
    "order_id",
    "payer",
    "cover_fen",  # bigint
    "state",
    "filed_at",
    "answered_at",
    "payments",  # bigint: how often the insurer paid
    "paid_fen",  # bigint
    "freight_fen",  # bigint
    "deducted_fen",  # bigint
    "lost_fen",  # bigint
    "difference",  # '', or the kind of a discrepancy: insurance_not_deducted, insurance_paid_twice
    "day",
    "expected_fen",  # bigint
    "found_fen",  # bigint
    "events",  # ids of the events of the difference, as a JSON list
)

TABLES: Mapping[str, Sequence[str]] = {"insurance_view": CLAIMS}
KEYS: Mapping[str, int] = {"insurance_view": 1}
# indexes: insurance_by_order (order_id), insurance_by_difference (difference, day)


def rows(file: OrderBooks, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
    """The claims of these cases; of all where the order itself is among them, for it says who insures."""
    return {
        "insurance_view": [
            _row(file, case_id, claim)
            for case_id, claim in file.insurance.claims.items()
            if case_id in subjects or file.order_id in subjects
        ]
    }


def _row(file: OrderBooks, case_id: str, claim: Claim) -> Row:
    policy, difference = file.insurance.policy, claim.difference
    return {
        "case_id": case_id,
        "order_id": file.order_id,
        "payer": policy.payer if policy else "",
        "cover_fen": policy.cover_fen if policy else 0,
        "state": claim.state,
        "filed_at": utc(claim.filed_at) if claim.filed_at else "",
        "answered_at": utc(claim.results[0].time) if claim.results else "",
        "payments": len(claim.payments),
        "paid_fen": claim.paid_fen,
        "freight_fen": claim.freight_fen,
        "deducted_fen": claim.deducted_fen,
        "lost_fen": claim.lost_fen,
        "difference": difference.kind if difference else "",
        "day": shop_day(difference.time) if difference else "",
        "expected_fen": difference.expected_fen if difference else 0,
        "found_fen": difference.found_fen if difference else 0,
        "events": msgspec.json.encode(difference.events if difference else ()).decode(),
    }

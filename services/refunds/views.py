"""The refunds service's read tables: payouts, settlements, and exceptions for finance."""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from contracts.events.refunds import Settlement
from services.kernel.views import Row, utc
from services.refunds.domain.file import Case, Payout, RefundsFile

PAYOUTS = (
    "payout",
    "case_id",
    "order_id",
    "kind",
    "item",
    "amount_fen",
    "status",
    "attempt",
    "reason",
    "channel_ref",
    "channel_refund_id",
    "requested_at",
    "updated_at",
)
SETTLEMENTS = ("case_id", "order_id", *Settlement.__struct_fields__)
EXCEPTIONS = ("case_id", "number", "order_id", "kind", "amount_fen", "raised_at")


class RefundsViews:
    """Rows of the refunds service."""

    tables: Mapping[str, Sequence[str]] = {
        "payout_view": PAYOUTS,
        "settlement_view": SETTLEMENTS,
        "exception_view": EXCEPTIONS,
    }
    keys: Mapping[str, int] = {"payout_view": 1, "settlement_view": 1, "exception_view": 2}
    owners: Mapping[str, str] = dict.fromkeys(("payout_view", "settlement_view", "exception_view"), "case_id")

    def rows(self, file: RefundsFile, subjects: Collection[str]) -> Mapping[str, Sequence[Row]]:
        """The rows of each case that was touched."""
        cases = [file.cases[case_id] for case_id in subjects if case_id in file.cases]
        return {
            "payout_view": [
                _payout_row(file, payout) for payout in file.payouts.values() if payout.case_id in subjects
            ],
            "settlement_view": [_settlement_row(file, case) for case in cases],
            "exception_view": [row for case in cases for row in _exception_rows(file, case)],
        }


def _payout_row(file: RefundsFile, payout: Payout) -> Row:
    return {
        "payout": payout.payout,
        "case_id": payout.case_id,
        "order_id": file.order_id,
        "kind": payout.kind,
        "item": payout.item,
        "amount_fen": payout.amount_fen,
        "status": payout.status,
        "attempt": payout.attempt,
        "reason": payout.reason,
        "channel_ref": payout.channel_ref,
        "channel_refund_id": payout.channel_refund_id,
        "requested_at": utc(payout.requested_at),
        "updated_at": utc(payout.updated_at),
    }


def _settlement_row(file: RefundsFile, case: Case) -> Row:
    figures = msgspec.structs.asdict(case.settlement)
    return {
        "case_id": case.case_id,
        "order_id": file.order_id,
        **figures,
        "freight_pending": int(case.settlement.freight_pending),
    }


def _exception_rows(file: RefundsFile, case: Case) -> list[Row]:
    return [
        {
            "case_id": case.case_id,
            "number": number,
            "order_id": file.order_id,
            "kind": one.kind,
            "amount_fen": one.amount_fen,
            "raised_at": utc(one.raised_at),
        }
        for number, one in enumerate(case.exceptions, start=1)
    ]

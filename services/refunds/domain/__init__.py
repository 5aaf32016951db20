"""How much the buyer finally gets, and when each payout may leave (`domain.md` §4)."""

from services.refunds.domain.domain import RefundsDomain
from services.refunds.domain.file import Case, Payout, RefundsFile

__all__ = ["Case", "Payout", "RefundsDomain", "RefundsFile"]

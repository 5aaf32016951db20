"""Who pays a repair: warranty × human cause × use affected (`domain.md` §3 Accessory failure, Scratch after use)."""

from calendar import monthrange
from datetime import datetime

from services.cases.domain.case import Case
from services.cases.domain.situation import Situation
from services.kernel.refusal import Refusal

GUIDE_ONLY = "guide_only"
SELL = "sell"
FREE = "free"
COMPENSATE = "compensate"

#: Which remedies each verdict leaves, beside guidance.
_ALLOWED = {
    GUIDE_ONLY: frozenset[str](),
    SELL: frozenset({"sell"}),
    FREE: frozenset({"compensate", "reship"}),
    COMPENSATE: frozenset({"compensate"}),
}
_JUDGED = ("accessory_failure", "scratch_after_use")


def _verdict(case: Case) -> str:
    assert case.cause is not None
    if case.problem == "scratch_after_use":
        return COMPENSATE if case.cause.in_warranty else SELL
    if case.cause.human_caused:
        return SELL if case.cause.affects_use else GUIDE_ONLY
    return FREE if case.cause.in_warranty else SELL


def require_verdict(situation: Situation, remedy: str) -> None:
    """Refuse a remedy (`compensate`, `reship`, `sell`) that the assessed cause does not leave."""
    case = situation.case
    if case.problem in _JUDGED and case.cause is not None and remedy not in _ALLOWED[_verdict(case)]:
        situation.refuse_remedy(remedy)


def require_cause(situation: Situation) -> None:
    """Where the cause decides who pays, it must be known."""
    if situation.case.problem in _JUDGED and situation.case.cause is None:
        raise Refusal("cause_required", problem=situation.case.problem)


def in_warranty(situation: Situation) -> bool:
    """Whether the complaint came within the warranty; before delivery it has not begun to run."""
    order = situation.file.order
    assert order is not None
    if order.delivered_at is None:
        return True
    return situation.case.opened_at <= _months_later(order.delivered_at, order.warranty_months)


def _months_later(start: datetime, months: int) -> datetime:
    years, month = divmod(start.month - 1 + months, 12)
    year, month = start.year + years, month + 1
    return start.replace(year=year, month=month, day=min(start.day, monthrange(year, month)[1]))

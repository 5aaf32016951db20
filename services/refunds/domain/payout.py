"""How a payout starts, and what the gateway's answers make of it (`domain.md` §4, `faults.md` row 25)."""

from collections.abc import Sequence
from typing import Protocol

from contracts.event import Event
from contracts.events.refunds import PayoutFailed, PayoutRequested, PayoutSucceeded, PayoutUnknown, payout_id
from services.refunds.domain.file import Case, Payout


class Outcome(Protocol):
    """What a gateway knows of an attempt. `status` is `succeeded`, `failed`, `unknown` or `pending`."""

    @property
    def status(self) -> str: ...
    @property
    def channel_ref(self) -> str: ...
    @property
    def reason(self) -> str: ...


def request(case: Case, kind: str, item: str, amount_fen: int, channel_refund_id: str = "") -> PayoutRequested:
    """The first attempt to pay an item."""
    return PayoutRequested(
        case_id=case.case_id,
        payout=payout_id(case.case_id, kind, item),
        kind=kind,
        item=item,
        amount_fen=amount_fen,
        channel_refund_id=channel_refund_id,
    )


def request_again(payout: Payout) -> PayoutRequested:
    """One more attempt under the same reference."""
    return PayoutRequested(
        case_id=payout.case_id,
        payout=payout.payout,
        kind=payout.kind,
        item=payout.item,
        amount_fen=payout.amount_fen,
        attempt=payout.attempt + 1,
        channel_refund_id=payout.channel_refund_id,
    )


def succeeded(payout: Payout, channel_ref: str, attempt: int) -> PayoutSucceeded:
    """The buyer has the money, by this attempt."""
    return PayoutSucceeded(
        case_id=payout.case_id,
        payout=payout.payout,
        kind=payout.kind,
        item=payout.item,
        amount_fen=payout.amount_fen,
        channel_ref=channel_ref,
        attempt=attempt,
    )


def failed(payout: Payout, reason: str) -> PayoutFailed:
    """The latest attempt did not pay."""
    return PayoutFailed(
        case_id=payout.case_id,
        payout=payout.payout,
        kind=payout.kind,
        item=payout.item,
        amount_fen=payout.amount_fen,
        reason=reason,
        attempt=payout.attempt,
    )


def unknown(payout: Payout, reason: str) -> PayoutUnknown:
    """Nobody knows whether the latest attempt paid."""
    return PayoutUnknown(
        case_id=payout.case_id,
        payout=payout.payout,
        kind=payout.kind,
        item=payout.item,
        amount_fen=payout.amount_fen,
        reason=reason,
        attempt=payout.attempt,
    )


def outcome_events(payout: Payout, attempt: int, outcome: Outcome) -> Sequence[Event]:
    """What an outcome changes; nothing where it is repeated, outdated or overtaken.

    A success is the truth however late it comes, and by whichever attempt: the reference is paid once. A
    failure or a doubt speaks of its own attempt only, so it never touches a newer one.
    """
    if outcome.status == "succeeded":
        if payout.succeeded or attempt > payout.attempt:
            return ()
        return (succeeded(payout, outcome.channel_ref, attempt),)
    if attempt != payout.attempt:
        return ()
    if outcome.status == "failed" and payout.status in ("requested", "unknown"):
        return (failed(payout, outcome.reason),)
    if outcome.status == "unknown" and payout.status == "requested":
        return (unknown(payout, outcome.reason),)
    return ()

"""What finance tells refunds: how a payout fared, and to try a failed one again (`domain.md` §6)."""

from collections.abc import Mapping, Sequence
from typing import Literal

from contracts.event import Event
from services.kernel.decider import Command, CommandSpec, Context
from services.kernel.fields import Reference
from services.kernel.refusal import Refusal, invalid
from services.refunds.domain.file import RefundsFile
from services.refunds.domain.payout import failed, request_again, succeeded

#: Reason of a payout that a person, not the gateway, said had failed.
CONFIRMED_FAILED = "confirmed_failed"


class ConfirmPayout(Command, frozen=True, kw_only=True):
    """What happened to a payout, by somebody who knows. `channel_ref` proves a success."""

    payout: str
    status: Literal["succeeded", "failed"]
    channel_ref: Reference = ""


class RetryPayout(Command, frozen=True, kw_only=True):
    """Try a failed payout again, under the same reference."""

    payout: str


def _must_prove(_: RefundsFile, __: str, body: ConfirmPayout, ___: Context) -> None:
    if body.status == "succeeded" and not body.channel_ref.strip():
        raise invalid(
            "channel_ref",
            "required",
            "打款成功须填写渠道流水号",
            "a payout that succeeded has a channel reference",
        )


def _confirm(file: RefundsFile, _: str, body: ConfirmPayout, __: Context) -> Sequence[Event]:
    """A person may correct a failure into a success, for the gateway may lie; what is paid stays paid."""
    payout = file.payouts[body.payout]
    if payout.succeeded:
        raise Refusal("already_paid", item=payout.payout)
    if body.status == "succeeded":
        return (succeeded(payout, body.channel_ref.strip(), payout.attempt),)
    if payout.status == "failed":
        raise Refusal("invalid_transition", command="confirm_payout", status=payout.status)
    return (failed(payout, CONFIRMED_FAILED),)


def _retry(file: RefundsFile, _: str, body: RetryPayout, __: Context) -> Sequence[Event]:
    payout = file.payouts[body.payout]
    if payout.status != "failed":
        raise Refusal("payout_not_failed", payout=payout.payout, status=payout.status)
    return (request_again(payout),)


COMMANDS: Mapping[str, CommandSpec[RefundsFile]] = {
    "confirm_payout": CommandSpec(ConfirmPayout, frozenset({"finance", "service"}), _confirm, _must_prove),
    "retry_payout": CommandSpec(RetryPayout, frozenset({"finance"}), _retry),
}

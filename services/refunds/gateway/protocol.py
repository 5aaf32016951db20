"""What refunds asks of whoever moves the money (domain.md §4, faults.md row 25)."""

from typing import Final, Literal, Protocol

import msgspec

NOT_RECEIVED: Final = "not_received"
"""Reason of an unknown outcome: the provider itself says that this attempt never reached it.

A request may still be under way, so this is not a failure. Handing over the *same* attempt again is safe.
"""


class PayoutOrder(msgspec.Struct, frozen=True):
    """One attempt to pay one payout out.

    `reference` is computed, never drawn, and names the payout for ever; `attempt` counts from 1. Whoever pays
    does so at most once per reference, whatever the number of attempts.
    """

    reference: str
    attempt: int
    amount_fen: int
    kind: str
    order_id: str
    channel_refund_id: str | None


class Outcome(msgspec.Struct, frozen=True):
    """What is known about an attempt. `channel_ref` is there when it succeeded; `reason` is a stable code.

    `pending`: a person or the provider has it, the result comes later. `unknown`: the money may or may not
    have moved. Only a provider that says so in plain words makes it `failed`.
    """

    status: Literal["succeeded", "failed", "unknown", "pending"]
    channel_ref: str = ""
    reason: str = ""


class Gateway(Protocol):
    """A way to pay money out. Neither method raises for what the other end does: doubt is an outcome."""

    name: str

    async def pay(self, order: PayoutOrder) -> Outcome:
        """Hand an attempt over, once; never repeats it by itself. A time-out or any doubt is `unknown`."""

    async def ask(self, reference: str, attempt: int) -> Outcome:
        """The truth as far as the other end knows it: `succeeded` once any attempt paid the reference."""

    async def close(self) -> None:
        """Release connections."""

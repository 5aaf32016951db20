"""Finance pays by hand from its worklist and says so with `confirm_payout`."""

from typing import Final

from services.refunds.gateway.protocol import Outcome, PayoutOrder

AWAITS_PERSON: Final = Outcome("pending", reason="awaits_person")


class ManualGateway:
    """The gateway without a provider: every attempt waits for a person."""

    name = "manual"

    async def pay(self, order: PayoutOrder) -> Outcome:
        """The payout stands on finance's worklist by being pending; there is nothing to send."""
        return AWAITS_PERSON

    async def ask(self, reference: str, attempt: int) -> Outcome:
        """Nobody but finance can answer, and finance does so without being asked."""
        return AWAITS_PERSON

    async def close(self) -> None:
        """Nothing is open."""

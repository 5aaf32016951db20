"""Results that the provider reports by itself, late or twice: whether a message is genuine."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError

from services.refunds.gateway.protocol import Outcome


class CallbackOutcome(msgspec.Struct, frozen=True):
    """A genuine message of the provider about one attempt.

    The receiver knows the payout, so it compares `amount_fen` with what was ordered, and it recognises a
    repetition by `event_id`, which is the same each time that the provider tells the same thing.
    """

    reference: Annotated[str, msgspec.Meta(min_length=1)]
    attempt: Annotated[int, msgspec.Meta(ge=1)]
    status: Literal["succeeded", "failed"]
    amount_fen: Annotated[int, msgspec.Meta(ge=1)]
    event_id: Annotated[str, msgspec.Meta(min_length=1)]
    channel_ref: str = ""
    reason: str = ""

    @property
    def outcome(self) -> Outcome:
        """The same as if the provider had been asked."""
        return Outcome(self.status, self.channel_ref, self.reason)


class CallbackRefused(Exception):
    """Not a message to act upon: `signature` (unsigned, forged, altered, older than 5 minutes) or `body`."""

    def __init__(self, code: Literal["signature", "body"], detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def verify_callback(headers: Mapping[str, str], body: bytes, secret: str) -> CallbackOutcome:
    """The message in `body`, when its Standard Webhooks signature made with `secret` holds.

    Raises `CallbackRefused`. Freshness is a matter of the wire, so it is measured by the wall clock.
    """
    signer = Webhook(secret)
    try:
        signer.verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError) as error:  # ValueError: headers or bytes that make no sense
        raise CallbackRefused("signature", str(error)) from error
    try:
        callback = msgspec.json.decode(body, type=CallbackOutcome)
    except (ValueError, RecursionError) as error:
        raise CallbackRefused("body", str(error)) from error
    if (callback.status == "succeeded") != bool(callback.channel_ref):
        raise CallbackRefused("body", "a channel_ref belongs to a success, and to nothing else")
    return callback

"""Where refunds hands money to somebody who can move it: a person (`manual`) or a provider (`sandbox`)."""

from services.refunds.gateway.callbacks import CallbackOutcome, CallbackRefused, verify_callback
from services.refunds.gateway.manual import ManualGateway
from services.refunds.gateway.protocol import NOT_RECEIVED, Gateway, Outcome, PayoutOrder
from services.refunds.gateway.sandbox import SandboxGateway

__all__ = [
    "NOT_RECEIVED",
    "CallbackOutcome",
    "CallbackRefused",
    "Gateway",
    "ManualGateway",
    "Outcome",
    "PayoutOrder",
    "SandboxGateway",
    "verify_callback",
]

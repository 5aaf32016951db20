"""A payment provider of our own, for trials and tests: it pays, fails, falls silent and lies by a script.

It stands for a foreign system, so it shares no code with the services, only the protocol on the wire.
"""

from services.sandbox.ledger import Account, Payment, PayoutRequest
from services.sandbox.script import Move
from services.sandbox.server import SandboxServer, SandboxSettings, make_app, start

__all__ = [
    "Account",
    "Move",
    "Payment",
    "PayoutRequest",
    "SandboxServer",
    "SandboxSettings",
    "make_app",
    "start",
]

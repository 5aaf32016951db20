"""How the provider can behave towards one new attempt (faults.md row 25, domain.md §7)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

import msgspec

Status = Literal["succeeded", "failed", "unknown", "pending"]
Move = Literal[
    "ok",
    "fail",
    "timeout",
    "timeout_paid",
    "timeout_unpaid",
    "late",
    "duplicate_callback",
    "lie",
    "error",
]


class Behaviour(msgspec.Struct, frozen=True):
    """`truth`: what becomes of the money, and what the provider says when asked afterwards.

    `says`: what the caller hears at once: the truth, that it failed, nothing at all, or HTTP 500.
    `callbacks`: how many times the final result is then reported.
    """

    truth: Status
    says: Literal["truth", "failed", "nothing", "error"] = "truth"
    callbacks: int = 0


BEHAVIOURS: Final[Mapping[Move, Behaviour]] = MappingProxyType(
    {
        "ok": Behaviour("succeeded"),
        "fail": Behaviour("failed"),
        # Asked afterwards it still does not know, for ever: only a person ends this one (domain.md §7).
        "timeout": Behaviour("unknown", says="nothing"),
        "timeout_paid": Behaviour("succeeded", says="nothing"),
        "timeout_unpaid": Behaviour("failed", says="nothing"),
        # Accepted; it is paid, and reported, a little later.
        "late": Behaviour("pending", callbacks=1),
        "duplicate_callback": Behaviour("succeeded", callbacks=2),
        "lie": Behaviour("succeeded", says="failed", callbacks=1),
        "error": Behaviour("failed", says="error"),
    }
)

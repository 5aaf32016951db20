"""The provider's own books: which attempts it took, and what it really paid out."""

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import msgspec

from services.sandbox.script import BEHAVIOURS, Behaviour, Move, Status

AttemptNumber = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
AmountFen = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000_000)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class PayoutRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a merchant asks for: body of `POST /v1/payouts`."""

    reference: Name
    attempt: AttemptNumber
    amount_fen: AmountFen
    kind: Name
    order_id: Name
    channel_refund_id: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class Payment(msgspec.Struct, frozen=True):
    """Where an attempt stands. `channel_ref` names the movement of money, once there was one."""

    reference: str
    attempt: int
    amount_fen: int
    kind: str
    status: Status
    channel_ref: str = ""
    reason: str = ""


class ReferenceReused(Exception):
    """The reference already stands for another amount or kind."""


class Account:
    """Takes attempts and pays each reference at most once, whatever is sent how often and in which order.

    Synchronous on purpose: one call is one indivisible step. With a `journal` each step is a line of that
    file before it is answered, and the books are read from it at the start.
    """

    def __init__(self, script: Iterable[Move] = (), journal: Path | None = None) -> None:
        self.script = deque(script)
        self.paid: list[Payment] = []
        self._attempts: dict[str, dict[int, Payment]] = {}
        self._journal = journal
        if journal is not None and journal.exists():
            self._read(journal)

    def take(self, request: PayoutRequest) -> tuple[Payment, Behaviour | None]:
        """Where the attempt stands now, and how to behave about it if it is a new one.

        Raises `ReferenceReused` when the reference is known for something else.
        """
        known = self._attempts.get(request.reference, {})
        if any((it.amount_fen, it.kind) != (request.amount_fen, request.kind) for it in known.values()):
            raise ReferenceReused(request.reference)
        if (payment := self.find(request.reference, request.attempt)) is not None:
            return payment, None
        if known and request.attempt < max(known):
            # It was delayed on its way, and its sender has gone on to a later attempt: it must not pay now.
            return self._book(request, "failed", "superseded"), None
        behaviour = BEHAVIOURS[self.script.popleft() if self.script else "ok"]
        reason = "declined" if behaviour.truth == "failed" else ""
        return self._book(request, behaviour.truth, reason), behaviour

    def find(self, reference: str, attempt: int) -> Payment | None:
        """Where an attempt stands: where its reference does, once that is paid or accepted to be."""
        known = self._attempts.get(reference, {})
        engaged = next((it for it in known.values() if it.status in ("succeeded", "pending")), None)
        return msgspec.structs.replace(engaged, attempt=attempt) if engaged else known.get(attempt)

    def pending(self) -> list[Payment]:
        """What was accepted and is not paid yet."""
        return [it for known in self._attempts.values() for it in known.values() if it.status == "pending"]

    def settle(self, reference: str, attempt: int) -> Payment:
        """Pay a pending attempt; anything else stays as it is."""
        payment = self._attempts[reference][attempt]
        if payment.status != "pending":
            return payment
        return self._write(msgspec.structs.replace(payment, status="succeeded", channel_ref=self._next_ref()))

    def _book(self, request: PayoutRequest, status: Status, reason: str) -> Payment:
        return self._write(
            Payment(
                reference=request.reference,
                attempt=request.attempt,
                amount_fen=request.amount_fen,
                kind=request.kind,
                status=status,
                channel_ref=self._next_ref() if status == "succeeded" else "",
                reason=reason,
            )
        )

    def _next_ref(self) -> str:
        return f"SBX{len(self.paid) + 1:08d}"

    def _write(self, payment: Payment) -> Payment:
        if self._journal is not None:
            with self._journal.open("ab") as lines:
                lines.write(msgspec.json.encode(payment) + b"\n")
        self._apply(payment)
        return payment

    def _apply(self, payment: Payment) -> None:
        self._attempts.setdefault(payment.reference, {})[payment.attempt] = payment
        if payment.status == "succeeded":
            self.paid.append(payment)

    def _read(self, journal: Path) -> None:
        whole, newline, torn = journal.read_bytes().rpartition(b"\n")
        if torn:  # It stopped in the middle of a line, so nobody was answered: forget it.
            journal.write_bytes(whole + newline)
        for payment in msgspec.json.Decoder(Payment).decode_lines(whole):
            self._apply(payment)

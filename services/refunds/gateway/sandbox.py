"""Pays through the sandbox provider over HTTP. Whatever is not a plain answer is `unknown` (domain.md §4)."""

import secrets
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from standardwebhooks import Webhook
from yarl import URL

from services.refunds.gateway.protocol import Outcome, PayoutOrder

ANSWER_BYTES_MAX: Final = 64 * 1024

T = TypeVar("T")


class SandboxGateway:
    """The client end of `services.sandbox`. It connects when it is first used, and is closed in the end.

    `secret` is the one shared with the provider (base64, `whsec_…`); it signs each request's method, path and
    body. `timeout_seconds` bounds a whole request, the reading of its answer included.
    """

    name = "sandbox"

    def __init__(self, base_url: str, secret: str, *, timeout_seconds: float = 10) -> None:
        self._base_url = base_url.rstrip("/")
        self._signer = Webhook(secret)
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._made: aiohttp.ClientSession | None = None

    async def pay(self, order: PayoutOrder) -> Outcome:
        """Send the order once. An answer about another amount than ordered is not believed."""
        try:
            answer = await self._call("POST", "/v1/payouts", msgspec.json.encode(order))
            answer.must_echo(order.reference, order.attempt)
            if answer.amount_fen != order.amount_fen:
                raise _Doubt("wrong_amount")
        except _Doubt as doubt:
            return doubt.outcome
        return answer.outcome

    async def ask(self, reference: str, attempt: int) -> Outcome:
        """Ask the provider; `unknown` with the reason `not_received` when it has never seen the attempt."""
        try:
            answer = await self._call("GET", f"/v1/payouts/{quote(reference, safe='')}?attempt={attempt}")
            answer.must_echo(reference, attempt)
        except _Doubt as doubt:
            return doubt.outcome
        return answer.outcome

    async def close(self) -> None:
        """Close the connections."""
        if self._made is not None:
            await self._made.close()

    @property
    def _session(self) -> aiohttp.ClientSession:
        # Not at once: it needs a running event loop, and a service is also put together where none runs (`migrate`).
        if self._made is None:
            self._made = aiohttp.ClientSession(timeout=self._timeout)
        return self._made

    async def _call(self, method: str, path: str, body: bytes = b"") -> "_Answer":
        url = URL(self._base_url + path, encoded=True)
        headers = self._sign(f"{method} {url.raw_path_qs}\n{body.decode()}")
        try:
            async with self._session.request(
                method, url, data=body or None, headers=headers, allow_redirects=False
            ) as response:
                return _read_answer(response.status, await _read_bounded(response.content))
        except TimeoutError as error:
            raise _Doubt("timed_out") from error
        except (aiohttp.ClientError, OSError) as error:
            raise _Doubt("no_answer") from error

    def _sign(self, signed: str) -> dict[str, str]:
        # The wall clock: it proves that a message on the wire is fresh, no rule of the business reads it.
        message_id, now = secrets.token_hex(16), datetime.now(UTC)
        return {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(message_id, now, signed),
        }


class _Doubt(Exception):
    """There is no answer to believe; `reason` is a stable code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.outcome = Outcome("unknown", reason=reason)


class _Answer(msgspec.Struct, frozen=True):
    """What the provider says about an attempt."""

    reference: str
    attempt: int
    amount_fen: int
    status: Literal["succeeded", "failed", "unknown", "pending"]
    channel_ref: str = ""
    reason: str = ""

    @property
    def outcome(self) -> Outcome:
        return Outcome(self.status, self.channel_ref, self.reason)

    def must_echo(self, reference: str, attempt: int) -> None:
        if (self.reference, self.attempt) != (reference, attempt):
            raise _Doubt("wrong_echo")


class _Problem(msgspec.Struct, frozen=True):
    """Why the provider did not take a request. That says nothing about the money."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


async def _read_bounded(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise _Doubt("garbled_answer")
    return bytes(body)


def _read_answer(http_status: int, body: bytes) -> _Answer:
    """An answer is 200 or 202, or a refusal (4xx) that says `failed` in plain words; all else is doubt."""
    refused = 400 <= http_status < 500
    if not (refused or http_status in (200, 202)):
        raise _Doubt(f"http_{http_status}")
    answer = _decode(body, _Answer)
    if answer is None and refused:
        problem = _decode(body, _Problem)
        raise _Doubt(problem.code if problem else f"http_{http_status}")
    if (
        answer is None
        or (refused and answer.status != "failed")
        or (answer.status == "succeeded") != bool(answer.channel_ref)
    ):
        raise _Doubt("garbled_answer")
    return answer


def _decode(body: bytes, type_: type[T]) -> T | None:
    try:
        return msgspec.json.decode(body, type=type_)
    except (ValueError, RecursionError):
        return None

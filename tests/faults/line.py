"""How senders of commands talk to the services: the same command under the same key until it is answered."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import aiohttp

from services.kernel.actor import Actor

#: Pauses before a command is sent again, in seconds; the last one is repeated.
BACKOFF_SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8)
#: How long one try may take.
TRY_SECONDS = 10.0
#: How long a command that is under way when the load ends is still tried.
LAST_TRIES_SECONDS = 120.0
#: Commands of these services; every other one is for cases.
SERVICE_OF = {
    "confirm_payout": "refunds",
    "retry_payout": "refunds",
    "assign_liability": "liability",
    "record_recovery": "liability",
}

#: Where a service answers now: one address, or several of which any will do.
Addresses = Callable[[str], Sequence[str]]


class Acknowledged(NamedTuple):
    """A command that was accepted, and the events that its sender was told of."""

    service: str
    stream: str
    command: str
    key: str
    version: int
    events: tuple[tuple[str, str], ...]
    """Id and type of each event; the last one stands at `version`."""


class Unavailable(NamedTuple):
    """An answer that says: not now."""

    status: int
    code: str
    retryable: bool


class Answers:
    """What the senders were told."""

    def __init__(self) -> None:
        self.acknowledged: list[Acknowledged] = []
        self.refused: Counter[tuple[str, str]] = Counter()
        """By command and code."""
        self.unavailable: list[Unavailable] = []
        self.unanswered = 0
        """Tries that got no answer at all."""
        self.replayed = 0
        """Commands whose answer had been stored before: a try without answer had been accepted."""
        self.unknown: list[str] = []
        """Keys of commands that never got an answer."""
        self.surprises: list[str] = []
        """Answers that nobody should get, faults or not."""

    def __str__(self) -> str:
        return (
            f"{len(self.acknowledged)} acknowledged, {sum(self.refused.values())} refused, {self.replayed} replayed, "
            f"{len(self.unavailable)} times unavailable, {self.unanswered} tries and {len(self.unknown)} commands "
            "without answer"
        )


class Refused(Exception):
    """A rule said no."""

    def __init__(self, command: str, code: str, status: int) -> None:
        super().__init__(f"{command}: {status} {code}")
        self.code = code


class Ended(Exception):
    """The load is over."""


class Line:
    """What all senders share: connections, the pace, and what they were told."""

    def __init__(
        self, addresses: Addresses, token: Callable[[Actor], str], answers: Answers, commands_per_second: float
    ) -> None:
        self.answers = answers
        self.ending = asyncio.Event()
        self._addresses = addresses
        self._token = token
        self._gap_s = 1 / commands_per_second
        self._next_turn = 0.0
        self._tries = itertools.count()
        self._gives_up_at = float("inf")
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TRY_SECONDS))

    async def close(self) -> None:
        await self._session.close()

    def end(self) -> None:
        """Take no new commands; those under way get a last chance to be answered."""
        self._gives_up_at = asyncio.get_running_loop().time() + LAST_TRIES_SECONDS
        self.ending.set()

    async def command(
        self, actor: Actor, name: str, method: str, path: str, body: dict[str, Any], key: str, stream: str
    ) -> dict[str, Any]:
        """Send a command until it is answered; raises `Refused`, or `Ended`."""
        await self._turn()
        service = SERVICE_OF.get(name, "cases")
        headers = {**self._headers(actor), "Idempotency-Key": key}
        status, answer, replayed = await self._until_answered(service, method, path, headers, key, json=body)
        self.answers.replayed += replayed
        if status >= 300:
            code = str(answer.get("code"))
            self.answers.refused[name, code] += 1
            raise Refused(name, code, status)
        events = tuple((event["id"], event["type"]) for event in answer["events"])
        self.answers.acknowledged.append(Acknowledged(service, stream, name, key, answer["version"], events))
        return answer

    async def upload(self, actor: Actor, content: bytes, media_type: str) -> str:
        """Send a file until it is taken; gives its name."""
        await self._turn()
        headers = {**self._headers(actor), "Content-Type": media_type}
        status, answer, _ = await self._until_answered("cases", "POST", "/v1/files", headers, "", data=content)
        if status >= 300:
            raise Refused("upload", str(answer.get("code")), status)
        return str(answer["file"])

    async def read(self, actor: Actor, service: str, path: str) -> dict[str, Any]:
        """Read something until it is answered; raises `Refused`, or `Ended`."""
        status, answer, _ = await self._until_answered(service, "GET", path, self._headers(actor), "")
        if status >= 300:
            raise Refused(f"GET {path}", str(answer.get("code")), status)
        return answer

    async def pause(self, seconds: float) -> None:
        """Wait, unless the load ends meanwhile."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ending.wait(), seconds)
            raise Ended

    async def _turn(self) -> None:
        now = asyncio.get_running_loop().time()
        self._next_turn = max(self._next_turn + self._gap_s, now)
        await self.pause(self._next_turn - now)

    def _headers(self, actor: Actor) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token(actor)}"}

    async def _until_answered(
        self, service: str, method: str, path: str, headers: dict[str, str], key: str, **content: Any
    ) -> tuple[int, dict[str, Any], bool]:
        tries = 0
        while True:
            answered = await self._try(service, method, path, headers, content)
            if answered is not None:
                return answered
            if asyncio.get_running_loop().time() > self._gives_up_at:
                if key:
                    self.answers.unknown.append(key)
                raise Ended
            await asyncio.sleep(BACKOFF_SECONDS[min(tries, len(BACKOFF_SECONDS) - 1)])
            tries += 1

    async def _try(
        self, service: str, method: str, path: str, headers: dict[str, str], content: dict[str, Any]
    ) -> tuple[int, dict[str, Any], bool] | None:
        """One try; None where the answer did not come, or is not final."""
        addresses = self._addresses(service)
        if not addresses:
            self.answers.unanswered += 1
            return None
        url = addresses[next(self._tries) % len(addresses)] + path
        try:
            async with self._session.request(method, url, headers=headers, **content) as response:
                answer = await response.json(content_type=None)
                status, replayed = response.status, response.headers.get("Idempotent-Replayed") == "true"
        except (aiohttp.ClientError, TimeoutError, ValueError):
            self.answers.unanswered += 1
            return None
        if status < 500 and not answer.get("retryable"):
            return status, answer, replayed
        if answer.get("code") != "request_in_progress":
            self.answers.unavailable.append(Unavailable(status, str(answer.get("code")), bool(answer.get("retryable"))))
        if status != 503 and not answer.get("retryable"):
            self.answers.surprises.append(f"{method} {path}: {status} {answer}")
        return None

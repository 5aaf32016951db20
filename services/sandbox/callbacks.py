"""The provider reports results by itself: later, more than once, and again until somebody listens."""

import asyncio
import hashlib
from datetime import UTC, datetime

import aiohttp
import msgspec
import structlog
from standardwebhooks import Webhook

from services.sandbox.ledger import Account, Payment

log = structlog.get_logger(__name__)


class Callbacks:
    """Settles what was accepted and posts signed results to `url`; without one it only settles.

    `delay_seconds` passes before a report. A report that nobody takes is repeated, with doubled pauses, up to
    `tries` times; then the merchant has to ask.
    """

    def __init__(self, account: Account, secret: str, url: str | None, delay_seconds: float, tries: int = 6) -> None:
        self.url = url
        self._account = account
        self._signer = Webhook(secret)
        self._delay_seconds = delay_seconds
        self._tries = tries
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        self._running: set[asyncio.Task[None]] = set()

    def follow(self, payment: Payment, times: int) -> None:
        """Settle `payment` after the delay if it waits for that, and report it `times` times."""
        task = asyncio.create_task(self._follow(payment, times))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def quiet(self) -> None:
        """Return when nothing is left to settle or to report."""
        while self._running:
            await asyncio.gather(*self._running)

    async def close(self) -> None:
        """Stop reporting."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._session.close()

    async def _follow(self, payment: Payment, times: int) -> None:
        await asyncio.sleep(self._delay_seconds)
        payment = self._account.settle(payment.reference, payment.attempt)
        for _ in range(times):
            await self._report(payment)

    async def _report(self, payment: Payment) -> None:
        for n in range(self._tries):
            if self.url is None or await self._post(self.url, payment):
                return
            await asyncio.sleep(0.1 * 2**n)
        log.warning("callback_not_taken", reference=payment.reference, attempt=payment.attempt)

    async def _post(self, url: str, payment: Payment) -> bool:
        event_id, now = _event_id(payment), datetime.now(UTC)
        body = msgspec.json.encode({**msgspec.structs.asdict(payment), "event_id": event_id})
        headers = {
            "content-type": "application/json",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._signer.sign(event_id, now, body.decode()),
        }
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                return 200 <= response.status < 300
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


def _event_id(payment: Payment) -> str:
    """Computed from what it tells, so that every repetition carries the same."""
    told = f"{payment.reference}\n{payment.attempt}\n{payment.status}"
    return "evt_" + hashlib.sha256(told.encode()).hexdigest()[:32]

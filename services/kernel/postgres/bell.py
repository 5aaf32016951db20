"""Tells other processes of commits, and hears of theirs."""

import asyncio

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.kernel.event_store import CommitSignal
from services.kernel.postgres.connection import driver, opened
from services.kernel.postgres.statements import CHANNEL, LAST_POSITION

RECONNECT_S = 0.2
"""Pause between tries to reach a server that was lost."""

log = structlog.get_logger(__name__)


class Bell:
    """NOTIFY and LISTEN, on a connection of their own.

    Never in the transaction that appends: all that notify queue for one lock until they are on disk. What is rung
    while a NOTIFY is under way shares the next one. While the server is away, readers go on by polling.
    """

    def __init__(self, engine: AsyncEngine, committed: CommitSignal) -> None:
        self._engine = engine
        self._committed = committed
        self._rung = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def hang(self) -> None:
        """Begin, if it has not begun yet."""
        if self._task is None:
            self._task = asyncio.create_task(self._serve(), name="bell")

    def ring(self, position: int) -> None:
        """Have others told that the log reaches `position`."""
        self._rung = max(self._rung, position)
        self._wake.set()

    async def take_down(self) -> None:
        """Stop telling and hearing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._engine.dispose()

    async def _serve(self) -> None:
        lost = False
        while True:
            try:
                await self._serve_connection()
                lost = False
            except Exception as error:
                if not lost:  # once for each time that the server is away
                    log.warning("bell_lost", error=str(error))
                lost = True
            await asyncio.sleep(RECONNECT_S)

    async def _serve_connection(self) -> None:
        pooled = await opened(self._engine)
        try:
            database = driver(pooled)
            database.add_termination_listener(self._lost)
            await database.add_listener(CHANNEL, self._heard)
            self._committed.announce(await database.fetchval(LAST_POSITION))  # what was not heard while nobody listened
            told = 0  # what was rung before this connection was there, nobody else was told of
            while not database.is_closed():
                self._wake.clear()
                if self._rung > told:
                    told = self._rung
                    await database.execute("SELECT pg_notify($1, $2)", CHANNEL, str(told))
                else:
                    await self._wake.wait()
        finally:
            pooled.close()

    def _heard(self, _: object, session: int, channel: str, payload: object) -> None:
        self._committed.announce(int(str(payload)))

    def _lost(self, _: object) -> None:
        self._wake.set()

"""Where an application listens, and an end that loses no request."""

import asyncio
from contextlib import suppress
from typing import Final

from aiohttp import web

from services.kernel.http.app import Handler

#: Set when no more requests are taken: an answer that waits for something is to be given now.
STOPPING: Final = web.AppKey("stopping", asyncio.Event)


class Listener:
    """An application at an address. What was taken is answered before it is gone."""

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        self._app = app
        self._host, self._port = host, port
        self._runner: web.AppRunner | None = None
        self._under_way = 0
        app.middlewares.append(self._count)
        app[STOPPING] = asyncio.Event()
        self.base_url = ""

    async def start(self) -> None:
        """Listen; raises `OSError` where that cannot be, then `stop` is due."""
        self._runner = web.AppRunner(self._app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        host, port = self._runner.addresses[0][:2]
        self.base_url = f"http://{host}:{port}"

    async def finish(self, seconds: float) -> None:
        """Take no more connections and wait for the requests under way: cleaning up would drop what still arrives."""
        if self._runner is None:
            return
        for site in list(self._runner.sites):
            await site.stop()
        self._app[STOPPING].set()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._under_way:  # noqa: ASYNC110 - over in milliseconds, and only once
                    await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Drop every connection."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @web.middleware
    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._under_way += 1
        try:
            return await handler(request)
        finally:
            self._under_way -= 1

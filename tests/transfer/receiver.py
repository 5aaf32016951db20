"""An HTTP endpoint that takes events as a receiver of webhooks does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver:
    """Keeps what it took, each signature checked, and answers with the statuses that it is given first."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.answers: list[int] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        """One event."""
        body = await request.read()
        if self.answers:
            return web.Response(status=self.answers.pop(0))
        Webhook(SECRET).verify(body, dict(request.headers), json_parse=False)
        assert request.content_type == "application/cloudevents+json"
        self.taken.append(msgspec.json.decode(body))
        self.ids.append(request.headers["webhook-id"])
        return web.Response(status=202)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that listens."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/events", receiver.take)
    server = TestServer(app)
    await server.start_server()
    receiver.url = str(server.make_url("/events"))
    yield receiver
    await server.close()

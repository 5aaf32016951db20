"""Telling a service what to do: a running server, or where none runs, one of our own that goes when it is done."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from pydantic import SecretStr
from yarl import URL

from services.catalogue import SERVICES
from services.cli.case_reading import must_be_http, must_hold_data, own_token, refused, serving
from services.cli.claim import claimed
from services.cli.failure import NOT_SO, Failure
from services.embedded import Embedded
from services.kernel.actor import Actor
from services.kernel.long_work import Tell, told_nobody
from services.kernel.settings import Settings

#: Bytes of a file that are sent at a time.
_PIECE: Final = 1 << 18
#: What is done may take long; that nobody answers at all is known sooner.
_PATIENCE: Final = aiohttp.ClientTimeout(total=None, sock_connect=30)


class Act:
    """What a server is asked and told, as one person. Every method raises `Failure` for what it refuses."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        """`session` says who asks."""
        self._url = url
        self._session = session

    async def get(self, *path: str, **query: str) -> dict[str, Any]:
        """The document at a path below `/v1`."""
        return await self._told("GET", path, query)

    async def post(self, *path: str, json: Mapping[str, Any] | None = None, **query: str) -> dict[str, Any]:
        """Have a command done, once."""
        return await self._told("POST", path, query, json={} if json is None else json)

    async def put(self, *path: str, data: bytes, **query: str) -> dict[str, Any]:
        """Put what is given at a path."""
        return await self._told("PUT", path, query, data=data)

    async def upload(self, *path: str, file: Path, tell: Tell = told_nobody, **query: str) -> dict[str, Any]:
        """Send a file; `tell` is awaited with its bytes that are on their way and in all."""
        return await self._told("POST", path, query, data=_pieces(file, tell))

    async def _told(self, method: str, path: tuple[str, ...], query: Mapping[str, str], **sent: Any) -> dict[str, Any]:
        headers = {"Idempotency-Key": secrets.token_urlsafe(24)} if method != "GET" else {}
        url = URL(self._url).joinpath("v1", *path).with_query(query)
        try:
            async with self._session.request(method, url, headers=headers, **sent) as response:
                body = msgspec.json.decode(await response.read(), type=dict[str, Any])
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
            raise Failure(
                "no_server",
                f"连不上 {self._url}:{error}。请检查 --url。",
                f"No server answers at {self._url}: {error}. Check --url.",
                status=NOT_SO,
            ) from None
        if not response.ok:
            raise refused(response.status, body, self._url)
        return body


async def _pieces(file: Path, tell: Tell) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        size, done = os.fstat(opened.fileno()).st_size, 0
        while piece := opened.read(_PIECE):
            yield piece
            done += len(piece)
            await tell(done, size)


@asynccontextmanager
async def acting(
    settings: Settings, role: str, by: str, url: str = "", token: str = "", *, at_work: Sequence[str] = ("finance",)
) -> AsyncIterator[Act]:
    """Whom to tell, as `by` in that role: the server at `url`, or one on the databases of the settings. On a data
    folder that has these services `at_work`, so that their read tables show what was done.

    Raises `Failure`: where files are held by a running server, it has to be told, and not bypassed.
    """
    actor = Actor(role, by.strip())
    async with _server(settings, actor, url, token, at_work) as (base_url, valid):
        headers = {"Authorization": f"Bearer {valid}"}
        async with aiohttp.ClientSession(headers=headers, timeout=_PATIENCE) as session:
            yield Act(base_url, session)


@asynccontextmanager
async def _server(
    settings: Settings, actor: Actor, url: str, token: str, at_work: Sequence[str]
) -> AsyncIterator[tuple[str, str]]:
    if url:
        must_be_http(url)
        yield url, token or own_token(settings, actor)
    elif settings.database_url.get_secret_value():
        with settings.for_reading() as alike:
            async with serving(alike) as server:  # what follows is done by the service's own processes
                yield server.base_url, server.token(actor)
    else:
        if not settings.data_dir.is_dir():
            must_hold_data(settings)
        with _alone(settings):
            async with _at_work(settings, at_work) if at_work else serving(settings) as server:
                yield server.base_url, server.token(actor)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Raises `Failure` where a server is at work on the data folder."""
    with ExitStack() as held:
        try:
            held.enter_context(claimed(settings.data_dir, list(SERVICES)))
        except Failure as failure:
            zh, en = "或用 --url 指定该服务的地址。", "Or name its address with --url."
            raise Failure(failure.code, failure.zh + zh, f"{failure.en} {en}") from None
        yield


@asynccontextmanager
async def _at_work(settings: Settings, services: Sequence[str]) -> AsyncIterator[Embedded]:
    """These services at work in this process, until everything that followed from what was done is written."""
    own: dict[str, object] = {"host": "127.0.0.1", "port": 0, "token_secret": SecretStr(secrets.token_urlsafe(48))}
    server = Embedded(settings.model_copy(update=own), only=services)
    try:
        await server.start()
        await server.settle()
        yield server
        await server.settle()
    finally:
        await server.stop()

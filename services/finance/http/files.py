"""Commands that come as a file: received piece by piece, and taken at most once, as all commands are."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from contracts.policy import Policy
from services.kernel.event_store import Commit, IdempotentAnswer, KeyTaken, StoreUnavailable
from services.kernel.files import Decided, StaleVersion
from services.kernel.http.app import actor_of
from services.kernel.http.commands import (
    answered,
    expected_version,
    idempotency_key,
    origin_of,
    replayed,
    request_hash,
)
from services.kernel.http.problem import problem_body, status_of
from services.kernel.metrics import COMMANDS
from services.kernel.refusal import Refusal, invalid
from services.kernel.service import Service

log = structlog.get_logger(__name__)

_PIECE: Final = 1 << 18


class Received(NamedTuple):
    """A file that arrived whole."""

    sha256: str
    name: str
    """As a form says it; empty otherwise."""


class Answer(NamedTuple):
    """What a command is answered that was accepted."""

    status: int
    document: Any


#: Finds out what a file says that only the border can read: the body of the command; raises `Refusal`.
Prepare = Callable[[], Awaitable[Mapping[str, Any]]]
Tell = Callable[[Decided], Answer]


class FileDesk:
    """Takes commands about one stream that come as a file.

    To read a file may take long: unlike at the desk of other commands, an answer that was given is looked for first.
    """

    def __init__(self, service: Service[Any], policy: Policy, stream: str) -> None:
        self._service = service
        self._policy = policy
        self._stream = stream
        self._running: set[str] = set()

    async def take(self, http: web.Request, name: str, said: bytes, prepare: Prepare, tell: Tell) -> web.Response:
        """Decide a command, once per idempotency key and actor; `said` stands for its file and what goes with it."""
        key = f"{idempotency_key(http)} {actor_of(http)}"
        version = expected_version(http)
        asked = request_hash(http, version, said)
        if stored := await self._service.store.answer(key):
            return replayed(self._policy, http, asked, stored)
        if key in self._running:
            raise Refusal("request_in_progress")
        self._running.add(key)
        kept = partial(IdempotentAnswer, key, asked)
        try:
            return await self._decide(http, name, version, prepare, tell, kept)
        except KeyTaken as taken:
            return replayed(self._policy, http, asked, taken.answer)
        finally:
            self._running.discard(key)

    async def _decide(
        self,
        http: web.Request,
        name: str,
        version: int | None,
        prepare: Prepare,
        tell: Tell,
        kept: Callable[..., IdempotentAnswer],
    ) -> web.Response:
        answers: list[IdempotentAnswer] = []

        def accepted(decided: Decided) -> IdempotentAnswer:
            status, document = tell(decided)
            now, etag = self._service.clock.now(), f'"{decided.version}"'
            answers.append(kept(status, msgspec.json.encode(document), now, etag))
            return answers[-1]

        try:
            body = await prepare()
            await self._service.files.command(
                self._stream, "", name, body, origin_of(http), expected_version=version, answer=accepted
            )
            outcome = "accepted"
        except StaleVersion as stale:
            outcome = "version_conflict"
            answers = [await self._refused(http, Refusal(outcome, version=stale.version), kept)]
        except Refusal as refusal:
            outcome = refusal.code
            answers = [await self._refused(http, refusal, kept)]
        COMMANDS.labels(self._service.name, name, outcome).inc()
        return answered(answers[-1])

    async def _refused(
        self, http: web.Request, refusal: Refusal, kept: Callable[..., IdempotentAnswer]
    ) -> IdempotentAnswer:
        """A no, kept: it stays the same even where the command would be accepted by now."""
        body = problem_body(self._policy, refusal, http)
        answer = kept(status_of(refusal.code), body, self._service.clock.now())
        await self._service.appender.submit(Commit(answer=answer))
        return answer


async def received(request: web.Request, into: Path, max_bytes: int) -> Received:
    """Write the file in a request: the body itself, or the first file of a form. Raises `Refusal`."""
    try:
        if request.content_type.startswith("multipart/"):
            return await _of_form(request, into, max_bytes)
        return Received(await _written(request.content.iter_chunked(_PIECE), into, max_bytes), "")
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
        raise Refusal("malformed") from None  # it broke off
    except OSError as error:
        log.warning("upload_not_written", error=repr(error))
        raise StoreUnavailable("what arrives cannot be written") from None


async def _of_form(request: web.Request, into: Path, max_bytes: int) -> Received:
    """The first file of a form."""
    try:
        part = await (await request.multipart()).next()
        if isinstance(part, BodyPartReader):
            sha256 = await _written(_pieces(part), into, max_bytes)
            return Received(sha256, part.filename or "")
    except (ValueError, AssertionError):
        pass
    raise invalid("file", "form", "表单里没有文件", "the form holds no file")


async def _pieces(part: BodyPartReader) -> AsyncIterator[bytes]:
    while piece := await part.read_chunk(_PIECE):
        yield bytes(piece)


async def _written(pieces: AsyncIterator[bytes], into: Path, max_bytes: int) -> str:
    """The SHA-256 of what was written."""
    digest, size = hashlib.sha256(), 0
    with await asyncio.to_thread(into.open, "wb") as file:
        async for piece in pieces:
            size += len(piece)
            if size > max_bytes:
                raise Refusal("upload_too_large", limit_mb=max_bytes >> 20)
            digest.update(piece)
            await asyncio.to_thread(file.write, piece)
    return digest.hexdigest()

"""Who looks at an order is told when it changes, without asking again and again (long poll).

One task in the process follows the log while anybody waits, and wakes those whose order changed: a commit costs one
look at what was committed, which is in memory already where this process committed it, however many wait.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

import msgspec
import structlog
from aiohttp import web

from services.kernel.event_store import PAGE_RECORDS, EventStore, StoreUnavailable
from services.kernel.http import lists
from services.kernel.http.commands import stream_of_order
from services.kernel.http.listener import STOPPING
from services.kernel.http.openapi import Operation, Parameter, describe
from services.kernel.refusal import Refusal
from services.kernel.service import Service

WAIT_MOST: Final = 30
#: Who may wait at once in a process; more are told to come again.
WAITING_MOST: Final = 2_000
#: How often it is looked for what other processes committed, where the database does not tell of it.
LOOK_SECONDS: Final = 0.5

Seconds = Annotated[int, msgspec.Meta(ge=0, le=WAIT_MOST)]
_PARAMETERS: Final = (
    Parameter("after", lists.Version, "The version that is known: the ETag of the order, or of a case of it; else 0"),
    Parameter("wait", Seconds, "Seconds to wait for a later one; 0 where it is not said"),
)

log = structlog.get_logger(__name__)


class OrderVersion(msgspec.Struct, frozen=True):
    """The version of an order's file: the one that is known where nothing happened meanwhile."""

    version: int


class OrderChanges:
    """Waits for the next version of orders."""

    def __init__(self, service: Service[Any]) -> None:
        self._store: EventStore = service.store
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._following: asyncio.Task[None] | None = None

    def routes(self) -> list[web.RouteDef]:
        """The one route."""
        return [web.get("/v1/orders/{order_id}/changes", self.read)]

    @describe(
        Operation(
            summary="Wait until an order, or a case of it, is changed",
            description="Answers at once where the version is later than `after`, else as soon as it is, and at the"
            " latest after `wait` seconds. Ask again with the version of the answer.",
            tag="orders",
            answer=OrderVersion,
            query=_PARAMETERS,
            refusals=(404, 422),
        )
    )
    async def read(self, request: web.Request) -> web.Response:
        """The order's version, later than the one that is known where that comes in time."""
        order_id = request.match_info["order_id"]
        stream = stream_of_order(order_id)
        asked = dict(lists.parameters(request, [one.name for one in _PARAMETERS]))
        after = lists.whole_number(asked, "after", 0, lists.VERSION_MOST, 0)
        seconds = lists.whole_number(asked, "wait", 0, WAIT_MOST, 0)
        stopping = request.app[STOPPING]
        version = await self._later(stream, after, seconds, stopping)
        if not version:
            raise Refusal("unknown_order", order_id=order_id)
        answer = lists.json(OrderVersion(version))
        if stopping.is_set():
            answer.force_close()  # whoever asks again is to ask another process
        return answer

    async def _later(self, stream: str, after: int, seconds: int, stopping: asyncio.Event) -> int:
        """The version once it is later than `after`, or time is up; 0 where there is no such order."""
        version = await self._version(stream)
        if not 0 < version <= after or not seconds or stopping.is_set():
            return version
        async with self._changed(stream) as changed:
            ends = asyncio.get_running_loop().time() + seconds
            # Looked at again: it may have changed before anybody listened.
            while (version := await self._version(stream)) <= after and not stopping.is_set():
                changed.clear()
                left = ends - asyncio.get_running_loop().time()
                if left <= 0 or not await _either(changed, stopping, left):
                    break
            return version

    async def _version(self, stream: str) -> int:
        head = await self._store.head(stream)
        return head.version if head else 0

    @asynccontextmanager
    async def _changed(self, stream: str) -> AsyncIterator[asyncio.Event]:
        """What is set whenever the stream has changed."""
        if sum(map(len, self._waiting.values())) >= WAITING_MOST:
            raise Refusal("unavailable")
        changed = asyncio.Event()
        self._waiting.setdefault(stream, set()).add(changed)
        if self._following is None:
            self._following = asyncio.create_task(self._follow(), name="order-changes")
        try:
            yield changed
        finally:
            self._waiting[stream].discard(changed)
            if not self._waiting[stream]:
                del self._waiting[stream]
            if not self._waiting and self._following:
                self._following.cancel()
                self._following = None

    async def _follow(self) -> None:
        """Tell those who wait for a stream whenever there is something new in it."""
        position = None
        while True:
            try:
                if position is None:
                    position = await self._store.head_position()
                    self._wake(self._waiting)  # nobody knows what came meanwhile
                records = self._store.committed.recent(position, PAGE_RECORDS) or await self._store.read_log(
                    position, PAGE_RECORDS, decode=False
                )
                if records:
                    position = records[-1].position
                    self._wake({record.stream for record in records})
                else:
                    await self._store.committed.beyond(position, LOOK_SECONDS)
            except StoreUnavailable as error:
                log.warning("changes_unheard", error=str(error))
                position = None
                await asyncio.sleep(LOOK_SECONDS)

    def _wake(self, streams: Iterable[str]) -> None:
        for stream in streams:
            for changed in self._waiting.get(stream, ()):
                changed.set()


async def _either(changed: asyncio.Event, stopping: asyncio.Event, seconds: float) -> bool:
    """Wait until one of them is set; False where neither is in time."""
    waits = [asyncio.create_task(one.wait()) for one in (changed, stopping)]
    try:
        return bool((await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED))[0])
    finally:
        for one in waits:
            one.cancel()

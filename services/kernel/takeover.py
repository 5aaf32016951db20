"""Having a consumer begin anew from somewhere else, whoever works on its source at the moment.

What is moved is claimed first: the one at work is refused from then on, and goes on from where it was moved to.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from services.kernel.event_store import Checkpoint, Commit, EventStore, Fence, Fenced

#: How often it is tried where the one who works on it takes it back in between.
TRIES: Final = 10


def handing_over(consumer: str, source: str) -> str:
    """The lease of whoever moves a consumer and needs a while for it: it is not taken back before."""
    return f"handing-over:{consumer}:{source}"


async def move_to(store: EventStore, consumer: str, source: str, position: int) -> None:
    """Have a consumer begin anew behind a position. Nothing is done twice: the inbox knows what was handled.

    Raises `StoreUnavailable`, and `Fenced` as `as_owner` does.
    """

    async def move(fence: Fence) -> None:
        commit = Commit(checkpoint=(Checkpoint(consumer, source, position),), fence=fence)
        [outcome] = await store.commit([commit])
        if isinstance(outcome, Exception):
            raise outcome

    await as_owner(store, consumer, source, move)


async def as_owner(store: EventStore, consumer: str, source: str, work: Callable[[Fence], Awaitable[None]]) -> None:
    """Do something as the owner of a source; again where the one who works on it took it back in between.

    Raises `Fenced` where that happened every time, and what `work` raises.
    """
    for tries_left in reversed(range(TRIES)):
        claim = await store.claim(consumer, source)
        try:
            await work(Fence(consumer, source, claim.epoch))
            return
        except Fenced:
            if not tries_left:
                raise

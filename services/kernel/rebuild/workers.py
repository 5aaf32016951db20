"""Several processes that fold one log: folding is work for processors."""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial

from services.kernel import workers as kernel
from services.kernel.event_store import Decode, EventStore, Fence, Fenced
from services.kernel.rebuild.building import Fold, Part, Rules, build
from services.kernel.spans import Span

#: Makes the rules; a function of a module or a `partial` of one, because other processes make them too.
MakeRules = Callable[[], Rules]


@contextmanager
def workers(store: EventStore, database_url: str, number: int, decode: Decode, make: MakeRules) -> Iterator[Fold]:
    """So many processes, this one with its store among them; see `services.kernel.workers`. What they are asked raises
    WorkerLost, or what `build` does."""
    making = pickle.dumps(make)
    with kernel.workers(store, database_url, number, decode) as pool:

        async def by_a_worker(part: Part, span: Span) -> int:
            built = await pool.run(partial(_build, making=making, part=part, span=span))
            if isinstance(built, Fence):
                raise Fenced(built, 0)
            return built

        yield by_a_worker


# From here on everything runs in a worker.


async def _build(store: EventStore, *, making: bytes, part: Part, span: Span) -> int | Fence:
    """As `build`; where it is refused, that is its answer: the error itself cannot leave the process."""
    try:
        return await build(store, _made(making), part, span)
    except Fenced as refused:
        return refused.fence


@lru_cache(maxsize=1)
def _made(making: bytes) -> Rules:
    """The rules, made once for all spans."""
    make: MakeRules = pickle.loads(making)
    return make()

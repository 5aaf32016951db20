"""A process that is at work on an operation: `python -m tests.operations.worker URL [OPERATION]`.

It counts to a hundred thousand, slowly; with an operation it takes that one up. It prints the operation's id, then
`off` if it was called off.
"""

import asyncio
import sys

from contracts.registry import decode
from services.kernel.clock import SystemClock
from services.kernel.long_work import CalledOff, Tell
from services.kernel.operations import Desk, Watch, desk, watch
from services.kernel.stores import open_store

UNITS = 100_000
#: Whoever is killed is missed soon.
desk.LEASE_SECONDS, watch.RENEW_SECONDS = 1.5, 0.3  # type: ignore[misc]


async def count(tell: Tell) -> None:
    """Long work."""
    for done in range(1, UNITS + 1):
        await asyncio.sleep(0.01)
        await tell(done, UNITS)


async def main(url: str, operation: str) -> None:
    """Start or take up, and work."""
    store = open_store(url, decode, readers=1)
    work = Desk(store, "cases", SystemClock())
    try:
        if operation:
            ticket = await work.resume(operation, "operator/B", "it was killed")
            assert ticket
        else:
            ticket = await work.start("verify", {}, "operator/A", "a test")
        print(ticket.operation, flush=True)
        async with Watch(work, ticket) as tell:
            await count(tell)
    except CalledOff:
        print("off", flush=True)
    finally:
        await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))

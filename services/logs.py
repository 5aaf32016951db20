"""The logs of all services as the settings name them, opened so that their databases take no write."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields

from contracts.registry import decode
from services.histories import Logs
from services.kernel.settings import Settings
from services.kernel.stores import open_store


@asynccontextmanager
async def logs_to_read(settings: Settings) -> AsyncIterator[Logs]:
    """All logs, let go of in the end. A database is not looked for before something is read of it."""
    async with AsyncExitStack() as held:
        stores = []
        for service in fields(Logs):
            store = open_store(settings.database_of(service.name), decode, readers=1, read_only=True)
            held.push_async_callback(store.close)
            stores.append(store)
        yield Logs(*stores)

"""The books of a shop whose history was played without finance."""

import asyncio
from pathlib import Path

from services.embedded import Embedded
from services.kernel.settings import load_settings


def booked(folder: Path) -> Path:
    """The same data folder, once finance has heard everything and its read tables show it."""

    async def hear() -> None:
        server = Embedded(load_settings({}, data_dir=folder, port=0), only=("finance",))
        try:
            await server.start()
            await server.settle()
        finally:
            await server.stop()

    asyncio.run(hear())
    return folder

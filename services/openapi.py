"""Writes `contracts/openapi.json`: what a server with all services says of itself (`python -m services.openapi`)."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import msgspec

from services.embedded import Embedded
from services.kernel.actor import Actor
from services.kernel.logging import set_up
from services.kernel.settings import load_settings

FILE = Path(__file__).parent.parent / "contracts" / "openapi.json"


async def published() -> bytes:
    """The document, as text that shows well what changed."""
    with TemporaryDirectory() as folder:
        server = Embedded(load_settings({}, data_dir=Path(folder), port=0))
        await server.start()
        try:
            headers = {"Authorization": f"Bearer {server.token(Actor('agent', 'docs'))}"}
            async with (
                aiohttp.ClientSession(server.base_url) as session,
                session.get("/v1/openapi.json", headers=headers, raise_for_status=True) as response,
            ):
                return msgspec.json.format(await response.read(), indent=1) + b"\n"
        finally:
            await server.stop()


if __name__ == "__main__":
    set_up("error")
    FILE.write_bytes(asyncio.run(published()))

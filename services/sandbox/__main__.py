"""`python -m services.sandbox --port N`: the provider as a process of its own, until SIGINT or SIGTERM."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from services.sandbox.server import SandboxSettings, start


def main(
    secret_file: Annotated[Path, typer.Option(envvar="SANDBOX_SECRET_FILE", exists=True, dir_okay=False)],
    token_file: Annotated[Path, typer.Option(envvar="SANDBOX_TOKEN_FILE", exists=True, dir_okay=False)],
    port: int = 0,
    host: str = "127.0.0.1",
    callback_url: str | None = None,
    journal: Annotated[Path | None, typer.Option(help="Keeps the books over a restart.")] = None,
) -> None:
    """A payment provider for trials. Secrets are read from files, so that no process list shows them."""
    try:
        settings = SandboxSettings(
            secret=secret_file.read_text().strip(),
            token=token_file.read_text().strip(),
            callback_url=callback_url,
            journal=journal,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    asyncio.run(_serve(settings, host, port))


async def _serve(settings: SandboxSettings, host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await start(settings, host, port)
    print(server.base_url, flush=True)
    try:
        await stop.wait()
    finally:
        await server.close()


if __name__ == "__main__":
    typer.run(main)

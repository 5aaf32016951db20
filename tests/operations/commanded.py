"""A command that works long, as a process of its own: `python -m tests.operations.commanded FOLDER [BY]`."""

import asyncio
import sys
from pathlib import Path

import typer

from services.cli.failure import Failure, told
from services.cli.operated import operated
from services.kernel.settings import load_settings


async def _count(folder: str, by: str) -> None:
    settings = load_settings({}, data_dir=Path(folder))
    given = {"by": by, "reason": "a test", "options": {"workers": 1}, "title": "counting", "shown": False}
    async with operated(settings, "cases", "verify", **given) as work:  # type: ignore[arg-type]
        for done in range(1, 1000):
            if done == 3:
                print("counting", flush=True)
            await asyncio.sleep(0.02)
            await work(done, 1000)


def main() -> None:
    """Count."""
    with told(json=False):
        asyncio.run(_count(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""))


if __name__ == "__main__":
    try:
        main()
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except Failure:
        sys.exit(70)

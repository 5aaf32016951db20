"""What commands on the books of finance have in common: as whom they read, and how an answer is shown."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from rich.console import Console

from services.cli.case_reading import reading
from services.cli.failure import told
from services.cli.look import Asked
from services.cli.output import paper, show_json
from services.kernel.settings import Settings
from services.wording.words import Words

#: Every role may read; who owns the books asks here.
FINANCE: Final = "finance"

Document = Mapping[str, Any]
Sheet = Callable[[Console, Words, Document], None]


def show_books(asked: Asked, sheet: Sheet, *path: str, **query: object) -> Document:
    """Show a document of the books, and give it back; what is empty is not asked for."""
    with told(asked.json):
        settings, words = asked.begin()
        document = asyncio.run(read_books(settings, asked, *path, **query))
        show_document(asked, words, sheet, document)
    return document


def show_document(asked: Asked, words: Words, sheet: Sheet, document: Document) -> None:
    """Show what was read: on a sheet, or as it is."""
    if asked.json:
        show_json(document)
    else:
        sheet(paper(), words, document)


async def read_books(settings: Settings, asked: Asked, *path: str, **query: object) -> dict[str, Any]:
    """A document of the books; what is empty is not asked for. Raises `Failure`."""
    async with reading(settings, FINANCE, asked.url, asked.token) as read:
        return await read(*path, **said(**query))


def said(**given: object) -> dict[str, str]:
    """What was said, as an address takes it."""
    return {name: str(value) for name, value in given.items() if value}

"""What a kind of operation is, and what it is given."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from contracts.policy import Text
from services.kernel.event_store import EventStore
from services.kernel.long_work import Tell
from services.kernel.naming import stream_of_operation
from services.kernel.settings import Settings

#: Findings, differences and the like that an outcome names one by one; the rest are counted.
NAMED: Final = 20


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The options of a kind. `mistakes` finds what no type can say: the field, the rule, and that in zh and en."""

    def mistakes(self, service: str) -> Iterator[tuple[str, str, str, str]]:
        """What cannot be meant, on this service."""
        yield from ()


@dataclass(frozen=True)
class Work:
    """Where an operation is at work: on the log of a service, under its id."""

    settings: Settings
    service: str
    operation: str
    store: EventStore

    async def before(self) -> int:
        """The last position of the log before the operation was started."""
        [first] = await self.store.read_stream(stream_of_operation(self.operation), limit=1, decode=False)
        return first.position - 1

    def file(self, ending: str) -> Path:
        """Where a file of this operation is kept: one of its own in the data folder, which is made."""
        folder = folder_of(self.settings)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self.operation}.{ending}"


#: Does the work; gives what came of it in a few figures.
Run = Callable[[Work, Any, Tell], Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class Kind:
    """A kind of operation. Where the outcome has a `file`, that is the name of what `Work.file` gave."""

    name: str
    about: Text
    options: type[Options]
    run: Run
    services: tuple[str, ...]


def folder_of(settings: Settings) -> Path:
    """Where operations keep their files."""
    return settings.data_dir / "operations"

"""Writing a range of a log, or what is chosen from it, to a file that can be verified and imported elsewhere."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from services.kernel.event_store import EventStore
from services.kernel.heard import heard
from services.kernel.log import Record
from services.kernel.long_work import Tell, told_nobody
from services.transfer.chains import Base, Chains, Unfit, nowhere
from services.transfer.files import EventFile, new_file
from services.transfer.formats import Format
from services.transfer.lines import Heading, Manifest
from services.transfer.selection import Selection, bounds, pages


class NothingChosen(Exception):
    """No event is like that: there is nothing to write."""


class LogDamaged(Exception):
    """The log itself is not what was written: what leaves it could be verified nowhere, and would not be all."""

    def __init__(self, service: str, stream: str, version: int, position: int, zh: str, en: str) -> None:
        super().__init__(f"{service}: position {position}, {stream} version {version}: {en}")
        self.service, self.stream, self.version, self.position = service, stream, version, position
        self.zh, self.en = zh, en

    @property
    def where(self) -> str:
        """The stream and version where they are known, and the position: `TB1 v3 #15`."""
        stream = f"{self.stream} v{self.version}" if self.stream else ""
        position = f"#{self.position}" if self.position else ""
        return f"{stream} {position}".strip()


async def export(
    store: EventStore,
    service: str,
    selection: Selection,
    place: Path,
    format: Format,
    tell: Tell = told_nobody,
) -> Manifest:
    """Write the events that are chosen to a new file; gives its manifest.

    Services may be at work meanwhile: what they commit from now on is left out. Where every record of a range is
    chosen, positions and hashes are checked on the way. Nothing stays behind where it does not come to an end. Raises
    `NoSuchRange`, `NothingChosen`, `LogDamaged`, `FileExistsError`, `ParquetMissing` and what a store raises.
    """
    with Chains(service) as chains:
        last, complete = await _begin(store, selection, chains)
        chosen = msgspec.structs.replace(selection, last=last)
        with new_file(place, format) as file:
            heading = _heading(service, chosen, whole=selection.whole)
            file.begin(heading)
            events, first, last = await _records(store, service, chosen, heading.whole, chains, file, tell)
            manifest = Manifest(
                heading=heading,
                complete=complete,
                events=events,
                heard=await _marks(chains, file),
                first=first,
                last=last,
                root=await chains.root(),
            )
            return await asyncio.to_thread(file.finish, manifest)


def _heading(service: str, chosen: Selection, *, whole: bool) -> Heading:
    return Heading(
        service=service,
        whole=whole,
        first=chosen.first,
        last=chosen.last,
        selection=chosen.said,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


async def _begin(store: EventStore, selection: Selection, chains: Chains) -> tuple[int, bool]:
    """The last position, and whether that is all: then how far the service heard the others is kept, as of its end."""
    async with store.snapshot() as reads:
        _, last = await bounds(reads, selection)
        if not last:
            raise NothingChosen
        complete = selection.whole and last == await reads.head_position()
        if complete:
            async for marks in heard(reads):
                await chains.keep_marks(marks)
    return last, complete


async def _records(
    store: EventStore, service: str, chosen: Selection, whole: bool, chains: Chains, file: EventFile, tell: Tell
) -> tuple[int, int, int]:
    """Write the records; gives how many there were, and the positions of the first and the last."""
    base = nowhere if chosen.first == 1 else None
    events = first = last = 0
    async for page in pages(store, service, chosen):
        if page.records:
            first = first or page.records[0].position
            if whole:
                await _check(service, page.records, last + 1 if last else chosen.first, base, chains)
            else:
                await chains.note(page.records)
            await asyncio.to_thread(file.write, page.records)
            last = page.records[-1].position
            events += len(page.records)
        await tell(page.done, page.total)
    if whole and last != chosen.last:
        raise LogDamaged(service, "", 0, (last or chosen.first - 1) + 1, "记录缺失", "the record is missing")
    if not events:
        raise NothingChosen
    return events, first, last


async def _check(service: str, records: list[Record], position: int, base: Base | None, chains: Chains) -> None:
    """Every position is there, and every record continues its stream."""
    for place, record in enumerate(records, position):
        if record.position != place:
            raise LogDamaged(service, "", 0, place, "记录缺失", "the record is missing")
    try:
        await chains.follow(records, base)
    except Unfit as unfit:
        raise LogDamaged(service, unfit.stream, unfit.version, unfit.position, unfit.zh, unfit.en) from None


async def _marks(chains: Chains, file: EventFile) -> int:
    number = 0
    async for marks in chains.marks():
        await asyncio.to_thread(file.write, marks)
        number += len(marks)
    return number

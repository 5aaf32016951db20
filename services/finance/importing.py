"""Taking a bill in: its file is read to its end; if all of it is sound, its rows are stored and the books are told.

Rows are stored page by page, each page in a transaction of its own, so that neither memory nor other writers feel how
long a bill is. A row counts once the books know its bill: what an import that was cut off had stored, nobody sees, and
the next one deletes or overwrites it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec
import structlog

from contracts.events.finance import BillImported
from services.finance.bill_rows import COUNT, DELETE, STORE, STORED, values
from services.finance.bills.mapping import MappingInvalid, TableMapping, load_mapping
from services.finance.bills.reading import Bill
from services.finance.bills.rows import BillKind, Expected, Row
from services.finance.findings import Findings, error_of, listed
from services.finance.import_turn import Turn
from services.finance.originals import Originals, OriginalsAway
from services.finance.reading import reading_books
from services.kernel.event_store import Statement, StoreUnavailable
from services.kernel.refusal import Refusal
from services.kernel.service import Service

log = structlog.get_logger(__name__)

#: Rows that are read, and stored, at a time.
PAGE: Final = 2_000


class Upload(msgspec.Struct, frozen=True):
    """A file that arrived, its hash, and what its sender says of it."""

    file: Path
    bill: str
    file_name: str
    kind: BillKind | None = None
    mapping: str = ""
    merchant: str = ""
    currency: str = "CNY"


class UnderWay(msgspec.Struct):
    """An import that is at work: bytes of its file that were read, and that are to be read in all its readings."""

    bill: str
    file_name: str
    done: int
    total: int


class Importer:
    """Takes bills in for the finance service."""

    def __init__(self, service: Service[Any], originals: Originals) -> None:
        self.under_way: dict[str, UnderWay] = {}
        self._service = service
        self._originals = originals

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """To be held until the books are told: rows that are stored and not told of belong to nobody."""
        turn = Turn(self._service)
        await turn.take()
        try:
            yield turn
        finally:
            await turn.give_back()

    async def look(self, upload: Upload) -> BillImported:
        """What the books would be told of a bill; nothing is stored. Raises `Refusal`."""
        if known := (await self._known()).get(upload.bill):
            return known
        with self._shown(upload, readings=1) as shown:
            return await self._examined(upload, shown)

    async def take_in(self, upload: Upload, turn: Turn) -> BillImported:
        """Store the rows of a bill, and its file: what the books are to be told, or were where they know the bill.

        Raises `Refusal` with every mistake where it is not sound; then nothing is stored.
        """
        if known := (await self._known()).get(upload.bill):
            await self._mend(upload.file, known, turn)
            return known
        with self._shown(upload, readings=2) as shown:
            told = await self._examined(upload, shown)
            await self._keep(upload)
            await self._clear(upload.bill, turn)
            await self._store(upload, turn, shown, with_known=told.known_rows > 0)
        await turn.keep()
        return told

    async def _known(self) -> Mapping[str, BillImported]:
        """The bills that the books know, by hash."""
        async with reading_books(self._service) as (books, _):
            return {bill: imported.event for bill, imported in books.bills.imported.items()}

    async def _examined(self, upload: Upload, shown: UnderWay) -> BillImported:
        """What there is to tell of a bill; raises `Refusal`."""
        bill = await self._opened(upload)
        findings = Findings(await self._known())
        async for page in _pages(bill, shown):
            stored = await self._stored(page)
            await asyncio.to_thread(findings.take, page, stored)
        findings.must_be_sound(bill.report, upload.file_name)
        if not upload.merchant:
            async with reading_books(self._service) as (books, _):
                books.bills.must_be_of_known_merchant(findings.channel, bill.report.merchant)
        findings.must_not_contradict(upload.file_name)
        return findings.told(bill.report, upload.bill, upload.file_name, upload.mapping)

    async def _store(self, upload: Upload, turn: Turn, shown: UnderWay, *, with_known: bool) -> None:
        """Write the rows of a sound bill: all, or `with_known` ones among them those that no other bill listed."""
        known = {bill: told for bill, told in (await self._known()).items() if bill != upload.bill}
        async for page in _pages(await self._opened(upload), shown):
            stored = await self._stored(page) if with_known else {}
            own = [row for row in page if not listed(stored.get(row.key), known)]
            await turn.write(Statement(STORE, await asyncio.to_thread(_values, upload.bill, own)))

    async def _mend(self, file: Path, known: BillImported, turn: Turn) -> None:
        """Store the rows of a known bill again where some are gone, as behind a log that was moved without them."""
        [stored] = await self._service.store.query(COUNT, (known.bill,))
        if stored["count"] >= known.rows - known.known_rows:
            return
        kind = None if known.mapping else BillKind(known.kind)
        as_then = Upload(file, known.bill, known.file_name, kind, known.mapping, known.merchant, known.currency)
        with self._shown(as_then, readings=1) as shown:
            await self._store(as_then, turn, shown, with_known=True)

    async def _keep(self, upload: Upload) -> None:
        try:
            await self._originals.keep(upload.bill, upload.file)
        except OriginalsAway as away:
            log.warning("originals_away", place=away.place, reason=away.reason)
            raise StoreUnavailable("the files of bills cannot be kept") from None

    async def _clear(self, bill: str, turn: Turn) -> None:
        """Delete what an import of this bill that was cut off had stored."""
        [stored] = await self._service.store.query(COUNT, (bill,))
        if stored["count"]:
            for line in range(0, stored["last"], PAGE):
                await turn.write(Statement(DELETE, [(bill, line, line + PAGE)]))

    async def _opened(self, upload: Upload) -> Bill:
        """The bill in a file; raises `Refusal` for a mapping that nobody saved."""
        mapping = None
        if upload.mapping:
            async with reading_books(self._service) as (books, _):
                saved = books.mappings.saved.get(upload.mapping)
            if saved is None:
                raise Refusal("unknown_mapping", mapping=upload.mapping)
            mapping = await asyncio.to_thread(mapping_in, saved.content.encode())
        expected = Expected(upload.merchant, upload.currency)
        return Bill(upload.file, kind=upload.kind, mapping=mapping, expected=expected)

    async def _stored(self, page: Sequence[Row]) -> Mapping[str, Mapping[str, Any]]:
        """What is stored under the keys of these rows, by key."""
        sql = STORED.format(", ".join("?" * len(page)))
        rows = await self._service.store.query(sql, (page[0].channel, *(row.key for row in page)))
        return {row["row_key"]: row for row in rows}

    @contextmanager
    def _shown(self, upload: Upload, *, readings: int) -> Iterator[UnderWay]:
        """Let others see how far it is."""
        total = readings * upload.file.stat().st_size
        shown = self.under_way[upload.bill] = UnderWay(upload.bill, upload.file_name, 0, total)
        try:
            yield shown
        finally:
            if self.under_way.get(upload.bill) is shown:
                del self.under_way[upload.bill]


def mapping_in(content: bytes) -> TableMapping:
    """The mapping in a YAML or JSON text; blocks. Raises `Refusal` with every mistake."""
    with TemporaryDirectory(prefix="aftersales-mapping-") as folder:
        file = Path(folder) / "mapping"
        file.write_bytes(content)
        try:
            return load_mapping(file)
        except MappingInvalid as error:
            errors = [error_of(mistake) for mistake in error.mistakes]
            raise Refusal("mapping_unsound", errors=errors, count=len(errors)) from None


async def _pages(bill: Bill, shown: UnderWay) -> AsyncIterator[list[Row]]:
    """The sound rows of a bill, read in a thread."""
    rows, before = bill.rows(), shown.done
    while page := await asyncio.to_thread(_next, rows):
        yield page
        shown.done = before + bill.bytes_read
    shown.done = before + bill.bytes


def _next(rows: Iterator[Row]) -> list[Row]:
    return list(islice(rows, PAGE))


def _values(bill: str, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    return [values(bill, row) for row in rows]

"""Making an export: one state of the database, read page by page into a file."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, BinaryIO, Final, Literal, get_args

import msgspec

from contracts.policy import Text
from services.finance.exports.catalogue import (
    TABLES,
    account_sums,
    asked,
    booking,
    export_of,
    postings,
    scope_now,
)
from services.finance.exports.delimited import delimited
from services.finance.exports.journal import Booked, Journal, Place
from services.finance.exports.lines import lines
from services.finance.exports.tables import Asked, Column, Lang, Writer, write
from services.finance.exports.xlsx import xlsx
from services.finance.ledger.trial import is_month
from services.finance.statements.scope import Scope
from services.kernel.event_store import EventStore, Reads
from services.kernel.long_work import Tell, told_nobody
from services.kernel.refusal import invalid

Format = Literal["xlsx", "csv", "jsonl", "beancount"]
FORMATS: Final[Sequence[Format]] = get_args(Format)
#: What each is on the web.
MEDIA_TYPES: Final[Mapping[Format, str]] = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv",
    "jsonl": "application/x-ndjson",
    "beancount": "text/plain",
}
#: The ledger as a whole, which only beancount reads.
JOURNAL: Final = "journal"
NAMES: Final = (*TABLES, JOURNAL)

_WRITERS: Final[
    Mapping[Format, Callable[[BinaryIO, Asked, Sequence[Column], Lang], AbstractContextManager[Writer]]]
] = {"xlsx": xlsx, "csv": delimited, "jsonl": lines}
_TITLE: Final = Text(zh="售后总账", en="After-sales ledger")


def title_of(name: str) -> Text:
    """What an export is called by people."""
    return _TITLE if name == JOURNAL else TABLES[name].title


def formats_of(name: str) -> Sequence[Format]:
    """How an export can be written."""
    return [format for format in FORMATS if (name == JOURNAL) == (format == "beancount")]


class Order(msgspec.Struct, frozen=True):
    """What somebody wants: which export, how, of which month (all time where it is empty), in which language."""

    name: str
    format: Format
    month: str = ""
    lang: Lang = "both"

    @property
    def file_name(self) -> str:
        """What the file may be called."""
        return "-".join(filter(None, ("aftersales", self.name, self.month))) + f".{self.format}"


def order_of(name: str, format: str, month: str, lang: str) -> Order:
    """What is wanted, by the words of whoever asks. Raises `Refusal` `invalid` for what there is not."""
    for field, value, known in (
        ("name", name, NAMES),
        ("format", format, FORMATS),
        ("lang", lang, get_args(Lang)),
    ):
        if value not in known:
            choices = ", ".join(known)
            raise invalid(field, "one_of", f"只能是:{choices}", f"must be one of: {choices}")
    if (name == JOURNAL) != (format == "beancount"):
        zh, en = f"{JOURNAL} 与 beancount 只能一起用", f"{JOURNAL} and beancount go together, and with nothing else"
        raise invalid("format", "goes_with", zh, en)
    if month and not is_month(month):
        raise invalid("month", "month", "须为月份,如 2026-10", "must be a month, such as 2026-10")
    return msgspec.convert({"name": name, "format": format, "month": month, "lang": lang}, Order)


async def make(store: EventStore, order: Order, now: datetime, file: BinaryIO, tell: Tell = told_nobody) -> int:
    """Write an export to a file; gives how many rows it has. `tell` is awaited with the rows written and in all.

    All of it is of one moment, whatever is committed meanwhile. Raises `Refusal` `invalid` for a month that has not
    begun, before anything is written.
    """
    async with store.snapshot() as reads:
        if order.name == JOURNAL:
            return await _make_journal(reads, order, now, file, tell)
        export = await export_of(order.name, reads, order.month, now, order.lang)
        with _WRITERS[order.format](file, export.asked, export.columns, order.lang) as writer:
            return await write(export, writer, tell)


async def _make_journal(reads: Reads, order: Order, now: datetime, file: BinaryIO, tell: Tell) -> int:
    scope = await scope_now(reads, order.month, now)
    sums = await account_sums(reads, scope)
    journal = Journal(file, asked(JOURNAL, _TITLE, scope, order.lang), order.lang)
    opening = {Place(one.account, one.party): one.opening_fen for one in sums}
    journal.begin(await _first_day(reads, scope), opening, opening)
    booked = await booking(reads)

    def show(row: Mapping[str, Any]) -> Booked:
        return Booked(
            event_id=row["event_id"],
            type=row["type"],
            day=row["day"],
            month=booked.month(row["month"], row["position"]),
            order_id=row["order_id"],
            case_id=row["case_id"],
            place=Place(row["account"], row["party"]),
            amount_fen=row["amount_fen"],
            memo=row["memo"],
            item=row["item"],
        )

    total, pages = await postings(reads, scope, show)
    done = 0
    async for page in pages:
        await asyncio.to_thread(journal.write, page)
        done += len(page)
        await tell(done, max(done, total))
    await asyncio.to_thread(journal.finish)
    return done


async def _first_day(reads: Reads, scope: Scope) -> str:
    """The day on which the journal begins; today where nothing was ever posted."""
    if scope.month:
        return scope.first_day
    [row] = await reads.query("SELECT MIN(p.day) AS day FROM postings p")
    return row["day"] or scope.last_day

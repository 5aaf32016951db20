"""Exports of a database: the rows that they have, the months that they are of, and that beancount agrees."""

import csv
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import pytest_asyncio
from beancount import loader

import services.finance
from contracts.registry import decode
from services.finance.exports import catalogue
from services.finance.exports.catalogue import TABLES, Booking
from services.finance.exports.journal import Place, account_of
from services.finance.exports.making import FORMATS, JOURNAL, NAMES, make, order_of
from services.kernel.event_store import EventStore
from services.kernel.migrations import migrate
from services.kernel.refusal import Refusal
from services.kernel.stores import open_store
from tests.finance.exports.test_journal import held

NOW = datetime.fromisoformat("2026-12-05T10:00:00+08:00")
EVENTS = 40


def _row(table: str, **said: Any) -> tuple[str, list[Any]]:
    return f"INSERT INTO {table} ({', '.join(said)}) VALUES ({', '.join('?' * len(said))})", list(said.values())


def _event(number: int) -> list[Mapping[str, Any]]:
    """An event of October or November: the channel pays, by way of a loss."""
    month = "2026-10" if number <= EVENTS // 2 else "2026-11"
    day = f"{month}-{number % 28 + 1:02d}"
    party = ("courier/YTO", "courier/圆通", "production")[number % 3]
    common = {
        "event_id": f"E{number:04d}",
        "position": number * 7,
        "type": "compensation.paid",
        "time": f"{day}T02:00:00.000000+00:00",
        "day": day,
        "month": month,
        "order_id": f"TB{number % 5}",
        "case_id": f"TB{number % 5}-1",
        "memo": "cash",
        "item": f"=ALI{number}",
        "channel_ref": "",
    }
    legs = (("losses", party, number), ("channel", "", -number))
    return [
        {**common, "line": line, "account": account, "party": party, "amount_fen": fen}
        for line, (account, party, fen) in enumerate(legs, 1)
    ]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of a small shop. October was closed before its last two events were heard."""
    file = tmp_path_factory.mktemp("finance") / "finance.db"
    migrate(f"sqlite:///{file}", Path(services.finance.__file__).parent / "migrations")
    statements = [_row("posting_view", **row) for number in range(1, EVENTS + 1) for row in _event(number)]
    order = {"ordered_at": "", "ordered_month": "2026-10", "paid_fen": 1, "carrier": "", "insured": 1, "skus": ""}
    statements += [
        _row("order_fact_view", order_id=f"TB{number}", channel="taobao", misposted=0, **order) for number in range(4)
    ]
    closed = {"closed_at": "", "closed_by": "", "root": "", "report": "", "postings": 0, "late": 0}
    statements.append(_row("period_view", month="2026-10", position=(EVENTS // 2 - 2) * 7, **closed))
    legs = json.dumps(
        [{"account": "bank", "amount_fen": -1250}, {"account": "losses", "party": "a/b", "amount_fen": 1250}]
    )
    decided = {
        "decided_by": "",
        "decided_at": "",
        "answer": "",
        "booked_on": "",
        "amount_fen": 1250,
        "discrepancies": '["D1"]',
    }
    correction = {"state": "proposed", "reason": "=1+1", "legs": legs, "proposed_by": "finance/老钱", **decided}
    statements += [
        _row("correction_view", correction=f"K{number}", proposed_at=at, **correction)
        for number, at in enumerate(("2026-10-31T15:59:59.000000+00:00", "2026-10-31T16:00:00.000000+00:00"), 1)
    ]
    statements.append(_row("checkpoints", consumer="views", source="finance", position=EVENTS * 7))
    with sqlite3.connect(file) as written:
        for sql, params in statements:
            written.execute(sql, params)
    written.close()
    return file


@pytest_asyncio.fixture
async def store(database: Path) -> AsyncIterator[EventStore]:
    """The database, open."""
    opened = open_store(f"sqlite:///{database}", decode)
    yield opened
    await opened.close()


async def _made(store: EventStore, name: str, format: str, month: str = "", lang: str = "en") -> bytes:
    file = BytesIO()
    told: list[tuple[int, int]] = []

    async def tell(done: int, total: int) -> None:
        told.append((done, total))

    rows = await make(store, order_of(name, format, month, lang), NOW, file, tell)
    assert not rows or told[-1] == (rows, rows)
    return file.getvalue()


async def _rows(store: EventStore, name: str, month: str = "") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (await _made(store, name, "jsonl", month)).splitlines()]


async def test_every_posting_is_there_once_whatever_the_pages(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that ends in the middle of the log loses no row, and doubles none."""
    whole = await _rows(store, "postings")
    assert len(whole) == len({(row["event_id"], row["line"]) for row in whole}) == 2 * EVENTS
    monkeypatch.setattr(catalogue, "STRETCH", 5)
    assert await _rows(store, "postings") == whole


async def test_tables_are_read_page_by_page(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of tables that are read by their key."""
    monkeypatch.setattr(catalogue, "PAGE_ROWS", 1)
    assert [row["correction"] for row in await _rows(store, "corrections")] == ["K1", "K2"]


async def test_late_postings_are_in_the_month_that_was_open(store: EventStore) -> None:
    """What a closed month came too late for is exported with the next one, and says so."""
    october, november = await _rows(store, "postings", "2026-10"), await _rows(store, "postings", "2026-11")
    assert (len(october), len(november)) == (2 * 18, 2 * 22)
    late = {row["event_id"] for row in november if row["day"] < "2026-11"}
    assert late == {"E0019", "E0020"}
    everything = await _rows(store, "postings")
    assert [row for row in everything if row["month"] == "2026-10"] == october
    assert [row for row in everything if row["month"] == "2026-11"] == november


async def test_channel_is_the_orders(store: EventStore) -> None:
    """Postings of the channel account say which channel, as far as the order is known."""
    found = {(row["order_id"], row["party"]) for row in await _rows(store, "postings") if row["account"] == "channel"}
    assert found == {*((f"TB{number}", "taobao") for number in range(4)), ("TB4", "unknown")}


@pytest.mark.parametrize("month", ["", "2026-10", "2026-11"])
async def test_beancount_finds_what_the_trial_balance_says(store: EventStore, month: str) -> None:
    """The journal of the books, checked by beancount itself, holds account by account what the ledger holds."""
    entries, errors, _ = loader.load_string((await _made(store, JOURNAL, "beancount", month)).decode())
    assert errors == []
    trial = await _rows(store, "trial-balance", month)
    assert trial
    assert held(entries) == {
        account_of(Place(row["account"], row["party"])): row["closing_fen"] for row in trial if row["closing_fen"]
    }


async def test_month_ends_with_what_the_next_begins_with(store: EventStore) -> None:
    """Trial balances of months follow one upon the other, late postings and all."""
    first, second = await _rows(store, "trial-balance", "2026-10"), await _rows(store, "trial-balance", "2026-11")
    assert {(row["account"], row["party"]): row["closing_fen"] for row in first} == {
        (row["account"], row["party"]): row["opening_fen"] for row in second if row["opening_fen"]
    }


async def test_what_looks_like_a_formula_is_none(store: EventStore) -> None:
    """A reference or a reason that somebody made up to run in a spreadsheet is a text in every file."""
    table = (await _made(store, "postings", "csv")).decode("utf-8-sig")
    assert ",'=ALI1," in table
    assert ",=" not in table
    sheet = openpyxl.load_workbook(BytesIO(await _made(store, "corrections", "xlsx"))).active
    found = [(cell.data_type, cell.value) for row in sheet.iter_rows() for cell in row if str(cell.value)[:1] == "="]
    assert found == [("s", "=1+1")] * 2


async def test_decisions_belong_to_the_shops_month(store: EventStore) -> None:
    """Midnight is the shop's, not Greenwich's; postings of a correction can be read in one cell."""
    [correction] = await _rows(store, "corrections", "2026-10")
    assert correction["correction"] == "K1"
    assert (correction["legs"], correction["discrepancies"]) == ("bank -12.50; losses/a/b 12.50", "D1")


@pytest.mark.parametrize("name", TABLES)
async def test_every_table_can_be_had_in_every_format(store: EventStore, name: str) -> None:
    """No table is left out of a format, an empty one neither; headers are those of its columns."""
    names = [column.name for column in TABLES[name].columns]
    [header, *rows] = csv.reader(StringIO((await _made(store, name, "csv")).decode("utf-8-sig")))
    assert len(header) == len(names)
    found = await _rows(store, name)
    assert len(found) == len(rows)
    assert all(list(row) == names for row in found)
    assert openpyxl.load_workbook(BytesIO(await _made(store, name, "xlsx", lang="both"))).active


@pytest.mark.parametrize(
    ("name", "format", "month", "field"),
    [
        ("secrets", "csv", "", "name"),
        ("postings", "pdf", "", "format"),
        ("postings", "beancount", "", "format"),
        (JOURNAL, "xlsx", "", "format"),
        ("postings", "csv", "2026-13", "month"),
        ("postings", "csv", "10/2026", "month"),
        ("postings", "csv", "2027-05", "month"),
    ],
)
async def test_what_there_is_not_is_refused(store: EventStore, name: str, format: str, month: str, field: str) -> None:
    """A wrong word is told by its name, and nothing is written."""
    file = BytesIO()
    with pytest.raises(Refusal) as refused:
        await make(store, order_of(name, format, month, "zh"), NOW, file)
    assert (refused.value.code, refused.value.errors[0]["field"]) == ("invalid", field)
    assert file.getvalue() == b""


async def test_export_is_of_one_moment(store: EventStore, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written while an export is made is not in it, so that its sums fit its rows."""
    monkeypatch.setattr(catalogue, "STRETCH", 50)

    async def meanwhile(done: int, total: int) -> None:
        with sqlite3.connect(database) as other:
            other.execute("UPDATE posting_view SET memo = memo || '!'")
        other.close()

    file = BytesIO()
    before = await _made(store, "postings", "jsonl")
    await make(store, order_of("postings", "jsonl", "", "en"), NOW, file, meanwhile)
    assert file.getvalue() == before


@pytest.mark.parametrize(
    ("closed", "month", "position", "booked"),
    [
        ([], "2026-10", 9, "2026-10"),
        ([("2026-10", 50)], "2026-10", 50, "2026-10"),
        ([("2026-10", 50)], "2026-10", 51, "2026-11"),
        ([("2026-10", 50)], "2026-12", 51, "2026-12"),
        ([("2026-10", 50), ("2026-11", 90)], "2026-09", 60, "2026-11"),
        ([("2026-10", 50), ("2026-11", 90)], "2026-11", 10, "2026-11"),
        ([("2026-10", 50), ("2026-11", 90)], "2026-10", 91, "2026-12"),
    ],
)
def test_booked_in_the_first_month_that_was_open(
    closed: list[tuple[str, int]], month: str, position: int, booked: str
) -> None:
    """A posting is booked where the calendar of closed months puts it."""
    assert Booking(closed).month(month, position) == booked


def test_names_and_formats_are_known() -> None:
    """What the command line and the API offer is all that there is."""
    assert (set(NAMES) - set(TABLES), FORMATS) == ({JOURNAL}, ("xlsx", "csv", "jsonl", "beancount"))

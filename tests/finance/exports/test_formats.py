"""Tables as files: what a spreadsheet, a CSV reader and a machine find in them."""

import asyncio
import csv
import json
import tracemalloc
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from io import BytesIO, StringIO
from typing import Any
from zipfile import ZipFile

import openpyxl
import pytest
from openpyxl.utils.escape import unescape

from services.finance.exports.delimited import delimited
from services.finance.exports.lines import lines
from services.finance.exports.tables import Export, Lang, write
from services.finance.exports.xlsx import xlsx
from tests.finance.exports.nasty import AMOUNTS, COLUMNS, NAMES, ROWS, export, many


def _file(form: Callable[..., Any], table: Export, lang: Lang = "both", **options: Any) -> bytes:
    file = BytesIO()

    async def written() -> None:
        async def tell(done: int, total: int) -> None:
            told.append((done, total))

        with form(file, table.asked, table.columns, lang, **options) as writer:
            assert await write(table, writer, tell) == table.rows

    told: list[tuple[int, int]] = []
    asyncio.run(written())
    assert told[-1] == (table.rows, table.rows)
    return file.getvalue()


def _sheet(content: bytes) -> Any:
    return openpyxl.load_workbook(BytesIO(content)).active


#: Title, as at, position, month, an empty line: then come the headers.
_HEAD = 6


def test_spreadsheet_echoes_what_was_asked_for() -> None:
    """Whoever opens a file a year later sees of when the figures are, and what they were chosen by."""
    sheet = _sheet(_file(xlsx, export(), "en"))
    head = [(row[0].value, row[1].value) for row in sheet.iter_rows(max_row=4)]
    assert head == [
        ("Sample", None),
        ("As at", "2026-11-01 10:30:00 +08:00"),
        ("Log position", "42"),
        ("Month", "2026-10"),
    ]


@pytest.mark.parametrize(
    ("lang", "header"), [("zh", "金额"), ("en", "Amount"), ("both", "金额 Amount")], ids=["zh", "en", "both"]
)
def test_headers_are_in_the_language_that_was_asked_for(lang: Lang, header: str) -> None:
    """A Chinese accountant and a foreign auditor read the same file, each in their language."""
    assert _sheet(_file(xlsx, export(), lang)).cell(_HEAD, 5).value == header
    assert header in _file(delimited, export(), lang).decode("utf-8-sig").splitlines()[0]


def test_spreadsheet_keeps_ids_and_names_as_texts() -> None:
    """A payment reference keeps its last digits, and a name that looks like a formula or a link is neither."""
    sheet = _sheet(_file(xlsx, export()))
    for (ref, name, *_), cells in zip(ROWS, sheet.iter_rows(min_row=_HEAD + 1), strict=False):
        assert (cells[0].data_type, cells[0].value, cells[0].number_format) == ("s", ref, "@")
        assert (cells[1].data_type, unescape(cells[1].value)) == ("s", name)
        assert cells[1].hyperlink is None
    package = ZipFile(BytesIO(_file(xlsx, export())))
    assert b"<f>" not in package.read("xl/worksheets/sheet1.xml")


def test_spreadsheet_amounts_are_numbers_equal_to_the_fen() -> None:
    """Amounts can be added up in the sheet, and none is a binary fraction beside the true one (9.95, not 9.949…)."""
    content = _file(xlsx, export())
    sheet = _sheet(content)
    cells = [row[4] for row in sheet.iter_rows(min_row=_HEAD + 1, max_row=_HEAD + len(ROWS))]
    assert {(cell.data_type, cell.number_format) for cell in cells} == {("n", "0.00")}
    assert [Decimal(str(cell.value)) * 100 for cell in cells] == list(AMOUNTS)
    assert b"<v>9.95</v>" in ZipFile(BytesIO(content)).read("xl/worksheets/sheet1.xml")


def test_spreadsheet_has_sums_and_real_dates() -> None:
    """The last row has the sums; days and times can be filtered as such, by the shop's clock."""
    sheet = _sheet(_file(xlsx, export()))
    last = next(sheet.iter_rows(min_row=_HEAD + len(ROWS) + 1))
    assert (last[0].value, int(Decimal(str(last[4].value)) * 100), last[5].value) == ("合计 Total", sum(AMOUNTS), None)
    first = next(sheet.iter_rows(min_row=_HEAD + 1))
    assert (first[2].value, first[3].value) == (datetime(2026, 10, 5), datetime(2026, 10, 5, 10))
    assert sheet.freeze_panes == f"A{_HEAD + 1}"
    assert sheet.auto_filter.ref == f"A{_HEAD}:F{_HEAD + len(ROWS)}"


def test_long_table_goes_on_in_another_sheet() -> None:
    """A sheet of Excel ends after a million rows; no row is lost there."""
    book = openpyxl.load_workbook(BytesIO(_file(xlsx, export(), rows_per_sheet=4)))
    found = [row[0].value for sheet in book for row in sheet.iter_rows(min_row=_HEAD + 1, max_row=_HEAD + 4)]
    assert [ref for ref in found if ref and ref.startswith("42")] == [row[0] for row in ROWS]
    assert book.sheetnames == ["样表 Sample", "样表 Sample 2", "样表 Sample 3"]


def test_text_that_no_cell_can_hold_is_cut_and_says_so() -> None:
    """A text longer than a cell may be does not vanish without a word, nor break the file."""
    row = (*ROWS[0][:1], "长" * 40_000, *ROWS[0][2:])
    value = _sheet(_file(xlsx, export([row]))).cell(_HEAD + 1, 2).value
    assert (len(value), value[-1]) == (32_767, "…")


def test_csv_reads_in_excel_and_runs_no_formula() -> None:
    """Excel sees by the mark that it is UTF-8, and what would be a formula has an apostrophe before it; an amount below
    zero is no formula."""
    content = _file(delimited, export())
    assert content.startswith(b"\xef\xbb\xbf")
    header, *rows = csv.reader(StringIO(content.decode("utf-8-sig"), newline=""))
    assert header[3] == "时间 Time (+08:00)"
    assert [row[1] for row in rows] == [f"'{name}" for name in NAMES[:7]] + [NAMES[7], f"'{NAMES[8]}", NAMES[9]]
    assert [row[0] for row in rows] == [row[0] for row in ROWS]
    assert rows[1][2:] == ["2026-10-05", "2026-10-05 10:00:00", "-0.01", "1"]


def test_json_lines_hold_what_the_tables_hold() -> None:
    """A machine gets the names of the columns, whole fen, and texts exactly as they are."""
    found = [json.loads(line) for line in _file(lines, export()).splitlines()]
    assert found == [dict(zip([column.name for column in COLUMNS], row, strict=True)) for row in ROWS]


@pytest.mark.parametrize("form", [xlsx, delimited, lines])
def test_memory_does_not_grow_with_the_rows(form: Callable[..., Any], tmp_path: Any) -> None:
    """Ten times the rows take no more memory: they go to disk page by page."""

    def peak(count: int) -> int:
        table = many(count)

        async def written() -> None:
            async def tell(done: int, total: int) -> None:
                pass

            with (tmp_path / "out").open("w+b") as file, form(file, table.asked, table.columns, "both") as writer:
                await write(table, writer, tell)

        tracemalloc.start()
        try:
            asyncio.run(written())
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(300)  # what is loaded once
    assert peak(3_000) < peak(300) * 1.3 + 50_000


def test_table_that_breaks_off_leaves_nothing_in_the_folder(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that wait on disk are gone when the export fails."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    broken = [ROWS[0], (*ROWS[1][:2], "no day", *ROWS[1][3:])]
    with pytest.raises(ValueError):
        _file(xlsx, export(broken))
    assert list(tmp_path.iterdir()) == []

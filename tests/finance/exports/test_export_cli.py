"""`aftersales books export` and the same over HTTP: files as an accountant gets them."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from beancount import loader

from services.finance.exports.making import NAMES, order_of
from tests.cli.conftest import _logging
from tests.cli.terminal import Server, Told, aftersales
from tests.finance.booked import booked
from tests.finance.ledger.conftest import played

__all__ = ["_logging"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small shop: losses that went from party to party, and claims that were collected."""
    return booked(played("47-liability-reassigned", tmp_path_factory.mktemp("exported") / "data"))


def _export(folder: Path, *arguments: str) -> Told:
    return aftersales("books", "export", *arguments, "--data-dir", str(folder), LANG="en_US.UTF-8")


def test_journal_of_a_real_shop_is_what_beancount_takes(folder: Path, tmp_path: Path) -> None:
    """What an accountant takes away is checked by beancount itself, and nothing is wrong with it."""
    file = tmp_path / "books.beancount"
    told = _export(folder, "journal", "--to", str(file))
    assert told.status == 0, told.err
    entries, errors, _ = loader.load_file(str(file))
    assert (errors, len(entries) > 10) == ([], True)


def test_spreadsheet_of_a_month(folder: Path, tmp_path: Path) -> None:
    """The trial balance of a month as a spreadsheet: its sums are zero where they must be."""
    file = tmp_path / "balance.xlsx"
    told = _export(folder, "trial-balance", "--to", str(file), "--month", "2026-10", "--lang", "zh", "--json")
    assert told.json["rows"] > 3
    rows = [[cell.value for cell in row] for row in openpyxl.load_workbook(file).active.iter_rows()]
    assert rows[0][0] == "试算平衡表"
    assert rows[-1][0] == "合计"
    _, _, _, opening, debit, credit, closing = rows[-1]
    assert (opening, closing) == (0, 0)
    assert debit == credit > 0


def test_file_that_is_there_is_kept(folder: Path, tmp_path: Path) -> None:
    """Nothing is written over unless somebody says so."""
    file = tmp_path / "postings.csv"
    file.write_text("mine")
    _export(folder, "postings", "--to", str(file)).must_fail(2, "is not overwritten")
    assert file.read_text() == "mine"
    assert _export(folder, "postings", "--to", str(file), "--force").status == 0
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    assert [one.name for one in tmp_path.iterdir()] == ["postings.csv"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("postings", "--to", "x.pdf"), "--format"),
        (("secrets", "--to", "x.csv"), "NAME: must be one of"),
        (("journal", "--to", "x.csv"), "--format: journal and beancount go together"),
        (("postings", "--to", "x.csv", "--month", "2026-13"), "--month"),
        (("postings", "--to", "no/such/folder/x.csv"), "no/such/folder"),
    ],
)
def test_what_cannot_be_is_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    """A mistake at the command line is named in both languages, and leaves no file behind."""
    monkeypatch.chdir(tmp_path)
    _export(folder, *arguments).must_fail(2, said)
    assert list(tmp_path.iterdir()) == []


def test_server_hands_out_the_same_file(folder: Path, tmp_path: Path) -> None:
    """A server answers with the file that the command writes from the database, and refuses what there is not."""
    alone, served = tmp_path / "alone.jsonl", tmp_path / "served.jsonl"
    assert _export(folder, "postings", "--to", str(alone)).status == 0
    with Server(folder, DRAIN_SECONDS="0") as server:
        told = _export(folder, "postings", "--to", str(served), "--url", server.url)
        assert told.status == 0, told.err
        refused = _export(
            folder, "postings", "--to", str(tmp_path / "x.csv"), "--url", server.url, "--month", "2099-01"
        )
        refused.must_fail(2, "has not begun")
        with _get(server, "/v1/exports/bills?format=csv&lang=en") as answer:
            assert answer.headers["Content-Disposition"] == 'attachment; filename="aftersales-bills.csv"'
            assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        with _get(server, "/v1/exports") as answer:
            kinds = {one["export"]: one["formats"] for one in json.load(answer)["items"]}
        assert (set(kinds), kinds["journal"]) == (set(NAMES), ["beancount"])
        for name, formats in kinds.items():
            assert all(order_of(name, format, "", "zh").format == format for format in formats)
        with pytest.raises(urllib.error.HTTPError) as unknown:
            _get(server, "/v1/exports/secrets?format=csv")
        with unknown.value as said:
            assert (said.code, json.load(said)["code"]) == (404, "not_found")
    assert served.read_bytes() == alone.read_bytes()


def _get(server: Server, path: str) -> Any:
    token = aftersales("token", "--role", "finance", "--name", "老钱", "--data-dir", str(server.data_dir)).out.strip()
    request = urllib.request.Request(server.url + path, headers={"Authorization": f"Bearer {token}"})
    return urllib.request.urlopen(request, timeout=30)

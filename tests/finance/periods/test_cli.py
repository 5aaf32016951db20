"""`aftersales period` and `aftersales correction`: what an accountant does at month's end, at the command line."""

import hashlib
from pathlib import Path

import pytest

from tests.cli.terminal import Told, aftersales
from tests.finance.periods.shop import Shop


def _shop(folder: Path) -> Path:
    """The data folder of a shop with 5.00 yuan paid in May 2024, where no server runs."""
    shop = Shop(folder / "data", "2024-06-03T10:00:00+08:00")
    shop.paid(500, "2024-05-05")
    shop.server.close()
    return folder / "data"


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose May is closed by a test."""
    return _shop(tmp_path_factory.mktemp("closed"))


@pytest.fixture(scope="module")
def open_books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose May stays open."""
    return _shop(tmp_path_factory.mktemp("open"))


def _run(folder: Path, *arguments: str, lang: str = "en_US.UTF-8") -> Told:
    return aftersales(*arguments, "--data-dir", str(folder), LANG=lang)


def test_a_month_from_draft_to_proof(books: Path, tmp_path: Path) -> None:
    """Looked at, prepared, closed by another, listed, written to a file whose SHA-256 is what was frozen, made anew."""
    draft = _run(books, "period", "prepare", "2024-05", "--dry-run")
    assert draft.status == 0, draft.out + draft.err
    for said in (
        "Trial balance (yuan) 2024-05",
        "Channel account taobao",
        "✓ Prepare month: possible now",
        "2 postings",
    ):
        assert said in draft.out
    early = _run(books, "period", "close", "2024-05", "--dry-run")
    assert (early.status, "– Close month: Nobody prepared this month (2024-05) yet" in early.out) == (1, True)

    prepared = _run(books, "period", "prepare", "2024-05", "--by", "小周")
    assert prepared.status == 0, prepared.out + prepared.err
    assert "prepared by finance 小周" in prepared.out
    _run(books, "period", "close", "2024-05", "--by", "小周").must_fail(1, "Nobody closes a month (2024-05) that they")
    listed = _run(books, "period", "list", lang="zh_CN.UTF-8").out
    assert ("未结" in listed, "小周" in listed) == (True, True)

    closed = _run(books, "period", "close", "2024-05", "--by", "老钱")
    assert closed.status == 0, closed.out + closed.err
    assert "closed by finance 老钱" in closed.out
    report = _run(books, "period", "show", "2024-05", "--json", "--out", str(tmp_path / "2024-05.jsonl")).json
    assert hashlib.sha256((tmp_path / "2024-05.jsonl").read_bytes()).hexdigest() == report["report"]
    assert report["report"] in closed.out.replace("\n", "")
    [listed] = [one for one in _run(books, "period", "list", "--json").json["items"] if one["month"] == "2024-05"]
    assert (listed["state"], listed["prepared_by"], listed["closed_by"]) == ("closed", "finance/小周", "finance/老钱")

    same = _run(books, "period", "recompute", "2024-05")
    assert (same.status, "to the byte" in same.out) == (0, True)
    assert "逐字节相同" in _run(books, "period", "recompute", "2024-05", lang="zh_CN.UTF-8").out
    _run(books, "period", "close", "2024-05", "--by", "老钱").must_fail(1, "This month (2024-05) is closed")
    again = _run(books, "period", "show", "2024-05", "--out", str(tmp_path / "2024-05.jsonl"))
    again.must_fail(2, "is there already")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("close", "2024-5", "--by", "老钱"), 2, "2024-5 is no month; write it like 2026-10."),
        (("close", "2024-05"), 2, "--by: say your name."),
        (("prepare", "2024-05"), 2, "--by: say your name."),
        (("prepare", "9999-12", "--by", "老钱"), 1, "This month (9999-12) is not over"),
        (("close", "2024-05", "--by", "老钱"), 1, "Nobody prepared this month (2024-05) yet"),
        (("close", "2024-04", "--by", "老钱"), 1, "Nothing was posted in this month (2024-04)"),
        (("close", "9999-12", "--by", "老钱"), 1, "This month (9999-12) is not over"),
        (("recompute", "2024-06"), 1, "This month (2024-06) is not closed"),
        (("show", "2024-06", "--out", "never.jsonl"), 1, "2024-06 is not closed"),
    ],
)
def test_what_cannot_be_done_is_said(open_books: Path, arguments: tuple[str, ...], status: int, said: str) -> None:
    """What is wrong and what to do, in both languages; nothing is closed."""
    _run(open_books, "period", *arguments).must_fail(status, said)


def test_a_dry_run_ends_with_1_where_something_stands_in_the_way(open_books: Path) -> None:
    """So that a script can ask before it closes."""
    told = _run(open_books, "period", "close", "2024-04", "--dry-run")
    assert (told.status, "✗ Nothing was posted in this month (2024-04)" in told.out) == (1, True)


def test_a_correction_takes_two_persons(open_books: Path) -> None:
    """Proposed in yuan, approved by another name, shown with its postings; one's own is refused."""
    legs = ("--leg", "promotion=1.20", "--leg", "channel/taobao=-1.2,item=2026100522")
    told = _run(open_books, "correction", "propose", *legs, "--by", "老钱", "--reason", "手续费")
    assert told.status == 0, told.out + told.err
    for said in ("K1 waits for approval", "Channel account (channel)", "taobao", "2026100522", "1.20"):
        assert said in told.out
    _run(open_books, "correction", "approve", "K1", "--by", "老钱").must_fail(1, "Nobody approves their own correction")
    approved = _run(open_books, "correction", "approve", "K1", "--by", "老板", "--role", "store_manager", "--json").json
    assert (approved["state"], approved["decided_by"]) == ("approved", "store_manager/老板")
    shown = aftersales("correction", "show", "K1", "--lang", "both", "--data-dir", str(open_books))
    assert "已批准 approved" in shown.out
    [listed] = _run(open_books, "correction", "list", "--state", "approved", "--json").json["items"]
    assert (listed["correction"], listed["amount_fen"]) == ("K1", 120)
    assert "K1" in _run(open_books, "correction", "list", lang="zh_CN.UTF-8").out


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("propose", "--leg", "bank=1.200"), 2, "--leg: bank=1.200 cannot be read"),
        (("propose", "--leg", "bank=1e3"), 2, "cannot be read"),
        (("propose", "--leg", "bank=1,234.50"), 2, "cannot be read"),
        (("propose", "--leg", "bank"), 2, "cannot be read"),
        (("propose", "--leg", "=1"), 2, "cannot be read"),
        (("propose", "--leg", "bank=1"), 2, "debits exceed credits by 1.00 yuan"),
        (("propose", "--leg", "cash=1", "--leg", "bank=-1"), 2, "there is no account “cash”"),
        (("approve", "K9"), 1, "There is no correction “K9”"),
    ],
)
def test_what_cannot_be_corrected_is_said(open_books: Path, arguments: tuple[str, ...], status: int, said: str) -> None:
    """An amount that is none, postings that do not balance, an account or a correction that is not there."""
    reason = ("--reason", "r") if arguments[0] == "propose" else ()
    _run(open_books, "correction", *arguments, *reason, "--by", "小周").must_fail(status, said)

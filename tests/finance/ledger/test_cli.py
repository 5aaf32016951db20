"""`aftersales ledger`: an accountant sees what the accounts hold, why, and whether everything agrees."""

from pathlib import Path

import pytest

from services.finance.ledger.accounts import CHART
from tests.cli.conftest import _logging
from tests.cli.terminal import Told, aftersales
from tests.doctor.damage import Books

__all__ = ["_logging"]


def _ledger(folder: Path, *arguments: str, lang: str = "en_US.UTF-8") -> Told:
    return aftersales("ledger", *arguments, "--data-dir", str(folder), LANG=lang)


def test_a_month_has_opening_debits_credits_and_closing(history: Path) -> None:
    """October's closing is November's opening, each sums to 0, and debits are credits."""
    october = _ledger(history, "balance", "--month", "2026-10", "--json").json
    november = _ledger(history, "balance", "--month", "2026-11", "--json").json
    closing = {(row["account"], row["party"]): row["closing_fen"] for row in october["rows"]}
    assert closing["channel", "taobao"] == -395_600
    assert closing["suspense", ""] == 1_500  # paid in October, and nobody bears it before November
    opening = {(row["account"], row["party"]): row["opening_fen"] for row in november["rows"]}
    assert {key: fen for key, fen in closing.items() if fen} == {key: fen for key, fen in opening.items() if fen}
    for month in (october, november):
        assert month["debit_fen"] == month["credit_fen"] > 0
        assert (month["opening_fen"], month["closing_fen"], month["breaks"]) == (0, 0, 0)
    moved = {row["account"]: (row["debit_fen"], row["credit_fen"]) for row in november["rows"]}
    assert moved["suspense"] == (1_000, 2_500)


def test_a_trial_balance_on_paper(history: Path) -> None:
    """Kinds, accounts with their parties, yuan, and that it balances: in either language, and in that one alone."""
    told = _ledger(history, "balance")
    for said in ("Trial balance (yuan)", "Channel account taobao", "Losses by party Courier YTO", "Sales returned"):
        assert said in told.out
    for said in ("assets", "income", "expenses", "clearing", "= sum", "✓ debits are credits"):
        assert said in told.out
    chinese = _ledger(history, "balance", "--lang", "zh").out
    for said in ("试算平衡表(元)", "渠道账户 taobao", "各方承担的损失 快递 YTO", "✓ 借贷平衡"):
        assert said in chinese
    assert "Channel" not in chinese


def test_the_chart_is_shown_with_the_codes_that_commands_take() -> None:
    """Whoever asks for an account's postings finds its code, and what it holds, in either language."""
    told = aftersales("ledger", "accounts", "--lang", "en")
    assert all(code in told.out for code in CHART)
    assert "losses/PARTY" in told.out
    assert "应付买家" in aftersales("ledger", "accounts", "--lang", "zh").out
    shown = aftersales("ledger", "accounts", "--json").json["accounts"]
    assert [one["code"] for one in shown] == list(CHART)
    assert all(one["means"]["zh"] and one["means"]["en"] and one["touched_by"] for one in shown)


def test_postings_of_an_account_run_to_what_it_holds(reassigned: Path) -> None:
    """Each posting follows on the balance before it, in order of time; the last is the closing balance."""
    told = _ledger(reassigned, "entries", "--account", "losses/courier/YTO", "--json").json
    balance = 0
    for one in told["entries"]:
        balance += one["debit_fen"] - one["credit_fen"]
        assert (one["balance_fen"], one["party"]) == (balance, "courier/YTO")
    assert told["closing"] == {"losses": balance} == {"losses": 252}
    assert [one["time"] for one in told["entries"]] == sorted(one["time"] for one in told["entries"])


def test_postings_of_a_month_begin_with_what_was_held_before(history: Path) -> None:
    """What November's suspense begins with is told before its postings."""
    told = _ledger(history, "entries", "--account", "suspense", "--month", "2026-11", "--json").json
    assert told["opening"] == {"suspense": 1_500}
    assert told["entries"][0]["balance_fen"] == 2_500
    assert told["closing"] == {"suspense": 0}
    assert "opening" in _ledger(history, "entries", "--account", "suspense", "--month", "2026-11").out


def test_postings_of_an_order_and_a_case(exchanged: Path) -> None:
    """An order's postings balance; on paper each has its time, event and account."""
    told = _ledger(exchanged, "entries", "--order", "LIB43", "--json").json
    assert sum(one["debit_fen"] - one["credit_fen"] for one in told["entries"]) == 0
    assert _ledger(exchanged, "entries", "--case", "LIB43-1", "--json").json["entries"] == told["entries"]
    paper = _ledger(exchanged, "entries", "--case", "LIB43-1").out
    for said in ("Deposits held", "Payouts in transit", "100.01", "2026-10-0"):
        assert said in paper
    assert "持有押金" in _ledger(exchanged, "entries", "--case", "LIB43-1", "--lang", "zh").out


def test_a_statement_adds_up(reassigned: Path) -> None:
    """Opening + charged − reversed − credited − recovered is closing, down to the event."""
    told = _ledger(reassigned, "statement", "courier/YTO", "--json").json
    figures = {name: told[f"{name}_fen"] for name in ("opening", "charged", "reversed", "credited", "recovered")}
    assert figures == {"opening": 0, "charged": 503, "reversed": 251, "credited": 0, "recovered": 503}
    assert told["closing_fen"] == -251 == told["moves"][-1]["balance_fen"]
    paper = _ledger(reassigned, "statement", "courier/YTO", "--month", "2026-10").out
    for said in ("Courier YTO 2026-10", "− recovered", "= closing", "LIB47-1"):
        assert said in paper


def test_a_sound_ledger_is_said_to_be_sound(reassigned: Path) -> None:
    """How much was looked at, and that all of it holds."""
    told = _ledger(reassigned, "check")
    assert told.status == 0, told.out
    for said in ("1 order, 46 postings", "debits 71.30, credits 71.30", "✓ everything balances and agrees"):
        assert said in told.out
    assert _ledger(reassigned, "check", "--json").json["sound"] is True


def test_what_does_not_balance_ends_with_1(exchanged: Path, tmp_path: Path) -> None:
    """Scripts stop at it; people read which case, which account and which events, and how to go on."""
    books = Books.copied(exchanged, tmp_path / "data")
    books.alter("refunds", "payout.succeeded", "freight_reimbursement", amount_fen=1_299)
    told = _ledger(books.folder, "check")
    assert told.status == 1
    for said in ("✗", "LIB43-1 (in_transit)", "should be 0.00 yuan, is -0.01 yuan", "payout.succeeded", "verify"):
        assert said in told.out
    report = _ledger(books.folder, "check", "--json")
    assert (report.status, report.json["sound"], report.json["found"] > 0) == (1, False, True)


def test_what_cannot_be_read_is_never_left_out_silently(history: Path, tmp_path: Path) -> None:
    """Figures that lack an order say so, and where to look; the order itself is not called unknown."""
    books = Books.copied(history, tmp_path / "data")
    books.damage("refunds", "UPDATE events SET data = x'00' WHERE stream = 'WC' AND type = 'refund.calculated'")
    for arguments in (
        ("balance",),
        ("entries", "--account", "losses"),
        ("entries", "--case", "WC-1"),
        ("statement", "production"),
    ):
        told = _ledger(books.folder, *arguments)
        assert told.status == 0, told.err
        assert "✗ 1 break: figures may be incomplete → aftersales ledger check" in told.out
        assert _ledger(books.folder, *arguments, "--json").json["breaks"] == 1
    assert "WC (unreadable)" in _ledger(books.folder, "check").out


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("balance", "--month", "2026-13"), 2, "--month: 2026-13 is no month; write it like"),
        (("balance", "--month", "2026-1"), 2, "is no month"),
        (("balance", "--month", "9999-12"), 2, "has not begun; the latest month is"),
        (("entries",), 2, "Say which postings: --order, --case or --account."),
        (("entries", "--account", "cash"), 2, "there is no account cash. There are:"),
        (("entries", "--order", "NOSUCH"), 1, "NOSUCH"),
        (("entries", "--case", "LIB47-9"), 1, "LIB47-9"),
        (("entries", "--order", "LIB48", "--case", "LIB47-1"), 2, "is no case of the order LIB48"),
        (("statement", "weather"), 2, "There is no party weather. There are: production"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_asked_is_said(reassigned: Path, arguments: tuple[str, ...], status: int, said: str) -> None:
    """A bad month, an unknown account, order, case or party: what is wrong and what to write instead."""
    told = _ledger(reassigned, *arguments)
    told.must_fail(status, said)
    if "--account" in arguments:
        assert all(code in told.err for code in CHART)


def test_without_data_the_way_out_is_named(tmp_path: Path) -> None:
    """Nothing is made where there is no shop."""
    _ledger(tmp_path / "none", "balance").must_fail(2, "--data-dir")
    assert not (tmp_path / "none").exists()


def test_the_ledger_touches_nothing(history: Path, tmp_path: Path) -> None:
    """Every database is opened so that it takes no write: each file is what it was."""
    books = Books.copied(history, tmp_path / "data")
    before = {file.name: file.read_bytes() for file in books.folder.glob("*.db")}
    for arguments in (("balance",), ("entries", "--account", "losses"), ("statement", "production"), ("check",)):
        assert _ledger(books.folder, *arguments).status == 0
    assert {file.name: file.read_bytes() for file in books.folder.glob("*.db")} == before

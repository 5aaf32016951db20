"""How postings become a trial balance: by the shop's months and days."""

from datetime import datetime

import pytest

from services.finance.ledger.postings import Posting
from services.finance.ledger.report import check_of
from services.finance.ledger.trial import Row, Trial, is_month


def _posting(account: str, amount_fen: int, time: str) -> Posting:
    return Posting(account, amount_fen, "TB1", "TB1-1", "", "E1", "payout.failed", datetime.fromisoformat(time), "", "")


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "2026-1", "26-10", "2026-10-01", "October", "", "2026-10\n"])
def test_what_is_no_month(text: str) -> None:
    """Only a year and a month as four and two digits are one."""
    assert not is_month(text)
    assert is_month("2026-10")


def test_before_in_and_after_a_month() -> None:
    """What was booked before is the opening, what came after is in no figure."""
    trial = Trial("2026-10")
    for time, fen in (("2026-09-30", 100), ("2026-10-05", 30), ("2026-10-06", -50), ("2026-11-01", 7)):
        trial.add([_posting("suspense", fen, f"{time}T12:00:00+08:00")])
    assert trial.balance().rows == [Row("suspense", "", 100, 30, 50, 80)]
    assert not trial.balance().balances


def test_a_day_that_does_not_balance_is_found() -> None:
    """Debits of one day and credits of the next make a sum of 0, and two days that are wrong."""
    trial = Trial()
    trial.add([_posting("suspense", 5, "2026-10-05T23:59:00+08:00"), _posting("bank", -5, "2026-10-06T00:01:00+08:00")])
    report = check_of(trial, 1, 0, [])
    assert [(one.code, one.found_fen) for one in report.breaks] == [("day_unbalanced", 5), ("day_unbalanced", -5)]
    assert report.breaks[0].en.endswith("2026-10-05")
    assert (report.found, report.sound, report.days, report.accounts) == (2, False, 2, 2)

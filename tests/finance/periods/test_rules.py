"""Closing months: by two persons, in order, each once, none before it is over, and only if it balances."""

from datetime import datetime
from typing import Any, cast

import msgspec
import pytest

from contracts.events.finance import AccountSum, PeriodClosed, PeriodPrepared
from contracts.policy import load_policy
from services.finance.domain.books import BOOKS, Books
from services.finance.domain.domain import FinanceDomain
from services.finance.domain.periods import next_month
from services.kernel.decider import Domain
from services.kernel.refusal import Refusal
from tests.finance.signed import Signed

DOMAIN = cast("Domain[Books]", FinanceDomain(load_policy()))
CUT_OFF = "2026-11-03T10:00:00+08:00"
MAKER, CHECKER = "finance/小周", "finance/老钱"


def books(now: str = "2026-12-10T12:00:00+08:00") -> Signed:
    """The books at a time."""
    told = Signed(DOMAIN, BOOKS)
    told.now = datetime.fromisoformat(now)
    return told


def account(code: str, opening: int, debit: int, credit: int, party: str = "") -> AccountSum:
    """An account that begins, moves and ends so."""
    return AccountSum(
        account=code,
        party=party,
        opening_fen=opening,
        debit_fen=debit,
        credit_fen=credit,
        closing_fen=opening + debit - credit,
    )


OCTOBER = (account("promotion", 0, 500, 0), account("channel", 0, 0, 500, "taobao"))
NOVEMBER = (account("promotion", 500, 70, 0), account("channel", -500, 0, 70, "taobao"))


def figures(accounts: tuple[AccountSum, ...] = OCTOBER, **said: Any) -> dict[str, Any]:
    """What the border adds up of a month."""
    counted = {"position": 9, "postings": 2, "late": 0, "first_month": "2026-10"}
    return counted | {"accounts": msgspec.to_builtins(accounts)} | said


def frozen(accounts: tuple[AccountSum, ...] = OCTOBER, **said: Any) -> dict[str, Any]:
    """What it adds up of a month that is to be closed."""
    return figures(accounts) | {"root": "a" * 64, "report": "b" * 64, "cut_off_at": CUT_OFF} | said


def prepare(
    told: Signed, month: str, accounts: tuple[AccountSum, ...] = OCTOBER, who: str = MAKER, **said: Any
) -> list[Any]:
    return told.do("prepare_period", "", who, month=month, figures=figures(accounts, **said))


def close(told: Signed, month: str, accounts: tuple[AccountSum, ...] = OCTOBER, **said: Any) -> list[Any]:
    prepare(told, month, accounts, **said)
    return told.do("close_period", "", CHECKER, month=month, figures=frozen(accounts, **said))


def prepared(who: str = MAKER, **said: Any) -> Signed:
    """Books whose October somebody prepared."""
    told = books()
    prepare(told, "2026-10", who=who, **said)
    return told


def test_a_month_is_frozen_with_what_it_held() -> None:
    """The event has the figures, the position and root of the log, and the hash of the report."""
    told = books()
    [closed] = close(told, "2026-10", late=1)
    assert isinstance(closed, PeriodClosed)
    assert (closed.month, closed.position, closed.root, closed.report) == ("2026-10", 9, "a" * 64, "b" * 64)
    assert (closed.postings, closed.late, closed.accounts) == (2, 1, OCTOBER)
    assert told.file.periods.last == closed
    assert told.file.periods.closed["2026-10"].at == told.now
    assert told.replayed().periods.closed == told.file.periods.closed


def test_what_the_maker_saw_is_kept() -> None:
    """What was prepared, when and by whom, also once the month is closed; the next one is not prepared by it."""
    told = prepared(late=1)
    at = told.now
    seen = told.file.periods.prepared_of("2026-10")
    assert seen is not None
    assert seen.event == PeriodPrepared(month="2026-10", position=9, postings=2, late=1, accounts=OCTOBER)
    assert (seen.at, seen.by) == (at, MAKER)
    told.do("close_period", "", CHECKER, month="2026-10", figures=frozen(late=1))
    assert told.file.periods.prepared_of("2026-10") == seen
    assert told.file.periods.prepared_of("2026-11") is None
    assert told.replayed().periods.closed == told.file.periods.closed


@pytest.mark.parametrize("checker", ["finance/小周", "store_manager/小周"])
def test_nobody_closes_what_they_prepared(checker: str) -> None:
    """A person is their name, whatever role they come in."""
    told = prepared()
    assert told.refusal("close_period", "", checker, month="2026-10", figures=frozen()) == "own_preparation"
    assert told.do("close_period", "", "store_manager/老板", month="2026-10", figures=frozen())


def test_a_month_that_nobody_prepared_is_not_closed() -> None:
    """Neither at first, nor by what was prepared of another month."""
    told = books()
    assert told.refusal("close_period", "", CHECKER, month="2026-10", figures=frozen()) == "period_not_prepared"
    close(told, "2026-10")
    november = frozen(NOVEMBER, position=12)
    assert told.refusal("close_period", "", CHECKER, month="2026-11", figures=november) == "period_not_prepared"


@pytest.mark.parametrize(
    ("accounts", "said"),
    [
        (OCTOBER, {"postings": 4}),
        (OCTOBER, {"late": 1}),
        ((account("promotion", 0, 570, 0), account("channel", 0, 0, 570, "taobao")), {"postings": 4}),
        ((account("promotion", 0, 500, 0), account("channel", 0, 0, 500, "tmall")), {}),
    ],
)
def test_a_month_that_changed_is_prepared_again(accounts: tuple[AccountSum, ...], said: dict[str, Any]) -> None:
    """What the checker closes is what the maker saw; otherwise it says how many postings there were and are."""
    told = prepared()
    with pytest.raises(Refusal) as refused:
        told.do("close_period", "", CHECKER, month="2026-10", figures=frozen(accounts, **said))
    assert refused.value.code == "period_changed"
    assert (refused.value.params["then"], refused.value.params["now"]) == (2, said.get("postings", 2))
    prepare(told, "2026-10", accounts, **said)
    assert told.do("close_period", "", CHECKER, month="2026-10", figures=frozen(accounts, **said))


def test_what_is_not_of_the_month_changes_nothing() -> None:
    """The log may have got further, and accounts may come in another order."""
    told = prepared()
    later = frozen(tuple(reversed(OCTOBER)), position=30)
    [closed] = told.do("close_period", "", CHECKER, month="2026-10", figures=later)
    assert cast("PeriodClosed", closed).position == 30


def test_who_prepares_last_is_the_maker() -> None:
    """The same again by the same person is nothing new; by another one it is, who then does not close it."""
    told = prepared()
    assert prepare(told, "2026-10", position=11) == []
    assert prepare(told, "2026-10", who=CHECKER)
    assert told.refusal("close_period", "", CHECKER, month="2026-10", figures=frozen()) == "own_preparation"
    assert told.do("close_period", "", MAKER, month="2026-10", figures=frozen())


def test_months_of_one_person_stay_closed() -> None:
    """Logs of before two persons were asked for hold months that nobody prepared."""
    told = books()
    event = PeriodClosed(
        month="2026-10", position=9, root="a" * 64, report="b" * 64, postings=2, accounts=OCTOBER, cut_off_at=told.now
    )
    told.given(event)
    assert told.file.periods.closed["2026-10"].prepared is None
    assert close(told, "2026-11", NOVEMBER, position=12)


def test_months_follow_one_upon_the_other() -> None:
    """November after October, with October's closing balances as its opening ones; a month without postings too."""
    told = books("2027-02-01T00:00:00+08:00")
    close(told, "2026-10")
    close(told, "2026-11", NOVEMBER, position=12)
    still = tuple(account(one.account, one.closing_fen, 0, 0, one.party) for one in NOVEMBER)
    close(told, "2026-12", still, postings=0)
    assert told.file.periods.positions == [("2026-10", 9), ("2026-11", 12), ("2026-12", 9)]


@pytest.mark.parametrize(("month", "after"), [("2026-10", "2026-11"), ("2026-12", "2027-01"), ("2026-01", "2026-02")])
def test_the_month_after(month: str, after: str) -> None:
    """Years turn after December."""
    assert next_month(month) == after


@pytest.mark.parametrize(
    ("closed", "month", "said", "code"),
    [
        ((), "2026-12", {}, "month_not_over"),
        ((), "2027-05", {}, "month_not_over"),
        ((), "2026-09", {}, "nothing_posted"),
        ((), "2026-10", {"first_month": ""}, "nothing_posted"),
        ((), "2026-11", {}, "earlier_month_open"),
        (("2026-10",), "2026-10", {}, "period_closed"),
        (("2026-10",), "2026-09", {}, "period_closed"),
        (("2026-09",), "2026-11", {}, "earlier_month_open"),
    ],
)
def test_what_cannot_be_closed(closed: tuple[str, ...], month: str, said: dict[str, Any], code: str) -> None:
    """What is not over, closed already, before anything was posted, or behind an open month; nothing changes."""
    told = books()
    for one in closed:
        close(told, one, first_month=one)
    assert told.refusal("prepare_period", "", month=month, figures=figures(**said)) == code
    assert told.refusal("close_period", "", month=month, figures=frozen(**said)) == code


def test_a_month_ends_by_the_shops_clock() -> None:
    """At midnight in Shanghai, not eight hours later."""
    told = books("2026-10-31T15:58:00+00:00")
    assert told.refusal("prepare_period", "", month="2026-10", figures=figures()) == "month_not_over"
    told.now = datetime.fromisoformat("2026-10-31T15:59:00+00:00")
    assert close(told, "2026-10")


@pytest.mark.parametrize(
    "accounts",
    [
        (account("promotion", 0, 500, 0), account("channel", 0, 0, 499, "taobao")),
        (account("promotion", 1, 500, 0), account("channel", 0, 0, 500, "taobao")),
    ],
)
def test_books_that_do_not_balance_are_not_closed(accounts: tuple[AccountSum, ...]) -> None:
    """One fen between debits and credits, or in what the accounts began with, is enough."""
    assert books().refusal("prepare_period", "", month="2026-10", figures=figures(accounts)) == "books_unbalanced"
    told = prepared()
    assert told.refusal("close_period", "", month="2026-10", figures=frozen(accounts)) == "books_unbalanced"


@pytest.mark.parametrize(
    "accounts",
    [
        (account("promotion", 499, 70, 0), account("channel", -499, 0, 70, "taobao")),
        (account("promotion", 500, 0, 0), account("channel", -500, 0, 0, "tmall")),
        (),
    ],
)
def test_a_month_begins_as_the_one_before_ended(accounts: tuple[AccountSum, ...]) -> None:
    """Else what was frozen is not what the books hold: that is found out before the next month is closed."""
    told = books()
    close(told, "2026-10")
    with pytest.raises(Refusal) as refused:
        close(told, "2026-11", accounts)
    assert refused.value.code == "opening_differs"
    assert refused.value.params["month"] == "2026-10"


@pytest.mark.parametrize("month", ["2026-13", "2026-00", "2026-1", "202610", "2026-10-05", "2026-10\n", "十月", ""])
def test_what_is_no_month(month: str) -> None:
    """Only a year and a month, as four and two digits."""
    assert books().refusal("prepare_period", "", month=month, figures=figures()) == "invalid"
    assert books().refusal("close_period", "", month=month, figures=frozen()) == "invalid"


def test_a_time_without_its_zone_is_no_time() -> None:
    """When the figures were added up is a moment, the same one for every reader."""
    said = frozen(cut_off_at="2026-11-03T10:00:00")
    assert prepared().refusal("close_period", "", month="2026-10", figures=said) == "invalid"


@pytest.mark.parametrize("who", ["agent/小李", "team_lead/老陈", "warehouse/阿强", "service/erp"])
def test_who_may(who: str) -> None:
    """Finance and the store manager prepare and close, nobody else does either."""
    assert books().refusal("prepare_period", "", who, month="2026-10", figures=figures()) == "forbidden"
    assert prepared().refusal("close_period", "", who, month="2026-10", figures=frozen()) == "forbidden"
    told = prepared("store_manager/老板")
    assert told.do("close_period", "", CHECKER, month="2026-10", figures=frozen())

"""Deposits and payments that go back to the buyer (`domain.md` §3)."""

from contracts.events import cases as c
from tests.given import came_back
from tests.refunds.facts import authorised, collected, requested, story, succeeded

D1 = requested("deposit_return", "D1", 10_000)
CANCELLED = c.ReturnCancelled(case_id="TB1-1", return_id="RT2", reason="买家不寄了")


def test_deposit_goes_back_with_the_old_goods() -> None:
    """The deposit is returned in full once the old goods are accepted, and once only."""
    told = story().given(authorised())
    assert told.hear(collected()) == []
    assert told.hear(came_back()) == [D1]
    assert told.do(
        "confirm_payout", "TB1-1", payout="TB1-1:deposit_return:D1", status="succeeded", channel_ref="CH-1"
    ) == [succeeded("deposit_return", "D1", 10_000)]


def test_deposit_stays_when_goods_are_not_accepted() -> None:
    """Wrong or short goods bring no deposit back; the return after them does."""
    told = story().given(collected(), authorised())
    assert told.hear(came_back(accepted=False)) == []
    told.given(authorised("RT2"))
    assert told.hear(came_back("RT2")) == [D1]


def test_the_last_return_decides() -> None:
    """With another return under way the deposit waits for that one."""
    told = story().given(authorised("RT1"), authorised("RT2"), collected())
    assert told.hear(came_back("RT1")) == []
    assert told.hear(came_back("RT2")) == [D1]


def test_cancelled_return_decides_nothing() -> None:
    """When the last return is cancelled, the accepted one before it brings the deposit back."""
    told = story().given(authorised("RT1"), authorised("RT2"), collected(), came_back("RT1"))
    assert told.hear(CANCELLED) == [D1]


def test_deposit_paid_after_acceptance() -> None:
    """A deposit that comes in after the goods were accepted goes back at once."""
    assert story().given(authorised(), came_back()).hear(collected()) == [D1]


def test_no_return_no_deposit() -> None:
    """Without any return the deposit stays."""
    assert story().hear(collected()) == []


def test_forfeited_deposit_stays() -> None:
    """A forfeited deposit never goes back; another one does."""
    told = story().given(
        collected("D1"),
        c.DepositForfeited(case_id="TB1-1", deposit="D1", amount_fen=10_000, reason="旧货未寄回"),
        collected("D2", 5_000),
        authorised(),
    )
    assert told.hear(came_back()) == [requested("deposit_return", "D2", 5_000)]


def test_cancelled_sale_is_paid_back() -> None:
    """Cancelling what the buyer paid for pays that back; cancelling a free reshipment pays nothing."""
    told = story()
    assert told.hear(c.ReshipmentCancelled(case_id="TB1-1", reshipment="R1")) == []
    sale = c.ReshipmentCancelled(case_id="TB1-1", reshipment="R2", charge="B1", charge_return_fen=1_500)
    assert told.hear(sale) == [requested("charge_return", "B1", 1_500)]

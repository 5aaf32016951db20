"""What a refund comes to (`domain.md` §4)."""

from typing import Any

import pytest

from contracts.event import Event
from contracts.events import refunds as r
from tests.given import Story, came_back, compensated, line, opened, order
from tests.refunds.facts import (
    DOMAIN,
    asked,
    authorised,
    insurance,
    reimbursed,
    requested,
    story,
    succeeded,
    updated,
)


def figures(event: r.RefundCalculated) -> tuple[int, int, int, int, int]:
    """Goods, cash deducted, price difference deducted, refund, carried."""
    return (
        event.goods_fen,
        event.compensation_deducted_fen,
        event.price_difference_deducted_fen,
        event.refund_fen,
        event.carried_deduction_fen,
    )


def calculated(events: list[Event]) -> r.RefundCalculated:
    """The one calculation among the events."""
    (found,) = [event for event in events if isinstance(event, r.RefundCalculated)]
    return found


def test_worked_example() -> None:
    """The worked example of §4 holds to the fen, event by event."""
    told = story(line(quantity=2, paid_fen=259_800), insured=True).given(
        compensated(2_000),
        compensated(500, kind="good_review_reward", proposal="P2"),
        authorised(),
    )
    freight: dict[str, Any] = {"freight_advanced_fen": 1_500, "freight_pending": True}
    assert told.hear(came_back(freight_fen=1_500)) == [updated(**freight)]
    first = r.RefundedLine(
        line_id="L1",
        quantity=1,
        kind="product",
        unit_cost_fen=60_000,
        goods_fen=129_900,
        compensation_deducted_fen=2_000,
        price_difference_deducted_fen=0,
        refund_fen=127_900,
    )
    deduction = r.Deduction(case_id="TB1-1", proposal="P1", line_id="L1", kind="cash", amount_fen=2_000)
    assert told.hear(asked()) == [
        r.RefundCalculated(
            case_id="TB1-1",
            refund="F1",
            lines=(first,),
            deductions=(deduction,),
            goods_fen=129_900,
            compensation_deducted_fen=2_000,
            price_difference_deducted_fen=0,
            refund_fen=127_900,
            carried_deduction_fen=0,
        ),
        requested("refund", "F1", 127_900),
        updated(goods_fen=129_900, compensation_deducted_fen=2_000, refund_fen=127_900, net_fen=127_900, **freight),
    ]
    assert told.hear(insurance(1_200)) == [
        requested("freight_reimbursement", "RT1", 300),
        updated(
            goods_fen=129_900,
            compensation_deducted_fen=2_000,
            refund_fen=127_900,
            freight_advanced_fen=1_500,
            insurance_deducted_fen=1_200,
            freight_reimbursed_fen=300,
            net_fen=128_200,
        ),
    ]
    assert told.do(
        "confirm_payout",
        "TB1-1",
        payout="TB1-1:freight_reimbursement:RT1",
        status="succeeded",
        channel_ref="CH-1",
    ) == [succeeded("freight_reimbursement", "RT1", 300), reimbursed(1_500, 1_200)]
    told.given(authorised("RT2"), came_back("RT2"))
    second = calculated(told.hear(asked("F2")))
    assert figures(second) == (129_900, 0, 0, 129_900, 0)
    assert second.deductions == ()
    assert told.file.cases["TB1-1"].settlement.net_fen == 128_200 + 129_900


def test_settled_by_success() -> None:
    """A refund is settled with its lines and deductions once the payout succeeded, and never before."""
    told = story().given(compensated(2_000))
    result = calculated(told.hear(asked()))
    assert told.do("confirm_payout", "TB1-1", payout="TB1-1:refund:F1", status="succeeded", channel_ref="CH-1") == [
        succeeded("refund", "F1", 127_900),
        r.RefundSettled(
            case_id="TB1-1", refund="F1", refund_fen=127_900, lines=result.lines, deductions=result.deductions
        ),
    ]


def test_nothing_to_pay_settles_at_once() -> None:
    """A refund that deductions use up makes no payout and is settled in the same step."""
    told = story(line(paid_fen=2_000)).given(compensated(2_000))
    events = told.hear(asked())
    assert [type(event) for event in events] == [r.RefundCalculated, r.RefundSettled, r.SettlementUpdated]
    assert told.file.payouts == {}
    assert told.hear(authorised()) == []


@pytest.mark.parametrize(
    ("paid_fen", "quantity", "worth"),
    [(100_000, 3, [33_333, 33_333, 33_334]), (2, 3, [0, 1, 1]), (10, 4, [2, 3, 2, 3]), (0, 2, [0, 0])],
)
def test_units_sum_to_the_line(paid_fen: int, quantity: int, worth: list[int]) -> None:
    """Units refunded one by one are worth exactly what the line was paid, whatever the rounding."""
    told = story(line(quantity=quantity, paid_fen=paid_fen))
    refunds = [calculated(told.hear(asked(f"F{n}"))).goods_fen for n in range(1, quantity + 1)]
    assert refunds == worth


def test_cash_before_price_difference() -> None:
    """Cash is deducted first, the price difference from what remains, and the rest is carried."""
    told = story(line(quantity=3, paid_fen=3_000)).given(
        compensated(700, kind="price_difference", proposal="P1"), compensated(600, proposal="P2")
    )
    assert figures(calculated(told.hear(asked("F1")))) == (1_000, 600, 400, 0, 300)
    assert figures(calculated(told.hear(asked("F2")))) == (1_000, 0, 300, 700, 0)
    assert figures(calculated(told.hear(asked("F3")))) == (1_000, 0, 0, 1_000, 0)


def test_carry_goes_to_the_next_refund() -> None:
    """What one unit cannot bear is carried to the line's next refund; the settlement shows what the last one left."""
    told = story(line(quantity=2, paid_fen=2_000)).given(compensated(1_500))
    told.hear(asked("F1"))
    assert told.file.cases["TB1-1"].settlement.carried_deduction_fen == 500
    told.hear(asked("F2"))
    assert told.file.cases["TB1-1"].settlement == r.Settlement(
        goods_fen=2_000, compensation_deducted_fen=1_500, refund_fen=500, net_fen=500
    )


def test_carry_of_several_lines() -> None:
    """Carry is per line: refunding another line leaves the first line's carry in the settlement."""
    told = story(line("L1", 2, 2_000), line("L2", 1, 5_000)).given(compensated(1_500))
    told.hear(asked("F1", L1=1))
    told.hear(asked("F2", L2=1))
    assert told.file.cases["TB1-1"].settlement.carried_deduction_fen == 500


@pytest.mark.parametrize("kind", ["voucher", "good_review_reward"])
def test_never_deducted(kind: str) -> None:
    """Vouchers and good-review rewards stay with the buyer."""
    told = story().given(compensated(1_000, kind=kind))
    assert figures(calculated(told.hear(asked()))) == (129_900, 0, 0, 129_900, 0)


def test_first_paid_first_deducted_across_cases() -> None:
    """Within a line and kind what was paid first is deducted first, and each part names the case that had paid it."""
    told = story(line(quantity=4, paid_fen=4_000)).given(
        opened("TB1-2"),
        compensated(700, case_id="TB1-2", proposal="P1"),
        compensated(800, case_id="TB1-1", proposal="P1"),
    )
    first = calculated(told.hear(asked("F1", "TB1-1")))
    assert [(part.case_id, part.amount_fen) for part in first.deductions] == [("TB1-2", 700), ("TB1-1", 300)]
    second = calculated(told.hear(asked("F1", "TB1-2")))
    assert [(part.case_id, part.amount_fen) for part in second.deductions] == [("TB1-1", 500)]
    assert told.file.cases["TB1-1"].settlement.carried_deduction_fen == 500  # as after its own last refund


def test_lines_are_kept_apart() -> None:
    """Compensation is deducted from the lines it was allocated to only; a refund sums its lines."""
    told = story(line("L1", 1, 1_000), line("L2", 1, 3_000), line("S1", 1, 500, 0, "service")).given(
        compensated(1_000, L1=250, L2=750)
    )
    assert figures(calculated(told.hear(asked("F1", S1=1)))) == (500, 0, 0, 500, 0)
    both = calculated(told.hear(asked("F2", L1=1, L2=1)))
    assert figures(both) == (4_000, 1_000, 0, 3_000, 0)
    assert [(part.line_id, part.goods_fen, part.refund_fen) for part in both.lines] == [
        ("L1", 1_000, 750),
        ("L2", 3_000, 2_250),
    ]
    assert [(part.line_id, part.amount_fen) for part in both.deductions] == [("L1", 250), ("L2", 750)]


def test_compensation_after_the_refund_is_for_the_next() -> None:
    """Only compensation paid before the request is deducted; what comes later waits for the line's next refund."""
    told = story(line(quantity=2, paid_fen=2_000))
    told.hear(asked("F1"))
    assert told.hear(compensated(300)) == []
    assert figures(calculated(told.hear(asked("F2")))) == (1_000, 300, 0, 700, 0)


def test_channel_refund() -> None:
    """The refund names the channel's own refund, which the case was opened for."""
    told = Story(DOMAIN).given(order(), opened(channel_refund_id="TBR-9"))
    assert requested("refund", "F1", 129_900, channel_refund_id="TBR-9") in told.hear(asked())


def test_refund_waits_for_the_order() -> None:
    """A refund that is asked for before the order is known is calculated when it is, in order of requests."""
    told = Story(DOMAIN).given(opened("TB1-1"), opened("TB1-2"))
    assert told.hear(asked("F1", "TB1-2")) == told.hear(asked("F1", "TB1-1")) == []
    events = told.hear(order(line(quantity=3, paid_fen=100_000), line("L2")))
    worth = [(event.case_id, event.goods_fen) for event in events if isinstance(event, r.RefundCalculated)]
    assert worth == [("TB1-2", 33_333), ("TB1-1", 33_333)]
    assert set(told.file.payouts) == {"TB1-2:refund:F1", "TB1-1:refund:F1"}


def test_new_snapshot_keeps_what_was_paid() -> None:
    """Once there is a case, a later snapshot changes no price that refunds are made by; before, it does."""
    told = Story(DOMAIN).given(order(), order(line(paid_fen=100_000)), opened(), order(line(paid_fen=50_000)))
    assert calculated(told.hear(asked())).goods_fen == 100_000


def test_all_zero_is_not_told() -> None:
    """A case that owes nothing has no settlement to tell."""
    assert story().given(authorised()).hear(came_back(freight_fen=0)) == []

"""What is a loss, of which case, and what is none (`domain.md` §5)."""

from typing import Any

import pytest

from contracts.event import Event
from contracts.events import cases as c
from contracts.events import refunds as r
from tests.given import Story, came_back, compensated, opened
from tests.liability.facts import DOMAIN, LEAD, amounts, assessed, charged, entry, refunded, settled, shares, story

CASE = {"case_id": "TB1-1"}
PAYOUT: dict[str, Any] = {**CASE, "item": "X", "amount_fen": 1_500, "channel_ref": "CH-1"}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (compensated(2_000), [("cash", 2_000)]),
        (compensated(2_000, "voucher"), [("voucher", 2_000)]),
        (compensated(2_000, "price_difference"), [("price_difference", 2_000)]),
        (compensated(500, "good_review_reward"), []),
        (c.PickupArranged(**CASE, freight_fen=1_200), [("pickup_freight", 1_200)]),
        (c.PickupArranged(**CASE, freight_fen=0), []),
        (
            c.ReshipmentShipped(
                **CASE,
                reshipment="R1",
                carrier="YTO",
                tracking_no="YT1",
                freight_fen=600,
                goods_cost_fen=800,
                items=(c.ReshipmentItem(sku="SCREW", quantity=2, unit_cost_fen=400),),
            ),
            [("reshipment", 1_400)],
        ),
        (c.BuyerPaid(**CASE, charge="B1", amount_fen=1_500, payment_ref="ALI"), [("buyer_payment", -1_500)]),
        (c.DepositForfeited(**CASE, deposit="D1", amount_fen=10_000, reason="x"), [("deposit_forfeited", -10_000)]),
        (came_back(units=2), [("goods_returned", -120_000)]),
        (came_back(units=2, resalable=False), []),
        (came_back(units=2, accepted=False), []),
        (
            r.ReturnFreightReimbursed(
                **CASE, return_id="RT1", freight_advanced_fen=1_500, insurance_deducted_fen=1_200, amount_fen=300
            ),
            [("return_freight", 300)],
        ),
        (
            r.ReturnFreightReimbursed(
                **CASE, return_id="RT1", freight_advanced_fen=900, insurance_deducted_fen=900, amount_fen=0
            ),
            [],
        ),
        (settled(refunded(2, 60_000)), [("goods", 120_000)]),
        (settled(refunded(1, 9_000, "service")), []),
        (settled(refunded(1, 9_000, "service"), refunded(1, 500, "accessory")), [("goods", 500)]),
        (settled(refunded(1, 60_000), TB1_1=2_000), [("goods", 60_000), ("deduction", -2_000)]),
        (r.PayoutSucceeded(**PAYOUT, payout="P", kind="charge_return"), [("charge_return", 1_500)]),
        (r.PayoutSucceeded(**PAYOUT, payout="P", kind="refund"), []),
        (r.PayoutSucceeded(**PAYOUT, payout="P", kind="deposit_return"), []),
        (r.PayoutSucceeded(**PAYOUT, payout="P", kind="freight_reimbursement"), []),
    ],
)
def test_entries(event: Event, expected: list[tuple[str, int]]) -> None:
    """Each term of §5 is one entry, from one fact; what is no loss leaves none, and in suspense nobody is charged."""
    told = story()
    events = told.hear(event)
    assert [(kind, amount_fen) for _, kind, amount_fen in amounts(events)] == expected
    assert len(events) == len(expected)
    case = told.file.cases["TB1-1"]
    assert case.net_fen == case.suspense_fen == sum(amount_fen for _, amount_fen in expected)


def test_partly_resalable() -> None:
    """Of what came back only the resalable units are a credit."""
    event = c.ReturnReceived(
        case_id="TB1-1",
        return_id="RT1",
        accepted=True,
        lines=(
            c.ReceivedLine(line_id="L1", quantity=1, resalable=True, unit_cost_fen=60_000),
            c.ReceivedLine(line_id="L1", quantity=1, resalable=False, unit_cost_fen=60_000),
        ),
        freight_fen=0,
        freight_borne_by="merchant",
    )
    assert amounts(story().hear(event)) == [("TB1-1", "goods_returned", -60_000)]


def test_entry_names_its_cause() -> None:
    """An entry leads back to the very event that it comes from."""
    told = story()
    heard = told.hear(compensated(2_000))
    assert heard == [entry("cash", 2_000, heard[0].cause_id)]  # type: ignore[attr-defined]
    assert heard[0].cause_id.startswith("cases-")  # type: ignore[attr-defined]
    assert told.file.cases["TB1-1"].entries == heard


def test_deduction_credits_the_case_that_paid() -> None:
    """What another case had paid is that case's credit, and its party is charged less at once."""
    told = story().given(
        opened("TB1-2"),
        assessed("warehouse", case_id="TB1-2"),
        compensated(2_000, case_id="TB1-2"),
        assessed("production"),
        compensated(300),
    )
    events = told.hear(settled(refunded(1, 60_000), TB1_2=1_500, TB1_1=300))
    assert amounts(events) == [
        ("TB1-1", "goods", 60_000),
        ("TB1-2", "deduction", -1_500),
        ("TB1-1", "deduction", -300),
    ]
    assert told.file.cases["TB1-1"].charged == {"production": 60_000}
    assert told.file.cases["TB1-2"].charged == {"warehouse": 500}


def test_refund_heard_before_the_case() -> None:
    """Topics are not ordered against each other: entries may precede the case, commands may not."""
    told = Story(DOMAIN)
    assert amounts(told.hear(settled(refunded(1, 60_000)))) == [("TB1-1", "goods", 60_000)]
    body = {"shares": shares(warehouse=10_000), "reason": "仓库"}
    assert told.refusal("assign_liability", "TB1-1", LEAD, **body) == "unknown_case"
    assert told.hear(opened()) == []
    assert told.do("assign_liability", "TB1-1", LEAD, **body)[1:] == [charged("warehouse", 60_000)]


def test_exchange_with_resalable_goods() -> None:
    """An exchange loses the new goods less the old ones where these can be sold again."""
    told = story().given(
        c.ReshipmentShipped(
            case_id="TB1-1",
            reshipment="R1",
            carrier="YTO",
            tracking_no="YT1",
            freight_fen=1_600,
            goods_cost_fen=60_000,
            items=(),
        ),
        came_back(),
    )
    assert told.file.cases["TB1-1"].net_fen == 1_600


def test_cancelled_sale_undoes_the_credit() -> None:
    """What the buyer paid is a credit until it is paid back."""
    told = story().given(c.BuyerPaid(case_id="TB1-1", charge="B1", amount_fen=1_500, payment_ref="ALI"))
    assert told.file.cases["TB1-1"].net_fen == -1_500
    told.hear(r.PayoutSucceeded(**PAYOUT, payout="P", kind="charge_return"))
    assert told.file.cases["TB1-1"].net_fen == 0

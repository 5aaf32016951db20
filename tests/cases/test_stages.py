"""What is to be done next in a case, and the numbers by which it is found."""

from collections.abc import Callable

import pytest

from contracts.event import free_texts
from services.cases.domain.stages import QUEUES, STAGES, stages
from services.cases.views import CasesViews
from tests.cases.shop import AGENT, FINANCE, LEAD, ONE, PHOTO, POLICY, Shop


def _offer(shop: Shop, amount_fen: int = 500) -> str:
    shop.photo()
    return shop.offer(amount_fen)


def _agreed(shop: Shop) -> None:
    shop.do("record_buyer_reply", proposal=_offer(shop), accepted=True)


def _agreed_above_authority(shop: Shop) -> None:
    shop.do("record_buyer_reply", proposal=_offer(shop, 5_000), accepted=True)


def _approved(shop: Shop) -> None:
    _agreed_above_authority(shop)
    shop.do("approve", LEAD, proposal="P1")


def _paid(shop: Shop) -> None:
    shop.pay(_offer(shop))


def _declined(shop: Shop) -> None:
    shop.do("record_buyer_reply", proposal=_offer(shop), accepted=False)


def _deposit(shop: Shop) -> None:
    shop.do("request_deposit")


def _deposit_in(shop: Shop) -> None:
    _deposit(shop)
    shop.do("record_deposit", FINANCE, payment_ref="ALI-D1")


def _returning(shop: Shop) -> None:
    shop.photo()
    shop.authorise()


def _returned(shop: Shop) -> None:
    _returning(shop)
    shop.send_back()


def _inspected(shop: Shop) -> None:
    _returned(shop)
    shop.receive()


def _refused(shop: Shop) -> None:
    _returned(shop)
    shop.receive(accepted=False)


def _inspected_and_replaced(shop: Shop) -> None:
    _inspected(shop)
    shop.reship()


def _inspected_and_refunded(shop: Shop) -> None:
    _inspected(shop)
    shop.refund()


def _answered(shop: Shop) -> None:
    shop.do("assign_case", to="小李")


def _reshipped(shop: Shop, trigger: str = "now") -> None:
    shop.photo()
    shop.reship(trigger=trigger)


def _backordered(shop: Shop) -> None:
    shop.do("report_stock", "warehouse/西仓", sku="SKU-L1", quantity=0)
    _reshipped(shop)


def _shipped(shop: Shop) -> None:
    _reshipped(shop)
    shop.ship()


@pytest.mark.parametrize(
    ("happened", "found"),
    [
        (lambda shop: None, [("first_answer_due", "")]),
        (_answered, []),
        (lambda shop: shop.do("submit_evidence", **PHOTO), [("evidence_to_review", "E1")]),
        (_offer, [("reply_awaited", "P1")]),
        (lambda shop: _offer(shop, 5_000), [("approval_awaited", "P1")]),
        (_agreed_above_authority, [("approval_awaited", "P1")]),
        (_approved, [("compensation_to_pay", "P1")]),
        (_agreed, [("compensation_to_pay", "P1")]),
        (_declined, []),
        (_paid, [("cause_to_assess", "")]),
        (_deposit, [("deposit_awaited", "D1")]),
        (_deposit_in, []),
        (_returning, [("return_awaited", "RT1")]),
        (_returned, [("return_to_inspect", "RT1")]),
        (_inspected, [("cause_to_assess", ""), ("return_to_settle", "RT1")]),
        (_inspected_and_replaced, [("cause_to_assess", ""), ("reshipment_released", "R1")]),
        (_inspected_and_refunded, [("cause_to_assess", "")]),
        (_refused, []),
        (lambda shop: _reshipped(shop, "on_receipt"), [("reshipment_awaited", "R1")]),
        (_backordered, [("reshipment_backordered", "R1")]),
        (_reshipped, [("reshipment_released", "R1")]),
        (_shipped, [("cause_to_assess", ""), ("reshipment_under_way", "R1")]),
        (
            lambda shop: shop.payout("refund", "F1", "requested"),
            [("first_answer_due", ""), ("payout_under_way", f"{ONE}:refund:F1")],
        ),
        (
            lambda shop: shop.payout("refund", "F1", "failed"),
            [("first_answer_due", ""), ("payout_failed", f"{ONE}:refund:F1")],
        ),
        (
            lambda shop: shop.payout("refund", "F1", "unknown"),
            [("first_answer_due", ""), ("payout_unknown", f"{ONE}:refund:F1")],
        ),
        (lambda shop: shop.payout("refund", "F1"), [("first_answer_due", "")]),
        (lambda shop: (shop.do("submit_evidence", **PHOTO), shop.close()), []),
    ],
)
def test_what_is_next(happened: Callable[[Shop], object], found: list[tuple[str, str]]) -> None:
    """Each step of a case is on the list of whoever does the next one, and off it once that is done or it is closed. A
    case that nobody answered, a loss that nobody explained, and goods that came back without anything for them are
    never without a next step."""
    shop = Shop()
    shop.open()
    happened(shop)
    assert list(stages(shop.case())) == found
    assert {stage for stage, _ in found} <= set(STAGES)


def test_a_charge_waits_for_the_buyer() -> None:
    """What the buyer is to pay is awaited until it is paid."""
    shop = Shop()
    shop.open("scratch_after_use")
    shop.photo()
    shop.do("assess_cause", cause="human_caused", in_warranty=False)
    shop.do("charge_buyer", amount_fen=5_000, purpose="换新")
    assert list(stages(shop.case())) == [("payment_awaited", "B1")]
    shop.do("record_buyer_payment", FINANCE, payment_ref="ALI-B1")
    assert list(stages(shop.case())) == []


def test_every_stage_has_a_name() -> None:
    """A list is called the same everywhere, in both languages."""
    assert set(QUEUES) < set(STAGES)
    for stage in STAGES:
        assert POLICY.texts.terms[stage].zh
        assert POLICY.texts.terms[stage].en


def _numbers(shop: Shop) -> set[tuple[str, str, str, str, str]]:
    file = shop.order
    rows = CasesViews().event_rows(file, dict.fromkeys(file.references, 1))["reference_view"]
    return {(row["kind"], row["number"], row["case_id"], row["item"], row["stage"]) for row in rows}


def test_numbers_that_a_case_is_found_by() -> None:
    """Order, case, refund of the channel, articles, parcels and payments, each with the item it is about; a parcel of a
    return says that it is to be inspected, until it was."""
    shop = Shop()
    shop.open("logistics_delay", channel_refund_id="CR-7")
    shop.do("trace_parcel", tracking_no="YT0", status="在途")
    shop.do("reclassify", problem="wrong_product")
    _returned(shop)
    found = {
        ("order", "TB1", "", "", ""),
        ("case", ONE, ONE, "", ""),
        ("channel_refund_id", "CR-7", ONE, "", ""),
        ("sku", "SKU-L1", ONE, "", ""),
        ("waybill", "YT0", ONE, "", ""),
        ("waybill", "Z1", ONE, "RT1", "return_to_inspect"),
    }
    assert _numbers(shop) == found
    shop.receive()
    shop.give(500)
    shop.payout("refund", "F1", "requested")
    assert ("waybill", "Z1", ONE, "RT1", "") in _numbers(shop)
    assert ("payment_ref", f"ALI-{ONE}-P1", ONE, "P1", "") in _numbers(shop)
    assert ("payout", f"{ONE}:refund:F1", ONE, f"{ONE}:refund:F1", "") in _numbers(shop)


def test_what_people_wrote_is_no_number() -> None:
    """No free text of any event is among the numbers, so nothing of it is found, before or after it was erased."""
    shop = Shop()
    shop.open("logistics_delay")
    shop.do("trace_parcel", tracking_no="YT0", status="买家电话 139", note="备注")
    shop.do("escalate", AGENT, role="team_lead", reason="着急")
    written = {text for facts in shop.told.values() for fact in facts for text in free_texts(fact.event).values()}
    assert len(written) >= 4
    assert not written & {number for _, number, *_ in _numbers(shop)}

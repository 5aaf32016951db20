"""How cases go: one function a kind, which writes down the steps of one; together they are a shop's after-sales.

Each assesses the cause before money moves, so that no loss waits in suspense unless that is the fault planted.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from contracts.events.refunds import payout_id
from services.sample.steps import (
    CASHIER,
    GATEWAY,
    INSURER,
    LEAD,
    LOGISTICS,
    MANAGER,
    WAREHOUSE,
    Writer,
)

_CARRIERS: Final = ("ZTO", "YTO", "STO", "JD")
_AGENT_LIMIT, _LEAD_LIMIT = 2_000, 10_000


# -- what stories are made of


def _open(w: Writer, problem: str, said: str, **fields: Any) -> None:
    w.do("open_case", order_id=w.order_id, problem=problem, description=said, **fields)
    # Mostly within the two hours that were promised.
    w.after(0.5, 1.5 if w.rng.random() < 0.95 else 5)


def _seen(w: Writer) -> None:
    w.do("submit_evidence", kind="photo", file={"generate": "photo"})
    w.do("review_evidence", evidence="E1", accepted=True)


def _cause(w: Writer, cause: str, **fields: Any) -> None:
    w.do("assess_cause", cause=cause, **fields)


def _compensated(w: Writer, kind: str, amount_fen: int, proposal: str = "P1", ref: str = "") -> None:
    """Offered, approved where it must be, agreed and paid."""
    w.do("propose_compensation", kind=kind, amount_fen=amount_fen)
    if kind != "good_review_reward" and amount_fen > _AGENT_LIMIT:
        w.after(0.5, 3)
        w.do("approve", LEAD if amount_fen <= _LEAD_LIMIT else MANAGER, proposal=proposal)
    w.after(0.5, 8)
    w.do("record_buyer_reply", proposal=proposal, accepted=True)
    w.after(0.5, 6)
    by = CASHIER if amount_fen > _AGENT_LIMIT else w.agent
    w.do("pay_compensation", by, proposal=proposal, payment_ref=ref or w.number("BC"), of=w.order_id)


def _paid_out(w: Writer, kind: str, item: str, of: str = "") -> None:
    """A payout is confirmed: mostly at once by the gateway, else by hand; some fail before, and are tried again; some
    are split."""
    payout = payout_id(w.case_id, kind, item)
    dice = w.rng.random()
    if dice < 0.04:
        w.after(0.5, 1)
        w.do("confirm_payout", GATEWAY, payout=payout, status="failed", of=of or w.order_id)
        w.after(1, 20)
        w.do("retry_payout", CASHIER, payout=payout)
    if dice > 0.97:
        w.at_midnight()
    else:
        w.after(0.5, 2 if dice < 0.82 else 8)
    by = GATEWAY if dice < 0.82 else CASHIER
    split = 0.82 <= dice < 0.86 and not of
    paid_as = [w.number("SG"), w.number("SH")] if split else []
    w.do("confirm_payout", by, of=of or w.order_id, paid_as=paid_as, payout=payout, status="succeeded")


def _paid_together(w: Writer, *payouts: tuple[str, str]) -> None:
    """Payouts of a case that somebody pays in one, by hand."""
    w.after(0.5, 8)
    number = w.number("SG")
    for kind, item in payouts:
        payout = payout_id(w.case_id, kind, item)
        w.do("confirm_payout", CASHIER, of=w.order_id, paid_as=[number], payout=payout, status="succeeded")


def _sent_back(w: Writer, freight_fen: int, *, resalable: bool = True, quantity: int = 1) -> None:
    w.after(12, 60)
    w.do("ship_return", carrier=w.rng.choice(_CARRIERS), tracking_no=w.number("ZT"), freight_fen=freight_fen)
    w.after(48, 120)
    line = {"line_id": "L1", "quantity": quantity, "resalable": resalable}
    w.do("receive_return", WAREHOUSE, accepted=True, lines=[line])


def _sent_out(w: Writer, reshipment: str, freight_fen: int) -> None:
    w.after(4, 26)
    carrier = str(w.order["carrier"])
    number = w.number("YT")
    w.do(
        "ship_reshipment",
        WAREHOUSE,
        reshipment=reshipment,
        carrier=carrier,
        tracking_no=number,
        freight_fen=freight_fen,
    )
    w.after(30, 90)
    w.do("confirm_delivery", LOGISTICS, reshipment=reshipment)


def _closed(w: Writer, resolution: str) -> None:
    w.after(2, 24)
    w.do("close_case", resolution=resolution)
    if w.rng.random() < 0.4:
        w.after(2, 40)
        w.do("rate", "service/app", score=w.rng.choice((5, 5, 5, 4, 4, 3, 1)))


def _recovered(w: Writer, party: str, amount_fen: int) -> None:
    if amount_fen > 0 and w.rng.random() < 0.7:
        w.after(24 * 4, 24 * 15)
        w.do("record_recovery", CASHIER, party=party, amount_fen=amount_fen, payment_ref=w.number("CL"))


def _lock(w: Writer) -> Mapping[str, Any]:
    """The first line of the order."""
    line: Mapping[str, Any] = w.order["lines"][0]
    return line


def _unit_fen(w: Writer) -> int:
    return int(_lock(w)["paid_fen"]) // int(_lock(w)["quantity"])


def _small(w: Writer, least: int, most: int) -> int:
    """An amount of compensation: mostly whole yuan."""
    return w.rng.randrange(least, most + 1, 100) + (w.rng.randrange(100) if w.rng.random() < 0.1 else 0)


# -- the stories


def guided(w: Writer) -> None:
    """A question about the installation; some get a reward for a good review."""
    _open(w, "installation_help", "不会安装,求指导")
    w.do("give_guidance", topic="安装视频")
    if w.rng.random() < 0.2:
        _compensated(w, "good_review_reward", w.rng.choice((300, 500, 800, 1000)))
    _closed(w, "已指导安装")


def delayed(w: Writer) -> None:
    """A late parcel, and some money for it."""
    _open(w, "logistics_delay", "快递一直没到")
    w.do("trace_parcel", tracking_no=w.number("YT"), status="在途")
    _cause(w, w.rng.choice(("supply_delay", "supply_delay", "transit_damage")))
    _compensated(w, "cash", _small(w, 500, 2_000))
    _closed(w, "已补偿")


def installed_by_oneself(w: Writer) -> None:
    """The buyer's own installer was dearer: a part of the difference."""
    _open(w, "installer_price_dispute", "自己找的师傅要价太高")
    _cause(w, "goodwill")
    _compensated(w, "price_difference", _small(w, 2_000, 6_000))
    _closed(w, "补差价")


def vouchered(w: Writer) -> None:
    """A matter of taste, and a voucher."""
    _open(w, "function_preference", "开锁声音太大")
    _cause(w, "goodwill")
    _compensated(w, "voucher", w.rng.choice((1_000, 2_000, 3_000)))
    _closed(w, "赠券")


def damaged(w: Writer) -> None:
    """Damaged in transit: compensated, and claimed from the courier."""
    _open(w, "damaged_on_arrival", "外箱破了,面板有压痕")
    _seen(w)
    _cause(w, "transit_damage")
    least, most = (1_000, 8_000) if w.rng.random() < 0.92 else (10_500, 20_000)
    amount_fen = _small(w, least, most)
    _compensated(w, "cash", amount_fen)
    _closed(w, "已补偿")
    _recovered(w, f"courier/{w.order['carrier']}", amount_fen)


def without_part(w: Writer) -> None:
    """A part is missing and is sent."""
    _open(w, "missing_accessory", "少了一个锁舌")
    _seen(w)
    _cause(w, "packing_error")
    items = [{"sku": "BOLT-1", "quantity": 1, "unit_cost_fen": w.rng.randrange(300, 2_500)}]
    w.do("order_reshipment", trigger="now", items=items)
    _sent_out(w, "R1", w.rng.randrange(600, 1_200, 50))
    _closed(w, "已补发")


def changed_mind(w: Writer) -> None:
    """Sent back within seven days for no reason, at the buyer's expense."""
    _open(w, "return_request", "不想要了", reason="no_reason_7_days")
    _cause(w, "buyer_changed_mind")
    w.do("authorise_return", lines=[{"line_id": "L1", "quantity": 1}])
    _sent_back(w, w.rng.randrange(900, 2_500, 50), resalable=w.rng.random() < 0.9)
    w.after(0.5, 6)
    w.do("request_refund", lines=[{"line_id": "L1", "quantity": 1}])
    _paid_out(w, "refund", "F1")
    _closed(w, "退货退款")


def faulty(w: Writer) -> None:
    """A faulty lock goes back at the shop's expense; where the freight is insured, what the insurer pays comes off."""
    _faulty(w, late_claim=False)


def insured_too_late(w: Writer) -> None:
    """The claim failed, so the shop paid the freight; then the insurer paid it all the same."""
    _faulty(w, late_claim=True)


def _faulty(w: Writer, *, late_claim: bool) -> None:
    cause, party = w.rng.choice((("accessory_defective", ""), ("supplier_mismatch", "金锁厂")))
    _open(w, "return_request", "锁体有质量问题", reason="quality")
    _cause(w, cause, **({"party_name": party} if party else {}))
    w.do("authorise_return", lines=[{"line_id": "L1", "quantity": 1}])
    freight_fen = w.rng.randrange(1_000, 2_600, 50)
    resalable = w.rng.random() < 0.3
    _sent_back(w, freight_fen, resalable=resalable)
    w.after(0.5, 6)
    w.do("request_refund", lines=[{"line_id": "L1", "quantity": 1}])
    if w.order.get("freight_insurance"):
        _paid_out(w, "refund", "F1")
        _claimed(w, freight_fen, late_claim)
    elif w.rng.random() < 0.3:
        _paid_together(w, ("refund", "F1"), ("freight_reimbursement", "RT1"))
    else:
        _paid_out(w, "refund", "F1")
        _paid_out(w, "freight_reimbursement", "RT1")
    _closed(w, "质量退货")
    if late_claim:
        w.after(24, 72)
        w.do("record_insurance_result", INSURER, result="paid", amount_fen=freight_fen - 100)
    if party:
        _recovered(w, f"supplier/{party}", 0 if resalable else int(_lock(w)["unit_cost_fen"]))


def _claimed(w: Writer, freight_fen: int, late: bool) -> None:
    """What the insurer says, and what is left of the freight for the shop to pay."""
    w.after(6, 40)
    if late or w.rng.random() < 0.2:
        w.do("record_insurance_result", INSURER, result="failed")
        _paid_out(w, "freight_reimbursement", "RT1")
        return
    paid_fen = w.rng.choice((freight_fen, freight_fen - 300, freight_fen - 500))
    w.do("record_insurance_result", INSURER, result="paid", amount_fen=paid_fen)
    if paid_fen < freight_fen:
        _paid_out(w, "freight_reimbursement", "RT1")


def exchanged(w: Writer) -> None:
    """Exchanged against a deposit, which goes back once the old lock is here."""
    deposit_ref = _exchange(w, "accessory_defective")
    _sent_back(w, w.rng.randrange(1_000, 2_000, 50))
    if w.order.get("freight_insurance"):
        w.after(6, 20)
        w.do("record_insurance_result", INSURER, result="failed")
    _paid_out(w, "freight_reimbursement", "RT1")
    _paid_out(w, "deposit_return", "D1", of=deposit_ref)
    _closed(w, "换货")


def kept_both(w: Writer) -> None:
    """The old lock never came back: the deposit is kept."""
    _exchange(w, "procedure_not_followed")
    w.after(24 * 5, 24 * 9)
    w.do("cancel_return", reason="买家不寄了")
    w.do("forfeit_deposit", LEAD, reason="旧货未寄回")
    _closed(w, "没收押金")


def _exchange(w: Writer, cause: str) -> str:
    """The new lock goes out against a deposit; our number of the deposit's payment."""
    _open(w, "exchange_request", "先发新的再寄旧的")
    _cause(w, cause)
    w.do("authorise_return", lines=[{"line_id": "L1", "quantity": 1}])
    w.do("request_deposit", amount_fen=10_000)
    item = {"sku": _lock(w)["sku"], "quantity": 1, "unit_cost_fen": _lock(w)["unit_cost_fen"]}
    w.do("order_reshipment", trigger="on_deposit", items=[item])
    w.after(0.5, 20)
    deposit_ref = w.number("YJ")
    w.do("record_deposit", CASHIER, payment_ref=deposit_ref)
    _sent_out(w, "R1", w.rng.randrange(1_000, 1_800, 50))
    return deposit_ref


def bought_part(w: Writer) -> None:
    """Out of warranty: the buyer buys the part."""
    _part_ordered(w)
    w.after(0.5, 30)
    w.do("record_buyer_payment", CASHIER, payment_ref=w.number("PJ"))
    _sent_out(w, "R1", w.rng.randrange(600, 1_200, 50))
    _closed(w, "购买配件")


def part_sent_back(w: Writer) -> None:
    """The buyer paid for a part, and then needed none."""
    _part_ordered(w)
    w.after(0.5, 30)
    payment_ref = w.number("PJ")
    w.do("record_buyer_payment", CASHIER, payment_ref=payment_ref)
    w.after(1, 4)
    w.do("cancel_reshipment", reshipment="R1", reason="买家已找到")
    _paid_out(w, "charge_return", "B1", of=payment_ref)
    _closed(w, "取消购买")


def _part_ordered(w: Writer) -> None:
    _open(w, "accessory_failure", "把手断了")
    _seen(w)
    _cause(w, "accessory_failed_in_use", in_warranty=False, human_caused=False, affects_use=True)
    w.do("charge_buyer", amount_fen=w.rng.randrange(1_500, 6_000, 100), purpose="把手")
    items = [{"sku": "HANDLE-1", "quantity": 1, "unit_cost_fen": w.rng.randrange(800, 2_500)}]
    w.do("order_reshipment", trigger="on_payment", items=items)


def lost(w: Writer) -> None:
    """The parcel was lost: refunded without the goods, and claimed from the courier."""
    _open(w, "logistics_delay", "快递丢了")
    w.do("trace_parcel", tracking_no=w.number("YT"), status="丢件")
    _cause(w, "lost_in_transit")
    w.after(2, 30)
    w.do("request_refund", LEAD, lines=[{"line_id": "L1", "quantity": 1}], refund_only=True)
    _paid_out(w, "refund", "F1")
    _closed(w, "丢件退款")
    _recovered(w, f"courier/{w.order['carrier']}", int(_lock(w)["unit_cost_fen"]))


def without_installer(w: Writer) -> None:
    """Nobody could install it: that line is refunded."""
    _open(w, "no_installer", "当地没有师傅", lines=[{"line_id": "S1", "quantity": 1}])
    _cause(w, "goodwill")
    w.do("request_refund", lines=[{"line_id": "S1", "quantity": 1}])
    _paid_out(w, "refund", "F1")
    _closed(w, "退安装费")


def compensated_then_returned(w: Writer) -> None:
    """First money, then the lock goes back all the same: what was paid is taken off the refund."""
    _open(w, "scratch_on_arrival", "刚收到就有划痕")
    _seen(w)
    _cause(w, "packing_error")
    _compensated(w, "cash", _small(w, 500, 2_000))
    w.after(20, 50)
    w.do("authorise_return", lines=[{"line_id": "L1", "quantity": 1}])
    _sent_back(w, w.rng.randrange(900, 1_800, 50), resalable=False)
    w.after(0.5, 6)
    w.do("request_refund", lines=[{"line_id": "L1", "quantity": 1}])
    _paid_out(w, "refund", "F1")
    if w.order.get("freight_insurance"):
        w.after(6, 20)
        w.do("record_insurance_result", INSURER, result="failed")
    _paid_out(w, "freight_reimbursement", "RT1")
    _closed(w, "退货退款")


def too_much(w: Writer) -> None:
    """One lock too many is fetched, and the honest buyer rewarded."""
    _open(w, "excess_goods", "多收到一把")
    _cause(w, "duplicate_waybill")
    w.do("arrange_pickup", freight_fen=w.rng.randrange(900, 1_600, 50), carrier="YTO", tracking_no=w.number("YT"))
    _compensated(w, "good_review_reward", 500)
    _closed(w, "已取回")


def never_assessed(w: Writer) -> None:
    """Compensation was paid, and nobody ever said why it came to that: the loss stays in suspense."""
    _open(w, "size_deviation", "尺寸差一点")
    _compensated(w, "cash", _small(w, 500, 1_900))


def paid_twice(w: Writer) -> None:
    """One payment of compensation is entered twice, under two offers."""
    amount_fen = _small(w, 500, 900)
    _open(w, "damaged_on_arrival", "面板有压痕")
    _seen(w)
    _cause(w, "transit_damage")
    ref = w.number("BC")
    _compensated(w, "cash", amount_fen, "P1", ref)
    w.after(24, 48)
    _compensated(w, "cash", amount_fen, "P2", ref)
    _closed(w, "已补偿")


Story = Callable[[Writer], None]

#: How often each comes about, in parts.
USUAL: Final[Mapping[Story, int]] = {
    guided: 14,
    delayed: 14,
    installed_by_oneself: 5,
    vouchered: 4,
    damaged: 11,
    without_part: 8,
    changed_mind: 14,
    faulty: 11,
    exchanged: 6,
    kept_both: 1,
    bought_part: 5,
    part_sent_back: 2,
    lost: 4,
    without_installer: 5,
    compensated_then_returned: 4,
    too_much: 2,
}

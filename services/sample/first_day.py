"""A shop in the middle of its work, as a newcomer meets it: cases that are finished, and one left at each stage that
people have to do with, so that every role finds something to do.

Everything happens at the moment at which it is played; only the orders are some days older.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, NamedTuple

from contracts.events.refunds import payout_id
from services.kernel.shop_time import SHOP_TIME
from services.sample import stories
from services.sample.steps import CASHIER, ERP, GATEWAY, LEAD, WAREHOUSE, Step, Writer
from services.sample.stories import Story

#: The buyer's own app, and an article of which there is none on the shelf.
APP: Final = "service/app"
SOLD_OUT: Final = "BOLT-9"

#: Locks by article: what a buyer pays and what one costs, in fen.
_LOCKS: Final = {"LOCK-A1": (129_900, 60_000), "LOCK-B2": (89_900, 41_000), "LOCK-C3": (219_900, 98_000)}
_CHANNELS: Final = ("wechat", "alipay")
_CARRIERS: Final = ("YTO", "ZTO", "JD")
#: Orders about which nobody complained.
_CONTENT: Final = 8
_LINE: Final = {"line_id": "L1", "quantity": 1}


def _opened(w: Writer, problem: str, said: str, by: str = "", **fields: Any) -> None:
    """A case about the lock."""
    w.do("open_case", by, order_id=w.order_id, problem=problem, description=said, lines=[_LINE], **fields)


def _seen(w: Writer) -> None:
    """A photo of it, as good as any."""
    w.do("submit_evidence", kind="photo", file={"generate": "photo"})
    w.do("review_evidence", evidence="E1", accepted=True)


# -- cases that are left where somebody has to go on


def _asked(w: Writer) -> None:
    w.do("open_case", APP, order_id=w.order_id, problem="installation_help", description="锁装上去关不严,怎么调?")


def _urged(w: Writer) -> None:
    _opened(w, "logistics_delay", "物流三天没有更新,急用,请尽快查一下", APP, urgent=True)


def _photographed(w: Writer) -> None:
    _opened(w, "scratch_on_arrival", "收到时面板有一道划痕,照片已传", APP)
    w.do("submit_evidence", APP, kind="photo", file={"generate": "photo"})


def _broken_panel(w: Writer, amount_fen: int) -> None:
    """Seen, its cause is known, and an offer is made."""
    _opened(w, "damaged_on_arrival", "外箱破损,面板有压痕")
    _seen(w)
    w.do("assess_cause", cause="transit_damage")
    w.do("propose_compensation", kind="cash", amount_fen=amount_fen)


def _lead_must_approve(w: Writer) -> None:
    _broken_panel(w, w.rng.randrange(3_000, 9_000, 500))


def _manager_must_approve(w: Writer) -> None:
    _broken_panel(w, 28_000)


def _offered(w: Writer) -> None:
    _broken_panel(w, 1_500)


def _agreed(w: Writer) -> None:
    _broken_panel(w, 1_800)
    w.do("record_buyer_reply", proposal="P1", accepted=True)


def _deposit_asked(w: Writer) -> None:
    _opened(w, "exchange_request", "想换一把,先发新的再寄旧的")
    w.do("assess_cause", cause="accessory_defective")
    w.do("authorise_return", lines=[_LINE])
    w.do("request_deposit", amount_fen=10_000)
    lock = w.order["lines"][0]
    item = {"sku": lock["sku"], "quantity": 1, "unit_cost_fen": lock["unit_cost_fen"]}
    w.do("order_reshipment", trigger="on_deposit", items=[item])


def _part_charged(w: Writer) -> None:
    _opened(w, "accessory_failure", "把手用断了,过了保修期")
    _seen(w)
    w.do("assess_cause", cause="accessory_failed_in_use", in_warranty=False, human_caused=False, affects_use=True)
    w.do("charge_buyer", amount_fen=3_500, purpose="把手")
    items = [{"sku": "HANDLE-1", "quantity": 1, "unit_cost_fen": 1_200}]
    w.do("order_reshipment", trigger="on_payment", items=items)


def _return_on_its_way(w: Writer) -> None:
    _opened(w, "return_request", "颜色和家里的门不搭,想退", reason="no_reason_7_days")
    w.do("assess_cause", cause="buyer_changed_mind")
    w.do("authorise_return", lines=[_LINE])
    w.do("ship_return", APP, carrier="YTO", tracking_no=w.number("YT"), freight_fen=1_600)


def _wrong_lock_on_its_way(w: Writer) -> None:
    _opened(w, "wrong_product", "买的黑色,发成了银色")
    _seen(w)
    w.do("assess_cause", cause="wrong_goods_shipped")
    w.do("authorise_return", lines=[_LINE])
    lock = w.order["lines"][0]
    item = {"sku": lock["sku"], "quantity": 1, "unit_cost_fen": lock["unit_cost_fen"]}
    w.do("order_reshipment", trigger="on_receipt", items=[item])
    w.do("ship_return", APP, carrier="ZTO", tracking_no=w.number("ZT"), freight_fen=1_450)


def _came_back(w: Writer) -> None:
    """The lock is back and in order, and the buyer waits for the money."""
    _opened(w, "return_request", "门太薄装不了,想退", reason="no_reason_7_days")
    w.do("assess_cause", cause="buyer_changed_mind")
    w.do("authorise_return", lines=[_LINE])
    w.do("ship_return", APP, carrier="JD", tracking_no=w.number("JD"), freight_fen=1_800)
    w.do("receive_return", WAREHOUSE, accepted=True, lines=[{**_LINE, "resalable": True}])


def _part_missing(w: Writer, sku: str) -> None:
    _opened(w, "missing_accessory", "配件包里少了一个锁舌")
    _seen(w)
    w.do("assess_cause", cause="packing_error")
    w.do("order_reshipment", trigger="now", items=[{"sku": sku, "quantity": 1, "unit_cost_fen": 900}])


def _part_sold_out(w: Writer) -> None:
    _part_missing(w, SOLD_OUT)


def _part_to_ship(w: Writer) -> None:
    _part_missing(w, "BOLT-1")


def _part_sent(w: Writer) -> None:
    _part_missing(w, "BOLT-1")
    number = w.number("YT")
    w.do("ship_reshipment", WAREHOUSE, reshipment="R1", carrier="YTO", tracking_no=number, freight_fen=800)


def _refund_to_pay(w: Writer) -> None:
    _opened(w, "logistics_delay", "快递确认丢件")
    w.do("trace_parcel", tracking_no=w.number("YT"), status="丢件")
    w.do("assess_cause", cause="lost_in_transit")
    w.do("request_refund", LEAD, lines=[_LINE], refund_only=True)


def _refund_failed(w: Writer) -> None:
    line = {"line_id": "S1", "quantity": 1}
    w.do("open_case", order_id=w.order_id, problem="no_installer", description="当地没有师傅", lines=[line])
    w.do("assess_cause", cause="goodwill")
    w.do("request_refund", lines=[line])
    w.do("confirm_payout", GATEWAY, payout=payout_id(w.case_id, "refund", "F1"), status="failed")


def _insurer_silent(w: Writer) -> None:
    """The return is here and the refund paid; the freight waits for what the insurer says."""
    _opened(w, "return_request", "锁体有异响", reason="quality")
    w.do("assess_cause", cause="accessory_defective")
    w.do("authorise_return", lines=[_LINE])
    w.do("ship_return", APP, carrier="YTO", tracking_no=w.number("YT"), freight_fen=1_500)
    w.do("receive_return", WAREHOUSE, accepted=True, lines=[{**_LINE, "resalable": False}])
    w.do("request_refund", lines=[_LINE])
    w.do("confirm_payout", CASHIER, payout=payout_id(w.case_id, "refund", "F1"), status="succeeded", of=w.order_id)


# -- cases that are finished


def _claimed(w: Writer) -> None:
    """Damaged in transit: the courier bears it, and has paid a half of it."""
    _broken_panel(w, 1_600)
    w.do("record_buyer_reply", proposal="P1", accepted=True)
    w.do("pay_compensation", proposal="P1", payment_ref=w.number("BC"), of=w.order_id)
    w.do("close_case", resolution="已补偿,向快递追偿")
    party = f"courier/{w.order['carrier']}"
    w.do("record_recovery", CASHIER, party=party, amount_fen=800, payment_ref=w.number("CL"))


def _of_a_batch(w: Writer) -> None:
    """One of several locks with the same fault."""
    _opened(w, "function_defect", "指纹识别时灵时不灵")
    _seen(w)
    w.do("assess_cause", cause="accessory_defective")
    w.do("report_issue", department="品质部", summary="同型号指纹头失灵")
    w.do("propose_compensation", kind="cash", amount_fen=1_000)
    w.do("record_buyer_reply", proposal="P1", accepted=True)
    w.do("pay_compensation", proposal="P1", payment_ref=w.number("BC"), of=w.order_id)
    w.do("close_case", resolution="已补偿,品质部跟进")


class Scene(NamedTuple):
    """A case: how it goes, the stage at which it is left (empty where nobody has to go on), the article, whether its
    return freight is insured, and whether somebody has it: `person` is whoever loads the shop, an agent else."""

    story: Story
    stage: str = ""
    sku: str = "LOCK-A1"
    insured: bool = False
    has: str = "agent"


#: The unfinished cases come last, as the newest do in lists.
SCENES: Final = (
    Scene(stories.guided),
    Scene(stories.lost),
    Scene(_claimed),
    Scene(stories.without_installer, sku="LOCK-B2"),
    Scene(stories.insured_too_late, insured=True),
    Scene(stories.never_assessed, "cause_to_assess", "LOCK-B2"),
    *(Scene(_of_a_batch, sku="LOCK-C3") for _ in range(5)),
    Scene(_insurer_silent, insured=True),
    Scene(_refund_failed, "payout_failed", "LOCK-B2"),
    Scene(_refund_to_pay, "payout_under_way"),
    Scene(_part_sent, "reshipment_under_way"),
    Scene(_part_to_ship, "reshipment_released", "LOCK-B2"),
    Scene(_part_sold_out, "reshipment_backordered"),
    Scene(_wrong_lock_on_its_way, "return_to_inspect", "LOCK-B2"),
    Scene(_return_on_its_way, "return_to_inspect"),
    Scene(_came_back, "return_to_settle"),
    Scene(_part_charged, "payment_awaited", has="person"),
    Scene(_deposit_asked, "deposit_awaited", "LOCK-B2"),
    Scene(_agreed, "compensation_to_pay"),
    Scene(_offered, "reply_awaited", "LOCK-B2", has="person"),
    Scene(_manager_must_approve, "approval_awaited", "LOCK-B2"),
    Scene(_lead_must_approve, "approval_awaited", "LOCK-B2"),
    Scene(_lead_must_approve, "approval_awaited"),
    Scene(_photographed, "evidence_to_review", has="person"),
    Scene(_urged, "first_answer_due", has="nobody"),
    Scene(_asked, "first_answer_due", "LOCK-B2", has="nobody"),
)


class Played(NamedTuple):
    """What is to happen in one order, step by step, and its case, where it has one."""

    steps: Sequence[Step]
    scene: Scene | None
    case_id: str


def first_day(now: datetime, *, seed: int = 1, person: str = "") -> Sequence[Played]:
    """The orders, one by one. `person` is the name of whoever is to have some of the cases. The same seed gives the
    same steps."""
    orders = []
    for number in range(_CONTENT):
        order = _order(number + 1, now, Random(f"content {seed} {number}"), Scene(stories.guided))
        orders.append(Played([_recorded(order, now)], None, ""))
    for number, scene in enumerate(SCENES, start=_CONTENT + 1):
        rng = Random(f"first day {seed} {number}")
        order = _order(number, now, rng, scene)
        writer = Writer(rng, order, 1, now)
        scene.story(writer)
        opened, *others = writer.steps
        steps = [_recorded(order, now), opened, *_given(writer, scene, person), *others]
        orders.append(Played(steps, scene, writer.case_id))
    return orders


def _given(w: Writer, scene: Scene, person: str) -> Sequence[Step]:
    """Somebody has the case from the beginning."""
    if scene.has == "nobody":
        return ()
    name = person if person and scene.has == "person" else w.agent.partition("/")[2]
    asked: dict[str, Any] = {"to": name}
    return [Step(at=w.now, order_id=w.order_id, case_id=w.case_id, do="assign_case", by=LEAD, fields=asked)]


def _recorded(order: dict[str, Any], now: datetime) -> Step:
    return Step(at=now, order_id=order["order_id"], case_id="", do="record_order", by=ERP, fields=order)


def _order(number: int, now: datetime, rng: Random, scene: Scene) -> dict[str, Any]:
    """An order of some days ago, of one lock and its installation."""
    ordered_at = (now - timedelta(days=rng.randrange(4, 12), minutes=rng.randrange(600))).astimezone(SHOP_TIME)
    paid_fen, unit_cost_fen = _LOCKS[scene.sku]
    lock = {"line_id": "L1", "sku": scene.sku, "kind": "product", "quantity": 1}
    service = {"line_id": "S1", "sku": "INSTALL", "kind": "service", "quantity": 1}
    order: dict[str, Any] = {
        "order_id": f"TB{ordered_at:%y%m%d}{number:05d}",
        "channel": rng.choice(_CHANNELS),
        "buyer_id": f"buyer-{rng.randrange(10**6):06d}",
        "ordered_at": ordered_at.isoformat(),
        "delivered_at": (ordered_at + timedelta(days=2)).isoformat(),
        "warranty_months": 12,
        "carrier": rng.choice(_CARRIERS),
        "people": {"customer_service": "小李", "operations": "小运"},
        "lines": [
            {**lock, "paid_fen": paid_fen, "unit_cost_fen": unit_cost_fen},
            {**service, "paid_fen": 9_900, "unit_cost_fen": 0},
        ],
    }
    if scene.insured:
        order["freight_insurance"] = {"payer": "merchant", "cover_fen": 2_500}
    return order

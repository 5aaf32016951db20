"""What happens to an order: plots that together put all services, the shelf and the payment provider to work.

Every plot follows the rules of `domain.md`, so a refusal that it does not expect is a find. What another service told
may still be on its way, for a long time while something is broken: what waits for such news tries a few times and then
lets it be.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from services.kernel.actor import Actor
from services.scenarios.media import generate_photo
from tests.faults.line import Line, Refused

AGENT, LEAD, MANAGER = Actor("agent", "小李"), Actor("team_lead", "老陈"), Actor("store_manager", "周店")
WAREHOUSE, FINANCE, APP = Actor("warehouse", "西仓"), Actor("finance", "老钱"), Actor("service", "买家端")

#: An article that is kept count of, and short.
RARE = "LOCK-RARE"
#: How often something is tried that waits for another service's news, and the pause between, in seconds.
NEWS_TRIES, NEWS_PAUSE_S = 4, 0.5
PHOTOS = 8
LOCK_FEN, LOCK_COST_FEN = 129_900, 60_000


class Story:
    """One order and its case, as a plot tells it."""

    def __init__(self, line: Line, chance: random.Random, order_id: str) -> None:
        self.chance = chance
        self.order_id = order_id
        self.case_id = ""
        self._line = line
        self._commands = 0

    async def order(
        self, quantity: int = 1, *, insured: bool = False, days_ago: int = 10, sku: str = "LOCK-A1"
    ) -> None:
        """Record the order: a lock line `L1` and an installation line `S1`."""
        now = datetime.now().astimezone().replace(microsecond=0)
        lock = {"line_id": "L1", "sku": sku, "kind": "product", "quantity": quantity}
        body = {
            "channel": "taobao",
            "buyer_id": f"buyer-{self.order_id}",
            "ordered_at": (now - timedelta(days=days_ago)).isoformat(),
            "delivered_at": (now - timedelta(days=days_ago - 3)).isoformat(),
            "warranty_months": 12,
            "carrier": self.chance.choice(("YTO", "ZTO", "YUNDA")),
            "people": {"operations": "小王", "customer_service": "小李"},
            "lines": [
                {**lock, "paid_fen": LOCK_FEN * quantity + self.chance.randrange(3), "unit_cost_fen": LOCK_COST_FEN},
                {"line_id": "S1", "sku": "INSTALL", "kind": "service", "quantity": 1, "paid_fen": 9_900}
                | {"unit_cost_fen": 0},
            ],
        }
        if insured:
            body["freight_insurance"] = {"payer": "shop", "cover_fen": 1_200}
        await self._send(APP, "record_order", "PUT", f"/v1/orders/{self.order_id}", body, self.order_id)

    async def opens(self, problem: str, by: Actor = APP, **fields: Any) -> str:
        """Open a case; it is the one that the following commands are about."""
        body = {"order_id": self.order_id, "problem": problem, "description": "…", **fields}
        answer = await self._send(by, "open_case", "POST", "/v1/cases", body, self.order_id)
        self.case_id = str(answer["case_id"])
        return self.case_id

    async def do(self, name: str, by: Actor = AGENT, *, may: Sequence[str] = (), **fields: Any) -> dict[str, Any]:
        """Give a command about the case. {} where it was refused for a reason that `may` be."""
        path = f"/v1/cases/{self.case_id}/{name.replace('_', '-')}"
        try:
            return await self._send(by, name, "POST", path, fields, self.order_id)
        except Refused as refused:
            if refused.code not in may:
                raise
            return {}

    async def until_done(self, name: str, by: Actor = AGENT, *, unless: Sequence[str], **fields: Any) -> bool:
        """Give a command that waits for other services' news; whether it was accepted in the end."""
        for _ in range(NEWS_TRIES):
            if await self.do(name, by, may=unless, **fields):
                return True
            await self._line.pause(NEWS_PAUSE_S)
        return False

    async def stock(self, quantity: int) -> None:
        """More units of the rare article are on the shelf."""
        await self._send(WAREHOUSE, "report_stock", "POST", f"/v1/stock/{RARE}", {"quantity": quantity}, "~stock")

    async def shows_photo(self) -> None:
        """A photo is sent in and accepted."""
        file = await self._line.upload(APP, _photo(self.chance.randrange(PHOTOS)), "image/jpeg")
        evidence = (await self.do("submit_evidence", APP, kind="photo", file=file))["evidence"]
        await self.do("review_evidence", evidence=evidence, accepted=True)

    async def compensated(self, kind: str, amount_fen: int, approver: Actor | None = None) -> None:
        """An amount is offered, approved where it has to be, accepted and paid."""
        proposal = (await self.do("propose_compensation", kind=kind, amount_fen=amount_fen))["proposal"]
        if approver is not None:
            await self.do("approve", approver, proposal=proposal)
        await self.do("record_buyer_reply", proposal=proposal, accepted=True)
        await self.do("pay_compensation", FINANCE, proposal=proposal, payment_ref=f"ALI-{self.case_id}-{proposal}")

    async def comes_back(self, quantity: int = 1, *, resalable: bool | None = None, accepted: bool = True) -> None:
        """Units are sent back, and inspected."""
        lines = [{"line_id": "L1", "quantity": quantity}]
        return_id = (await self.do("authorise_return", lines=lines))["return_id"]
        freight_fen = self.chance.randrange(800, 2_000)
        parcel: dict[str, Any] = {"carrier": "YTO", "tracking_no": f"B{self.case_id}", "freight_fen": freight_fen}
        await self.do("ship_return", APP, **parcel, return_id=return_id)
        resalable = self.chance.random() < 0.7 if resalable is None else resalable
        found = [{**lines[0], "resalable": resalable}]
        await self.do("receive_return", WAREHOUSE, lines=found, accepted=accepted, return_id=return_id)

    async def refunded(self, line_id: str = "L1", quantity: int = 1, by: Actor = AGENT, **fields: Any) -> None:
        """Units are refunded; a payout that fails is tried again by finance."""
        await self.do("request_refund", by, lines=[{"line_id": line_id, "quantity": quantity}], **fields)
        if self.chance.random() < 0.8:
            await self.retries_failed_payouts()

    async def retries_failed_payouts(self) -> None:
        """Finance looks at the case's payouts and has failed ones tried again."""
        for _ in range(NEWS_TRIES):
            rows = await self._line.read(MANAGER, "refunds", f"/v1/payouts?case_id={self.case_id}")
            for row in rows["items"]:
                if row["status"] == "failed":
                    await self.do("retry_payout", FINANCE, may=("payout_not_failed",), payout=row["payout"])
            if rows["items"] and all(row["status"] == "succeeded" for row in rows["items"]):
                return
            await self._line.pause(NEWS_PAUSE_S)

    async def reshipped(self, reshipment: str, may: Sequence[str] = ()) -> None:
        """Goods leave and arrive."""
        parcel: dict[str, Any] = {
            "carrier": "YTO",
            "tracking_no": f"A{self.case_id}-{reshipment}",
            "freight_fen": 1_500,
        }
        if await self.do("ship_reshipment", WAREHOUSE, may=may, reshipment=reshipment, **parcel):
            await self.do("confirm_delivery", APP, reshipment=reshipment)

    async def closes(self) -> None:
        """Close the case once all money has arrived, and what comes after."""
        if await self.until_done("close_case", unless=("unfinished_business",), resolution="已解决"):
            await self.do("follow_up", note="使用正常")
            if self.chance.random() < 0.5:
                await self.do("invite_review")
                await self.do("rate", APP, score=self.chance.randint(1, 5))

    async def _send(
        self, by: Actor, name: str, method: str, path: str, body: dict[str, Any], stream: str
    ) -> dict[str, Any]:
        self._commands += 1
        return await self._line.command(by, name, method, path, body, f"{self.order_id}/{self._commands}", stream)


Plot = Callable[[Story], Awaitable[None]]


async def delay(story: Story) -> None:
    """Late parcels: several compensations over two cases of one order, within the limits of the roles."""
    await story.order()
    await story.opens("logistics_delay")
    await story.do("trace_parcel", tracking_no="YT1", status="在途")
    await story.compensated("cash", story.chance.randrange(100, 900))
    await story.compensated("voucher", story.chance.randrange(100, 900))
    await story.compensated("cash", 3_000, LEAD)
    await story.do("assess_cause", cause="transit_damage")
    first = story.case_id
    await story.opens("service_attitude", AGENT)
    await story.compensated("cash", 7_000, MANAGER)
    await story.do("report_issue", department="客服", summary="态度差", person="小李")
    await story.do("assess_cause", cause="procedure_not_followed")
    await story.closes()
    story.case_id = first
    await story.closes()


async def at_once(story: Story) -> None:
    """Several people work on one order at the same moment."""
    await story.order(2)
    await story.opens("logistics_delay")
    await asyncio.gather(
        story.do("trace_parcel", tracking_no="YT1", status="在途"),
        story.do("assess_cause", cause="supply_delay"),
        story.compensated("voucher", 300),
        story.compensated("cash", 200),
        story.do("assign_case", to="小李"),
    )
    await story.refunded(quantity=1, by=LEAD, refund_only=True)
    await asyncio.gather(
        story.closes(), story.do("escalate", role="team_lead", reason="急", may=("invalid_transition",))
    )


async def sent_back(story: Story) -> None:
    """Two locks come back one by one and are refunded, what was paid before is deducted; with insurance or without."""
    insured = story.chance.random() < 0.5
    await story.order(2, insured=insured)
    await story.opens("return_request", reason="quality")
    await story.compensated("cash", 2_000)
    await story.comes_back()
    await story.refunded()
    if insured:
        paid = story.chance.random() < 0.7
        await story.do(
            "record_insurance_result",
            APP,
            result="paid" if paid else "failed",
            amount_fen=1_200 if paid else 0,
        )
        if not paid or story.chance.random() < 0.5:  # the insurer says something else later: an exception for finance
            await story.do("record_insurance_result", APP, result="paid", amount_fen=300)
    await story.do("assess_cause", cause="accessory_defective")
    await story.comes_back()
    await story.refunded()
    await story.closes()


async def not_accepted(story: Story) -> None:
    """The wrong thing comes back; a lead refunds all the same."""
    await story.order()
    await story.opens("return_request", reason="not_as_described")
    await story.comes_back(accepted=False)
    await story.refunded(by=LEAD, refund_only=True)
    await story.do("assess_cause", cause="goodwill")
    await story.closes()


async def exchanged(story: Story) -> None:
    """An urgent exchange against a deposit, which is returned once the old lock is back, or forfeited."""
    await story.order()
    await story.opens("exchange_request", AGENT, urgent=True)
    await story.do("assess_cause", cause="accessory_defective")
    await story.do("request_deposit", amount_fen=8_000)
    items = [{"sku": "LOCK-A1", "quantity": 1, "unit_cost_fen": LOCK_COST_FEN}]
    reshipment = (await story.do("order_reshipment", trigger="on_deposit", items=items))["reshipment"]
    await story.do("record_deposit", APP, payment_ref=f"DEP-{story.case_id}")
    await story.reshipped(reshipment)
    if story.chance.random() < 0.2:
        await story.do("forfeit_deposit", LEAD, reason="旧货没有寄回")
    else:
        await story.comes_back()
    await story.closes()


async def wrong_product(story: Story) -> None:
    """The wrong lock was sent: shown on a photo, sent back, the right one goes out on receipt."""
    await story.order()
    await story.opens("wrong_product")
    await story.shows_photo()
    items = [{"sku": "LOCK-A1", "quantity": 1, "unit_cost_fen": LOCK_COST_FEN}]
    reshipment = (await story.do("order_reshipment", trigger="on_receipt", items=items))["reshipment"]
    await story.comes_back(resalable=True)
    await story.reshipped(reshipment)
    await story.do("assess_cause", cause="wrong_goods_shipped")
    await story.closes()


async def lost(story: Story) -> None:
    """One of two locks was lost: reshipped, the other refunded, and the courier pays for it."""
    await story.order(2)
    await story.opens("missing_product")
    await story.do("trace_parcel", tracking_no="YT2", status="丢失")
    items = [{"sku": "LOCK-A1", "quantity": 1, "unit_cost_fen": LOCK_COST_FEN}]
    reshipment = (await story.do("order_reshipment", trigger="now", items=items))["reshipment"]
    await story.reshipped(reshipment)
    await story.do("assess_cause", cause="lost_in_transit", party_name="YTO")
    await story.refunded(by=LEAD, refund_only=True)
    unless = ("exceeds_charged", "unknown_case")
    claim: dict[str, Any] = {"party": "courier/YTO", "amount_fen": 50_000, "payment_ref": f"CLAIM-{story.case_id}"}
    await story.until_done("record_recovery", FINANCE, unless=unless, **claim)
    await story.closes()


async def sold(story: Story) -> None:
    """Out of warranty: two parts are sold, one sale is cancelled and its price goes back."""
    await story.order(days_ago=800)
    await story.opens("accessory_failure")
    await story.shows_photo()
    await story.do("assess_cause", cause="accessory_failed_in_use", human_caused=False, affects_use=True)
    sales = []
    for sku, price_fen in (("HANDLE-1", 3_000), ("BATTERY-1", 1_500)):
        await story.do("charge_buyer", amount_fen=price_fen, purpose=sku)
        items = [{"sku": sku, "quantity": 1, "unit_cost_fen": price_fen // 2}]
        sales.append((await story.do("order_reshipment", trigger="on_payment", items=items))["reshipment"])
    for number, _ in enumerate(sales):
        await story.do("record_buyer_payment", APP, payment_ref=f"PAY-{story.case_id}-{number}")
    await story.do("cancel_reshipment", reshipment=sales[0])
    await story.reshipped(sales[1])
    await story.closes()


async def no_installer(story: Story) -> None:
    """Nobody can install it: the installation is refunded."""
    await story.order()
    await story.opens("installer_no_show")
    await story.do("contact_installer", action="urge")
    await story.do("contact_installer", action="replace")
    await story.refunded("S1")
    await story.do("assess_cause", cause="installer_failed", party_name="王师傅")
    await story.closes()


async def reassigned(story: Story) -> None:
    """Who bears the loss is decided anew again and again while it still grows."""
    await story.order()
    await story.opens("logistics_delay")
    for _ in range(3):
        await story.compensated("cash", story.chance.randrange(1, 600))
        cut = story.chance.randrange(1, 5_000)
        shares = [("courier/YTO", cut), ("warehouse", 5_000), ("purchasing", 5_000 - cut)]
        await story.until_done(
            "assign_liability",
            LEAD,
            unless=("unknown_case",),
            reason="复核",
            shares=[{"party": party, "share_bp": share_bp} for party, share_bp in shares],
        )
    await story.closes()


async def short_of_stock(story: Story) -> None:
    """Several orders want the same rare lock; what one gives back another gets."""
    await story.order(sku=RARE)
    await story.stock(story.chance.randrange(2))
    await story.opens("missing_product")
    items = [{"sku": RARE, "quantity": 1, "unit_cost_fen": LOCK_COST_FEN}]
    reshipment = (await story.do("order_reshipment", trigger="now", items=items))["reshipment"]
    await story.do("assess_cause", cause="lost_in_transit", party_name="ZTO")
    if story.chance.random() < 0.3:
        await story.do("cancel_reshipment", reshipment=reshipment)
        await story.refunded(by=LEAD, refund_only=True)
    else:
        await story.reshipped(reshipment, may=("not_released",))
    await story.closes()


PLOTS: Sequence[Plot] = (
    delay,
    at_once,
    sent_back,
    sent_back,
    not_accepted,
    exchanged,
    wrong_product,
    lost,
    sold,
    no_installer,
    reassigned,
    short_of_stock,
)


@lru_cache
def _photo(number: int) -> bytes:
    return generate_photo(number)

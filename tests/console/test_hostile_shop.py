"""A shop in which every name and text is hostile: pages show them as text."""

from playwright.sync_api import Dialog

from tests.console.browser import PHONE, Desk
from tests.http.server import Server, order_body

SCRIPT = "<script>alert(1)</script><img/src=x/onerror=alert(2)>"
#: Breaks out of attributes, runs from right to left, holds emoji, templates and what a spreadsheet takes for a formula.
HOSTILE = "\"'><svg/onload=alert(3)>\u202e{{7*7}}${7*7}🔒=cmd|'/c'"
SKU = 'SKU"><svg/onload=alert(4)>'
CARRIER = "</td><script>alert(5)</script>"
HUGE = "很长" * 1_900


def test_hostile_names_and_texts_are_shown_as_text(shop: Server, desk: Desk) -> None:
    """Whatever people, orders and bills are called, nothing of it runs, and a page stays as wide as a phone."""
    _filled(shop)
    page = desk.person("store_manager", "老陈", roles="store_manager finance", size=PHONE)
    dialogs: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    for path in (
        "/console/cases",
        "/console/cases/EVIL1-1",
        "/console/cases/EVIL1-1/do/order-reshipment",
        "/console/orders/EVIL1",
        "/console/approvals",
        "/console/stock",
        "/console/liability",
        "/console/liability?by=sku",
        "/console/liability/recoveries",
        "/console/new-case?order_id=EVIL1",
        "/console/finance/statements",
        f"/console/search?q={'%22%3E%3Cscript%3Ealert(9)%3C/script%3E'}",
    ):
        page.goto(path)
        assert page.locator("main svg[onload], main img[onerror], main script:not([type])").count() == 0, path
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
    assert not dialogs
    page.goto("/console/cases/EVIL1-1")
    said = page.locator("main").inner_text()
    assert SCRIPT in said
    assert "{{7*7}}" in said
    assert HUGE[:100] in page.locator("main").text_content()  # type: ignore[operator]


def _filled(shop: Server) -> None:
    order = order_body("EVIL1")
    order |= {"carrier": CARRIER, "people": {"installer": HOSTILE[:90], "customer_service": SCRIPT[:90]}}
    order["lines"][0]["sku"] = SKU
    answer = shop.command("/v1/orders/EVIL1", order, "service/erp", method="PUT")
    assert answer.status == 201, answer.raw
    opened = {"order_id": "EVIL1", "problem": "logistics_delay", "description": f"{SCRIPT} {HOSTILE} {HUGE}"}
    assert shop.command("/v1/cases", opened, "agent/<b>小李</b>").status == 201
    for who, command, body in (
        ("agent/<b>小李</b>", "trace-parcel", {"tracking_no": SKU, "status": SCRIPT}),
        ("agent/<b>小李</b>", "propose-compensation", {"kind": "cash", "amount_fen": 500}),
        ("agent/<b>小李</b>", "record-buyer-reply", {"proposal": "P1", "accepted": True}),
        ("agent/<b>小李</b>", "pay-compensation", {"proposal": "P1", "payment_ref": SCRIPT}),
        ("agent/<b>小李</b>", "propose-compensation", {"kind": "cash", "amount_fen": 3_000}),
        ("agent/<b>小李</b>", "assess-cause", {"cause": "lost_in_transit"}),
        ("agent/<b>小李</b>", "escalate", {"role": "team_lead", "reason": SCRIPT}),
    ):
        answer = shop.command(f"/v1/cases/EVIL1-1/{command}", body, who)
        assert answer.status == 200, (command, answer.raw)
    shop.settle()

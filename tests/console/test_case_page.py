"""People at the page of a case: doing things, photos, others' changes, and what hostile people write."""

import base64
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import FilePayload, Page, expect

from services.console.pages.case import live
from tests.console.browser import Desk
from tests.console.pages import Reader
from tests.console.photos import photo, photo_of
from tests.http.server import NOW, Server

HOSTILE: Final = "<script>alert(1)</script><img src=x onerror=alert(2)>\u202eevil\u202c {{ 7*7 }} 😀"

#: Lets a photo fall onto the page, or be pasted, as people do with a mouse or the clipboard.
_CARRY: Final = """([how, bytes, name]) => {
  const carried = new DataTransfer();
  const content = Uint8Array.from(atob(bytes), (one) => one.charCodeAt(0));
  carried.items.add(new File([content], name, {type: "image/jpeg"}));
  const event = how === "drop"
    ? new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: carried})
    : new ClipboardEvent("paste", {bubbles: true, cancelable: true, clipboardData: carried});
  document.querySelector("#evidence").dispatchEvent(event);
}"""


def _open(page: Page, case: str, command: str) -> None:
    """Open the form of an action."""
    page.locator(f"#actions a[data-command={command}]").click()
    expect(page.locator("#form form")).to_be_visible()


def _send(page: Page) -> None:
    page.locator("#form form .buttons button").click()


def _give(page: Page) -> None:
    """Send a form that is taken: the page comes anew."""
    with page.expect_navigation():
        _send(page)


def test_an_agent_compensates_a_buyer(desk: Desk, shop: Server) -> None:
    """The usual way through a case in Chinese: take it, find the cause, offer, hear the buyer, pay, close."""
    case = shop.case("logistics_delay")
    page = desk.person("agent", "小李")
    page.goto(f"/console/cases/{case}")
    _open(page, case, "assign_case")
    _give(page)
    expect(page.locator(".notice.good")).to_have_text("已完成:分派")
    _open(page, case, "assess_cause")
    page.get_by_label("原因", exact=True).select_option("transit_damage")
    _give(page)
    _open(page, case, "propose_compensation")
    page.locator("#form select[name=kind]").select_option("cash")
    page.get_by_label("金额(元)").fill("12.5")
    _give(page)
    page.locator("#affairs").get_by_role("link", name="登记买家答复").click()
    page.get_by_label("是", exact=True).check()
    _give(page)
    page.locator("#affairs").get_by_role("link", name="支付补偿").click()
    page.get_by_label("付款流水号").fill("WX-1")
    _give(page)
    expect(page.locator("#affairs")).to_contain_text("已支付")
    expect(page.locator("#bears")).to_contain_text("快递 YTO")
    _open(page, case, "close_case")
    page.get_by_label("结论").fill("已补偿,买家满意")
    _give(page)
    expect(page.locator("#summary")).to_contain_text("已完结")
    assert shop.get(f"/v1/cases/{case}").body["losses"] == {"courier/YTO": 1250}


def test_the_page_in_english_says_why_something_cannot_be_done(desk: Desk, shop: Server) -> None:
    """What is not possible is there, disabled, with the rule; what can be done is done in English as in Chinese."""
    case = shop.case("logistics_delay")
    page = desk.person("agent", "Li", language="en")
    page.goto(f"/console/cases/{case}")
    page.locator("#blocked-evidence summary").click()
    guidance = page.get_by_role("button", name="Give guidance")
    expect(guidance).to_be_disabled()
    expect(guidance).to_have_accessible_description(
        "This remedy (guidance) does not suit the problem “Late delivery”."
        " Choose another, or reclassify the case first."
    )
    _open(page, case, "trace_parcel")
    page.get_by_label("Tracking number").fill("YT1")
    page.get_by_label("What the carrier says").fill("in Wuhan")
    _send(page)
    expect(page.locator(".notice.good")).to_have_text("Done: Trace parcel")
    expect(page.locator("#timeline li").first).to_contain_text("in Wuhan")
    page.locator("[data-copy]").first.click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("[data-copy]").first.get_attribute("data-copy")


def test_a_mistake_is_shown_at_its_field_and_pressing_twice_counts_once(desk: Desk, shop: Server) -> None:
    """What was typed stays, the cursor is at the mistake; then two presses make one offer, also after going back."""
    case = shop.case("logistics_delay")
    page = desk.person("agent")
    page.goto(f"/console/cases/{case}")
    _open(page, case, "propose_compensation")
    page.locator("#form select[name=kind]").select_option("voucher")
    page.get_by_label("金额(元)").fill("五元")
    _send(page)
    expect(page.locator("#wrong-amount_fen")).to_contain_text("请填金额")
    expect(page.get_by_label("金额(元)")).to_have_value("五元")
    expect(page.get_by_label("金额(元)")).to_be_focused()
    expect(page.locator("#form select[name=kind]")).to_have_value("voucher")
    page.get_by_label("金额(元)").fill("5")
    page.locator("#form form .buttons button").dblclick(no_wait_after=True)
    expect(page.locator("#affairs")).to_contain_text("P1")
    page.reload()
    page.go_back()
    page.go_forward()
    assert len(shop.get(f"/v1/cases/{case}").body["proposals"]) == 1


def test_changes_of_others_appear_and_keep_what_is_typed(desk: Desk, shop: Server) -> None:
    """Two people look at a case: what one does appears at the other, whose half-filled form says so, and is merged."""
    case = shop.case("logistics_delay")
    agent, lead = desk.person("agent", "小李"), desk.person("team_lead", "老张")
    agent.goto(f"/console/cases/{case}")
    lead.goto(f"/console/cases/{case}")
    _open(agent, case, "record_finding")
    agent.locator("#form textarea[name=finding]").fill("快递说明天到")
    _open(lead, case, "propose_compensation")
    lead.locator("#form select[name=kind]").select_option("voucher")
    lead.get_by_label("金额(元)").fill("30")
    _send(lead)
    expect(agent.locator("#timeline li").first).to_contain_text("组长 老张")
    expect(agent.locator("#affairs")).to_contain_text("30.00")
    expect(agent.locator("#form [data-changed]")).to_be_visible()
    expect(agent.locator("#form textarea[name=finding]")).to_have_value("快递说明天到")
    _send(agent)
    expect(agent.locator("#form [role=alert]")).to_contain_text("组长 老张")
    expect(agent.locator("#form textarea[name=finding]")).to_have_value("快递说明天到")
    agent.get_by_role("button", name="在最新状态上提交").click()
    expect(lead.locator("#timeline li").first).to_contain_text("快递说明天到")


def _choose(page: Page) -> None:
    page.locator("#upload-file").set_input_files(
        {"name": HOSTILE[:60], "mimeType": "image/jpeg", "buffer": photo("gold")}
    )
    page.get_by_role("button", name="上传", exact=True).click()


def _carried(how: str, colour: str) -> Callable[[Page], None]:
    content = base64.b64encode(photo(colour)).decode()
    return lambda page: page.evaluate(_CARRY, [how, content, "a.jpg"])


def test_photos_are_chosen_dropped_and_pasted(desk: Desk, shop: Server) -> None:
    """However a photo comes, it is there at once, can be opened larger and be accepted; a form that is open stays as it
    is, and is taken: whoever sends photos need not look at their own."""
    case = shop.case("scratch_on_arrival")
    page = desk.person("agent")
    page.goto(f"/console/cases/{case}")
    _open(page, case, "escalate")
    page.get_by_label("原因", exact=True).fill("还没写完")
    ways = (_choose, _carried("drop", "navy"), _carried("paste", "green"))
    for number, way in enumerate(ways, 1):
        way(page)
        expect(page.locator(".photos li")).to_have_count(number)
    expect(page.get_by_label("原因", exact=True)).to_have_value("还没写完")
    expect(page.locator("#form [data-changed]")).to_be_hidden()
    page.locator("#at-role").select_option("team_lead")
    _give(page)
    expect(page.locator("#timeline li").first).to_contain_text("还没写完")
    expect(page.locator(".photo img").first).to_have_js_property("naturalWidth", 60)
    page.locator(".photo").first.click()
    viewer = page.locator("#viewer")
    expect(viewer).to_be_visible()
    page.keyboard.press("+")
    expect(viewer.locator("img")).to_have_class("zoom-1")
    page.keyboard.press("-")
    page.keyboard.press("ArrowRight")
    expect(viewer.locator("img")).to_have_attribute("src", page.locator(".photo").nth(1).get_attribute("href") or "")
    page.keyboard.press("Escape")
    expect(viewer).to_be_hidden()
    page.locator(".photos li").first.get_by_role("button", name="有效", exact=True).click()
    expect(page.locator(".photos li").first).to_contain_text("有效")
    assert [one["accepted"] for one in shop.get(f"/v1/cases/{case}").body["evidence"]] == [True, None, None]


def test_photos_that_come_while_others_are_on_their_way_wait_for_them(desk: Desk, shop: Server) -> None:
    """Whoever drops one photo after another loses none, however slow the connection is."""
    case = shop.case("scratch_on_arrival")
    page = desk.person("agent")
    page.goto(f"/console/cases/{case}")
    for colour in ("navy", "green", "gold"):
        _carried("drop", colour)(page)
    expect(page.locator(".photos li")).to_have_count(3)


def test_photos_that_are_not_in_view_are_not_loaded(desk: Desk, shop: Server) -> None:
    """A case of many photos opens with the latest; earlier ones that were looked at are loaded when they are unfolded,
    and each has its place before it is there."""
    case = shop.case("damaged_on_arrival")
    for number in range(10):
        body = {"kind": "photo", "file": photo_of(shop, f"#{number}0{number}0{number}0")}
        assert shop.command(f"/v1/cases/{case}/submit-evidence", body).status == 200
    for evidence in ("E1", "E2"):
        verdict = {"evidence": evidence, "accepted": True}
        assert shop.command(f"/v1/cases/{case}/review-evidence", verdict).status == 200
    shop.settle()
    page = desk.person("agent", "小李")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.goto(f"/console/cases/{case}")
    photos = page.locator("#evidence-list img[loading=lazy][decoding=async][width][height]")
    expect(photos).to_have_count(10)
    expect(photos.first).to_have_js_property("naturalWidth", 60)
    earlier = {one["sha256"] for one in shop.get(f"/v1/cases/{case}").body["evidence"][:2]}
    page.wait_for_load_state("load")
    assert asked
    assert not earlier & set(asked)
    page.get_by_text("较早的 2 项").click()
    for one in page.locator("details .photos img").all():
        expect(one).to_have_js_property("naturalWidth", 60)


def test_a_lost_connection_and_an_expired_session_lose_nothing(desk: Desk, shop: Server) -> None:
    """What was typed survives both: it is sent once the connection is back, and is shown again to be sent by who signs
    in anew."""
    case = shop.case("logistics_delay")
    page = desk.person("agent")
    page.goto(f"/console/cases/{case}")
    _open(page, case, "record_finding")
    finding = page.locator("#form textarea[name=finding]")
    finding.fill("已联系买家")
    page.context.set_offline(True)
    with page.expect_event("requestfailed"):
        _send(page)
    expect(page.locator("#connection")).to_be_visible()
    page.context.set_offline(False)
    expect(finding).to_have_value("已联系买家")
    _give(page)
    expect(page.locator("#timeline li").first).to_contain_text("已联系买家")
    _open(page, case, "record_finding")
    finding.fill("过了很久才写完")
    shop.clock.set(NOW + timedelta(hours=3))
    try:
        _send(page)
        expect(page.locator("h1")).to_have_text("登录已过期")
        expect(page.locator("main dl")).to_have_text("核实结果过了很久才写完")
        again = page.context.new_page()
        again.goto(desk.link("agent"))
        page.bring_to_front()
        page.evaluate("window.dispatchEvent(new Event('focus'))")
        expect(page.locator("#sign-in")).to_have_count(0)
        page.get_by_role("button", name="再次提交", exact=True).click()
        expect(page.locator("#timeline li").first).to_contain_text("过了很久才写完")
    finally:
        shop.clock.set(NOW)
    lost = ("htmx:afterRequest", "htmx:sendError")  # what was sent while the connection was lost
    desk.troubles[:] = [one for one in desk.troubles if not any(name in one for name in lost)]


def test_a_file_that_is_no_photo_is_refused_by_name(desk: Desk, shop: Server) -> None:
    """The name is shown as text and the reason in words; without scripts it is the same page."""
    case = shop.case("scratch_on_arrival")
    page = desk.person("agent")
    page.goto(f"/console/cases/{case}")
    bad: FilePayload = {"name": "<b>virus</b>.jpg", "mimeType": "image/jpeg", "buffer": b"MZ no picture"}
    page.locator("#upload-file").set_input_files(bad)
    page.get_by_role("button", name="上传", exact=True).click()
    expect(page.locator("#upload .notice.bad")).to_contain_text("<b>virus</b>.jpg")
    expect(page.locator("#upload .notice.bad")).to_contain_text("不支持这种文件类型")


def test_what_hostile_people_write_is_shown_as_text(desk: Desk, shop: Server) -> None:
    """Scripts, markup, templates, writing that turns around and very long words are shown as they were written."""
    order = shop.order()
    words = HOSTILE + "长" * 600 + "W" * 600
    opened = {"order_id": order, "problem": "logistics_delay", "description": words}
    case = shop.command("/v1/cases", opened, "agent/" + "<i>x</i>").body["case_id"]
    assert shop.command(f"/v1/cases/{case}/close-case", {"resolution": words}).status == 200
    page = desk.person("agent")
    for path in (f"/console/cases/{case}", f"/console/orders/{order}", f"/console/cases/{case}/do/reopen-case"):
        page.goto(path)
        expect(page.locator("main")).to_contain_text("<script>alert(1)</script>")
        assert page.locator("main script, main img[onerror]").count() == 0
        assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    page.goto(f"/console/cases/{case}")
    expect(page.locator("#summary")).to_contain_text("<i>x</i>")
    expect(page.locator("#summary")).to_contain_text("{{ 7*7 }}")


def test_an_order_shows_its_cases_together(desk: Desk, shop: Server) -> None:
    """All cases of an order and their money on one page, which follows what happens to any of them."""
    order = shop.order()
    for problem in ("logistics_delay", "installer_no_show"):
        body = {"order_id": order, "problem": problem, "description": "…"}
        assert shop.command("/v1/cases", body).status == 201
    page = desk.person("agent")
    page.goto(f"/console/orders/{order}")
    expect(page.locator("#cases tbody tr")).to_have_count(2)
    offer = {"kind": "voucher", "amount_fen": 1234}
    assert shop.command(f"/v1/cases/{order}-2/propose-compensation", offer).status == 200
    expect(page.locator("#totals")).to_contain_text("12.34")
    page.get_by_role("link", name=f"{order}-2").click()
    expect(page.locator("h1")).to_contain_text("师傅不上门")


def test_the_money_is_explained_down_to_the_events(desk: Desk, shop: Server) -> None:
    """Every figure can be opened down to what happened, on the page and, without scripts, on one of its own."""
    case = shop.case("logistics_delay")
    for command, body in (
        ("assess-cause", {"cause": "transit_damage"}),
        ("propose-compensation", {"kind": "cash", "amount_fen": 1500}),
        ("record-buyer-reply", {"proposal": "P1", "accepted": True}),
        ("pay-compensation", {"proposal": "P1", "payment_ref": "W1"}),
    ):
        assert shop.command(f"/v1/cases/{case}/{command}", body).status == 200
    shop.settle()
    page = desk.person("agent")
    page.goto(f"/console/cases/{case}")
    page.locator(".explain summary").first.click()
    expect(page.locator(".trees")).to_contain_text("已付给买家的现金补偿")
    page.goto(f"/console/cases/{case}/money")
    expect(page.locator(".tree").last).to_contain_text("补偿已支付")


def test_following_ends_with_the_session_and_when_the_server_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody follows changes after their session, and pages that follow them hold up no stop."""
    server = Server(tmp_path)
    try:
        case = server.case()
        reader = Reader(server, "agent")
        connection = reader.follow(f"/console/cases/{case}/live?after=1")
        assert connection.readline().startswith(b": here")
        assert connection.readline() == b"\n"
        assert connection.readline().startswith(b"id: ")
        begun = time.monotonic()
        server.restart()
        assert time.monotonic() - begun < 5
        assert b"changed" in connection.read()
        reader.close()
        monkeypatch.setattr(live, "WAIT_SECONDS", 1)
        reader = Reader(server, "agent")
        connection = reader.follow(f"/console/cases/{case}/live?after=999999")
        assert connection.readline() == b": here\n"
        server.clock.set(NOW + timedelta(hours=3))
        assert b"event: expired\n" in connection.read()
        reader.close()
    finally:
        server.close()


@pytest.mark.parametrize("after", ["1", "999999", "x", ""])
def test_following_begins_with_what_was_missed(shop: Server, after: str) -> None:
    """Whoever comes back after a while is told at once that something happened, and otherwise waits."""
    case = shop.case()
    reader = Reader(shop, "agent")
    lines = reader.follow(f"/console/cases/{case}/live?after={after}")
    assert lines.readline() == b": here\n"
    if after != "999999":
        lines.readline()
        told = [lines.readline() for _ in range(3)]
        version = shop.get(f"/v1/cases/{case}").body["version"]
        assert told == [f"id: {version}\n".encode(), b"event: changed\n", f"data: {version}\n".encode()]
    reader.close()

"""Days of an agent, a lead and the warehouse at their lists, in browsers."""

from functools import partial

import pytest
from playwright.sync_api import Page, expect

from services.console.texts import LANGUAGES, catalogue
from services.kernel.long_work import told_nobody
from tests.console.browser import PHONE, Desk
from tests.http.server import Server


@pytest.fixture(scope="module")
def busy(shop: Server) -> Server:
    """A shop in the middle of its work: at every stage there is a case."""
    shop.run(shop.embedded._load_sample("小李", told_nobody))
    shop.settle()
    return shop


def count_of(page: Page, card: str) -> int:
    """The number on a card."""
    return int(page.locator(".card", has_text=card).locator(".count").inner_text())


@pytest.mark.parametrize(
    ("language", "unassigned", "mine", "take", "done"),
    [
        ("zh", "无人负责", "我的售后单", "由我处理", "已完成:分派"),
        ("en", "Nobody has it yet", "My cases", "Take it", "Done: Assign"),
    ],
)
def test_an_agent_takes_a_case(
    desk: Desk, busy: Server, language: str, unassigned: str, mine: str, take: str, done: str
) -> None:
    """From the sign-in to a case of one's own: the list of what nobody has, taking the first, and it is counted."""
    page = desk.person("agent", "小李", language=language)
    had, waiting = count_of(page, mine), count_of(page, unassigned)
    page.locator(".card", has_text=unassigned).click()
    expect(page.locator("h1")).to_have_text(unassigned)
    case_id = page.locator("tbody th").first.inner_text()
    page.locator("tbody tr").first.get_by_role("button", name=take).click()
    page.wait_for_url(f"**/console/cases/{case_id}")
    expect(page.locator(".notice.good")).to_contain_text(done)
    busy.settle()
    page.locator(".brand").click()
    expect(page.locator(".card", has_text=mine).locator(".count")).to_have_text(str(had + 1))
    assert count_of(page, unassigned) == waiting - 1


def test_whoever_comes_back_sees_how_much_there_is_now(desk: Desk, busy: Server) -> None:
    """The numbers of a page that stayed open all day are those of now once somebody looks at it again."""
    page = desk.person("agent", "小李")
    waiting = count_of(page, "无人负责")
    busy.case()
    busy.settle()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(".card", has_text="无人负责").locator(".count")).to_have_text(str(waiting + 1))


def test_filters_live_in_the_address(desk: Desk, busy: Server) -> None:
    """What was filtered is in the address, is there again after the back button, and is walked by keys."""
    page = desk.person("agent", "小李")
    page.goto("/console/cases")
    page.get_by_label("问题", exact=True).select_option("damaged_on_arrival")
    page.get_by_label("状态", exact=True).select_option("open")
    page.get_by_role("button", name="显示").click()
    page.wait_for_url("**/console/cases?status=open&problem=damaged_on_arrival&**")
    cases = page.locator("tbody th").all_inner_texts()
    wanted = busy.get("/v1/cases?status=open&problem=damaged_on_arrival").body["items"]
    assert cases == [one["case_id"] for one in wanted]
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/console/cases/{cases[1]}")
    page.go_back()
    expect(page.get_by_label("问题", exact=True)).to_have_value("damaged_on_arrival")
    assert page.locator("tbody th").all_inner_texts() == cases


@pytest.fixture
def two_wait(busy: Server) -> Server:
    """A shop in which two compensations wait for a lead."""
    waiting = busy.get("/v1/cases?status=open&approver=team_lead").body["items"]
    for _ in range(2 - len(waiting)):
        case_id = busy.case()
        offer = {"kind": "cash", "amount_fen": 8000}
        proposed = busy.command(f"/v1/cases/{case_id}/propose-compensation", offer, "agent/小王")
        assert proposed.status == 200, proposed.raw
    busy.settle()
    return busy


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_lead_approves_many_by_keys(desk: Desk, two_wait: Server, language: str) -> None:
    """A lead ticks by keys, sees the sum, approves all at once, and is told what became of each; one that a colleague
    declined meanwhile says so."""
    say = partial(catalogue().say, language)
    page = desk.person("team_lead", "老陈", language=language)
    page.locator(".card", has_text=say("work.for_team_lead")).click()
    page.wait_for_url("**/console/approvals?status=open&approver=team_lead")
    page.keyboard.press("j")
    page.keyboard.press("Space")
    expect(page.locator("#chosen")).to_contain_text("1 · ")
    page.keyboard.press("a")
    expect(page.locator("#chosen")).to_contain_text("2 · ")
    declined = page.locator("tbody th").first.inner_text()
    body = {"proposal": "P1"}
    assert two_wait.command(f"/v1/cases/{declined}/decline-approval", body, "store_manager").status == 200
    page.get_by_role("button", name=say("approvals.approve")).click()
    expect(page.locator("main .notice")).to_have_text(say("approvals.sum", done=1, refused=1))
    expect(page.locator("tr", has_text=declined)).to_contain_text(say("approvals.not_approved"))
    page.get_by_role("link", name=say("approvals.back")).click()
    expect(page.locator("tbody")).to_have_text(say("approvals.none"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_warehouse_scans(desk: Desk, busy: Server, language: str) -> None:
    """A scanned waybill opens the case at its inspection, on a phone too; once it is done, the next can be scanned and
    the list is shorter."""
    say = partial(catalogue().say, language)
    page = desk.person("warehouse", "西仓", language=language, size=PHONE)
    to_inspect = say("work.to_inspect")
    waiting = count_of(page, to_inspect)
    case_id = busy.get("/v1/cases?stage=return_to_inspect").body["items"][0]["case_id"]
    waybill = busy.get(f"/v1/cases/{case_id}").body["returns"][0]["tracking_no"]
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.press("/")  # for whoever is used to it
    page.keyboard.type(waybill.lower())
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/console/cases/{case_id}/do/receive-return?return_id=RT1#form")
    form = page.locator("#form form")
    form.get_by_label(say("actions.fields.resalable")).select_option("yes")
    form.get_by_role("group", name=say("actions.receive_return.accepted")).get_by_label(say("page.yes")).check()
    form.get_by_role("button", name=say("actions.send")).click()
    page.wait_for_url(f"**/console/cases/{case_id}")
    expect(page.locator("#search")).to_be_focused()
    busy.settle()
    page.locator(".brand").click()
    expect(page.locator(".card", has_text=to_inspect).locator(".count")).to_have_text(str(waiting - 1))


def test_a_case_is_opened_with_its_steps_at_hand(desk: Desk, busy: Server) -> None:
    """The lines of the order are there to choose from, the steps appear with the problem, and texts are but texts."""
    order_id = busy.order()
    page = desk.person("agent", "小李")
    page.get_by_role("link", name="登记售后").click()
    page.get_by_label("订单号").fill(order_id)
    page.get_by_role("button", name="查订单").click()
    page.get_by_label("LOCK-A1", exact=False).first.check()
    page.get_by_label("LOCK-A1 的件数").fill("1")
    page.get_by_label("什么问题").select_option("scratch_on_arrival")
    expect(page.locator("#steps li").first).to_be_visible()
    expect(page.locator("#steps .notice")).to_contain_text("照片")
    page.get_by_label("买家怎么说").fill("<b>面板</b>有划痕 🔒")
    page.get_by_role("button", name="登记", exact=True).click()
    page.wait_for_url(f"**/console/cases/{order_id}-1")
    expect(page.locator("#summary")).to_contain_text("<b>面板</b>有划痕 🔒")

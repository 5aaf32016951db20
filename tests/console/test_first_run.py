"""An empty installation, and its first five minutes."""

import pytest
from playwright.sync_api import expect

from services.kernel.long_work import Tell
from tests.console.browser import Desk
from tests.console.pages import Reader, text_of
from tests.http.server import Server


def test_only_who_may_know_is_offered_a_sample_shop(shop: Server) -> None:
    """Whether there are orders is the store manager's to know; for others the page is as usual, and a request to load
    is refused with the API's reason."""
    agent = Reader(shop, "agent")
    assert "载入示例店铺" not in text_of(agent.get("/console/"))
    refused = agent.post("/console/first-run", {"csrf": agent.csrf()})
    assert refused.status == 403
    assert agent.get("/console/first-run").headers["Location"] == "/console/"
    agent.close()


def test_a_sample_shop_that_cannot_be_loaded_says_so(shop: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where loading breaks off, whoever watches it is told, and it can be tried again."""

    async def broken(person: str, tell: Tell) -> None:
        await tell(1, 2)
        raise ValueError(person)

    assert shop.embedded._console is not None
    monkeypatch.setattr(shop.embedded._console._first_run, "_load", broken)
    manager = Reader(shop, "store_manager")
    assert manager.post("/console/first-run", {"csrf": manager.csrf()}).headers["Location"] == "/console/first-run"
    assert "没有载入完" in text_of(manager.get("/console/first-run"))
    assert "载入示例店铺" in text_of(manager.get("/console/"))
    manager.close()


def test_a_newcomer_loads_the_sample_shop_and_is_shown_around(desk: Desk, shop: Server) -> None:
    """The offer, the progress, the tour, whose buttons change the role and lead to where something is tried, its
    end and its way back; nothing is loaded a second time."""
    page = desk.person("store_manager", "小王", roles="store_manager team_lead agent warehouse finance")
    expect(page.locator(".welcome")).to_contain_text("现在还没有订单")
    page.get_by_role("button", name="载入示例店铺").click()
    expect(page.locator("h1")).to_have_text("正在载入示例店铺")
    page.wait_for_url("**/console/")
    expect(page.locator(".tour > li")).to_have_count(4)
    shop.settle()
    cases = len(shop.get("/v1/cases?limit=500").body["items"])
    manager = Reader(shop, "store_manager")
    assert manager.post("/console/first-run", {"csrf": manager.csrf()}).headers["Location"] == "/console/"
    assert len(shop.get("/v1/cases?limit=500").body["items"]) == cases
    manager.close()
    page.get_by_role("button", name="以客服身份开始").first.click()
    expect(page.locator("#field-problem")).to_be_visible()  # an order that nobody complained of
    expect(page.locator(".person")).to_contain_text("客服")
    expect(page.locator(".notice.warn")).to_have_count(0)
    page.locator(".brand").click()
    page.get_by_role("button", name="以仓库身份开始").click()
    page.wait_for_url("**/console/cases?stage=return_to_inspect")
    expect(page.locator(".person")).to_contain_text("仓库")
    page.locator("tbody th a").first.click()
    page.wait_for_url("**/do/receive-return#form")
    page.locator(".brand").click()
    page.get_by_role("button", name="不再显示").click()
    expect(page.locator(".welcome")).to_have_count(0)
    page.get_by_role("button", name="导览").click()
    expect(page.locator(".tour > li")).to_have_count(4)

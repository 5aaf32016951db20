"""A day of those who keep the services running, in a browser."""

import pytest
from playwright.sync_api import Page, expect

from tests.console.browser import Desk
from tests.console.pages import Reader
from tests.http.server import Server

#: A process is begun for each operation, which takes a few seconds where much else is done.
PATIENCE_MS = 40_000


def _start(page: Page, kind: str, reason: str, *ticks: str) -> None:
    """Start an operation as the form of its kind has it."""
    page.goto(f"/console/operations/start/{kind}")
    for tick in ticks:
        page.get_by_label(tick).check()
    page.locator("#field-reason").fill(reason)
    page.locator("#form button").click()
    expect(page.locator("#run")).to_be_visible()


def test_a_day_in_chinese(desk: Desk, shop: Server) -> None:
    """The operator sees that nobody is behind, verifies, calls a check off, asks what if (with a mistake first), and
    finds all of it in the audit."""
    case = shop.case()
    offer = {"kind": "cash", "amount_fen": 1_500}
    assert shop.command(f"/v1/cases/{case}/propose-compensation", offer).status == 200
    shop.settle()
    page = desk.person("store_manager", "老陈")
    page.get_by_role("link", name="运维").click()
    expect(page.locator("#lag .notice.good")).to_have_text("没有消费者落后。")
    expect(page.locator("#lag canvas").first).to_be_visible()

    page.get_by_role("link", name="操作", exact=True).click()
    page.get_by_role("link", name="校验日志").click()
    page.locator("#form button").click()  # the browser asks for a reason first
    page.get_by_label("原因").fill("每月校验")
    page.locator("#form button").click()
    verifying = page.url
    expect(page.locator("#run .notice.good")).to_have_text("日志与写入时完全一致", timeout=PATIENCE_MS)
    expect(page.locator("#run-title")).to_contain_text("已完成")

    _start(page, "doctor", "看看")
    page.get_by_label("原因").fill("不用了")
    page.get_by_role("button", name="取消").click()
    expect(page.locator("#run-title")).to_contain_text("已取消")
    expect(page.locator("#run")).to_contain_text("不用了")

    page.get_by_role("link", name="假如", exact=True).click()
    page.get_by_label("改动的政策").fill("authority:\n  agents: 500\n")
    page.get_by_label("原因").fill("权限收紧会怎样")
    page.get_by_role("button", name="重演").click()
    expect(page.locator("#mistakes")).to_contain_text("第 2 行")
    expect(page.locator("#mistakes")).to_contain_text("agents: 500")
    expect(page.get_by_label("原因")).to_have_value("权限收紧会怎样")
    page.get_by_label("改动的政策").fill("authority:\n  agent: 500\n")
    page.get_by_role("button", name="重演").click()
    row = page.get_by_role("row", name=case)
    expect(row).to_contain_text("无须审批 → 组长", timeout=PATIENCE_MS)

    page.get_by_role("link", name="审计", exact=True).click()
    expect(page.locator(f'a[href="{verifying.partition(shop.address)[2]}"]').first).to_be_visible()
    expect(page.locator("table")).to_contain_text("店长 老陈")


def test_rebuilding_in_english(desk: Desk) -> None:
    """One read table is built anew beside the one in use, and told to be equal to it."""
    page = desk.person("store_manager", "Chen", language="en")
    _start(page, "rebuild", "after the upgrade", "case_view")
    expect(page.locator("#run .notice.good")).to_have_text("The new tables equal those in use", timeout=PATIENCE_MS)
    expect(page.get_by_role("row", name="case_view")).to_be_visible()


def test_a_run_is_paused_and_goes_on(desk: Desk) -> None:
    """Who pauses says why; it can then be gone on with."""
    page = desk.person("store_manager", "Chen", language="en")
    _start(page, "doctor", "monthly")
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Reason").fill("busy now")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#run-title")).to_contain_text("paused")
    page.get_by_label("Reason").fill("quiet again")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#run-title")).to_contain_text("finished", timeout=PATIENCE_MS)


@pytest.mark.parametrize(("language", "first", "last"), [("zh", "未分派", "老张"), ("en", "nobody yet", "老张")])
def test_through_time_by_keyboard(desk: Desk, shop: Server, language: str, first: str, last: str) -> None:
    """The slider goes from moment to moment with the arrow keys; the case is shown as it was, and what became of it."""
    case = shop.case()
    assigned = shop.command(f"/v1/cases/{case}/assign-case", {"to": "team_lead/老张"}, "team_lead/老张")
    assert assigned.status == 200, assigned.raw
    page = desk.person("store_manager", "老陈", language=language)
    page.goto(f"/console/operations/time?case_id={case}")
    then = page.locator("#then")
    expect(then.locator(".facts")).to_contain_text(last)
    page.locator("#moment").focus()
    page.keyboard.press("Home")
    expect(then.locator(".facts")).to_contain_text(first)
    expect(page.locator("#moments a").first).to_have_attribute("aria-current", "true")
    page.keyboard.press("End")
    expect(then.locator(".facts")).to_contain_text(last)
    expect(then.locator("#sentence")).not_to_be_empty()
    page.reload()
    expect(then.locator(".facts")).to_contain_text(last)


def test_what_changes_of_the_overview_is_fetched_by_itself(shop: Server) -> None:
    """A page that is open asks for the part that changes, and gets that alone."""
    boss = Reader(shop, "store_manager")
    part = boss.get("/console/operations", HX_Request="true")
    assert part.raw.lstrip().startswith(b'<section id="lag"')
    boss.close()

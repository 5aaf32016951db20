"""Coming in, changing role and language, going out."""

from tests.console.browser import Desk


def test_a_link_signs_in_once(desk: Desk) -> None:
    """A one-time link signs in whoever opens it first, and nobody afterwards."""
    link = desk.link("agent", "小李")
    first, second = desk.stranger(), desk.stranger()
    first.goto(link)
    assert first.locator(".person").inner_text() == "客服 小李"
    second.goto(link)
    assert "一次性链接" in second.locator("main").inner_text()
    assert second.locator(".person").count() == 0


def test_a_page_is_shown_in_the_language_of_its_reader(desk: Desk) -> None:
    """The browser's language is taken, and the switch changes it for good."""
    page = desk.person("agent", "Li", language="en")
    page.goto("/console/cases")
    assert page.locator("h1").inner_text() == "Cases"
    page.get_by_role("button", name="中文").click()
    page.wait_for_url("**/console/cases")
    assert page.locator("h1").inner_text() == "售后单"

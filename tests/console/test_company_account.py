"""Signing in with the company's account, in a browser and with a real provider."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.console.browser import Desk
from tests.console.provider.running import CLIENT_ID, CLIENT_SECRET, throwaway_provider
from tests.http.server import Server


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A shop whose people have accounts at a provider."""
    with throwaway_provider() as issuer:
        folder = tmp_path_factory.mktemp("shop")
        client: dict[str, Any] = {"oidc_client_id": CLIENT_ID, "oidc_client_secret": CLIENT_SECRET}
        running = Server(folder, oidc_issuer=issuer, oidc_scopes="openid profile roles", **client)
        yield running
        running.close()


def test_in_at_the_page_that_was_wanted_and_out_again(shop: Server, chromium: Browser) -> None:
    """An account lets in where somebody wanted to go, with their roles, and they leave here and at the provider."""
    desk = Desk(shop, chromium)
    page = desk.stranger()
    page.goto("/console/cases?status=open")
    page.get_by_role("link", name="用公司账号登录").click()
    page.locator("input[name=login]").fill("u-lead")
    page.locator("input[name=login]").press("Enter")
    page.wait_for_url("**/console/cases?status=open")
    assert page.locator(".person").inner_text().split() == ["组长", "王姐"]
    assert page.locator("#role option").all_inner_texts() == ["组长", "客服"]
    page.get_by_role("button", name="退出").click()
    page.wait_for_url("**/console/signed-out")
    assert page.get_by_role("link", name="同时退出公司账号").count() == 1
    page.goto("/console/cases")
    assert "/console/sign-in" in page.url
    desk.close()
    assert not desk.troubles


def test_who_has_no_role_here_is_told_so(shop: Server, chromium: Browser) -> None:
    """An account without a role of the shop comes to the sign-in page, which says what is missing."""
    desk = Desk(shop, chromium)
    page = desk.stranger(language="en")
    page.goto("/console/sign-in/provider")
    page.locator("input[name=login]").fill("u-guest")
    page.locator("input[name=login]").press("Enter")
    assert "role" in page.get_by_role("alert").filter(visible=True).inner_text()
    desk.close()

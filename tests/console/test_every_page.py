"""What holds for every page: it works in a browser, in both languages, on a desk and a phone, and for everybody."""

import re

import pytest
from aiohttp import web
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.console.browser import PHONE, Desk
from tests.console.places import NOT_PAGES, PLACES, furnish
from tests.http.server import Server

#: What an accessibility checker finds that keeps people from using a page.
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def furnished(shop: Server) -> Server:
    """A shop in which every page has something to show."""
    furnish(shop)
    return shop


def test_every_page_is_looked_at(shop: Server) -> None:
    """A page that is added is looked at by the tests of this module too."""
    assert shop.embedded._console is not None
    routes = shop.embedded._console.app.router.routes()
    pages = {_plain(route) for route in routes if route.method == "GET"}
    assert pages == {_without_query(place) for place in PLACES} | NOT_PAGES


@pytest.mark.usefixtures("furnished")
def test_pages_have_no_errors_and_nothing_serious_for_an_accessibility_checker(desk: Desk) -> None:
    """Every page loads without an error of a script, within its security policy, and can be used by everybody."""
    page = desk.person("store_manager", "老陈", roles="store_manager finance")
    found = []
    for pattern, path in PLACES.items():
        _opened(page, path)
        found += [f"{pattern}: {violation}" for violation in _violations(page)]
    assert not found, "\n".join(found)


@pytest.mark.usefixtures("furnished")
def test_pages_fit_a_phone_in_english(desk: Desk) -> None:
    """Every page is there in English, whose words are longer, and nothing is wider than a phone but tables, which
    scroll by themselves."""
    page = desk.person("store_manager", "Chen", language="en", roles="store_manager finance", size=PHONE)
    too_wide = []
    for path in PLACES.values():
        _opened(page, path)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            too_wide.append(path)
    assert not too_wide


def _opened(page: Page, path: str) -> None:
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == 200, path
    assert page.locator("h1").count() == 1, path


def _violations(page: Page) -> list[str]:
    response = Axe().run(page, options={"resultTypes": ["violations"]}).response
    return [
        f"{one['id']} ({one['help']}): {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in response["violations"]
        if one["impact"] in SERIOUS
    ]


def _plain(route: web.AbstractRoute) -> str:
    assert route.resource is not None
    return str(route.resource.canonical)


def _without_query(place: str) -> str:
    return re.sub(r"\?.*", "", place)

"""What holds for every page: it works in a browser, in both languages, on a desk and a phone, and for everybody."""

import re

import pytest
from aiohttp import web
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.console.browser import DESK, PHONE, Desk
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
def test_pages_fit_a_phone_in_english_and_have_nothing_serious_either(desk: Desk) -> None:
    """Every page is there in English, whose words are longer; nothing is wider than a phone but tables, which scroll
    by themselves; and in this shape too everybody can use it."""
    page = desk.person("store_manager", "Chen", language="en", roles="store_manager finance", size=PHONE)
    found = []
    for pattern, path in PLACES.items():
        _opened(page, path)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{pattern}: too wide")
        found += [
            f"{pattern}: {violation}" for violation in _violations(page, "color-contrast")
        ]  # colours are the same in each shape
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("size", "language", "most"), [(DESK, "en", 92), (DESK, "zh", 52), (PHONE, "en", 136)])
def test_the_head_of_a_page_is_tidy(desk: Desk, size: dict[str, int], language: str, most: int) -> None:
    """With all roles and menus it takes a row or two, three on a phone, and the role stands at its right."""
    roles = "store_manager team_lead agent warehouse finance"
    page = desk.person("store_manager", "Chen", language=language, roles=roles, size=size)
    head = page.locator("header").bounding_box()
    role = page.locator(".working").bounding_box()
    assert head is not None
    assert role is not None
    assert head["height"] <= most
    assert role["x"] > size["width"] / 4
    assert role["y"] < 20


def test_keys_are_told_of(desk: Desk) -> None:
    """Whoever asks with "?" is told which keys there are."""
    page = desk.person("agent")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_contain_text("搜索")
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()


def _opened(page: Page, path: str) -> None:
    answer = page.goto(path)
    assert answer is not None
    assert answer.status == 200, path
    assert page.locator("h1").count() == 1, path


def _violations(page: Page, *without: str) -> list[str]:
    rules = {rule: {"enabled": False} for rule in without}
    response = Axe().run(page, options={"resultTypes": ["violations"], "rules": rules}).response
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

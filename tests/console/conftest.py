"""A shop with its console, and browsers in front of it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.console.browser import Desk, browser
from tests.http.server import Server


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server with its console; its clock stands still unless a test sets it."""
    running = Server(tmp_path_factory.mktemp("shop"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser of this module's tests, which are no coroutines."""
    with browser() as running:
        yield running


@pytest.fixture
def desk(shop: Server, chromium: Browser) -> Iterator[Desk]:
    """Browsers of people; a test fails where a page had an error in a script or broke its security policy."""
    people = Desk(shop, chromium)
    yield people
    people.close()
    assert not people.troubles

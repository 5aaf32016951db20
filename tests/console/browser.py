"""People at their browsers: Debian's Chromium, headless, on the real pages of a real server."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final

import structlog
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.http.server import Server

log = structlog.get_logger(__name__)

#: Chromium without windows takes half of the time of the one that only hides them.
_HEADLESS, _WHOLE = "chromium-headless-shell", "chromium"
_INSTALL: Final = ("apt-get", "install", "--yes", "--no-install-recommends", _HEADLESS)
_INSTALL_SECONDS: Final = 180
#: Without a sandbox because tests may run as root; nothing is asked of the network.
_ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESK: Final = {"width": 1280, "height": 900}
PHONE: Final = {"width": 390, "height": 844}
#: How long a page may take on a busy machine.
PATIENCE_MS: Final = 30_000
expect.set_options(timeout=PATIENCE_MS)


class ChromiumMissing(Exception):
    """Debian's Chromium is not on this machine. Install it: `apt-get install --yes chromium-headless-shell`."""


@cache
def chromium() -> str:
    """The browser's program; installed where Debian lets us, by one process while others wait. Raises
    ChromiumMissing."""
    with (Path(tempfile.gettempdir()) / "aftersales-installing-chromium").open("a+") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        turn.seek(0)
        wanted = not shutil.which(_HEADLESS) and (not turn.read() or not shutil.which(_WHOLE))
        if wanted and os.geteuid() == 0 and shutil.which("apt-get"):
            log.warning("installing_chromium", command=" ".join(_INSTALL))
            turn.write("tried")
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(_INSTALL, capture_output=True, check=False, timeout=_INSTALL_SECONDS)
    if found := shutil.which(_HEADLESS) or shutil.which(_WHOLE):
        return found
    raise ChromiumMissing(ChromiumMissing.__doc__)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser; only in tests that are not coroutines, and ended before any coroutine runs in this process."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=list(_ARGUMENTS))
        try:
            yield running
        finally:
            running.close()


class Desk:
    """Where people of one shop sit. Whatever a page does wrong in a browser is noted."""

    def __init__(self, server: Server, running: Browser) -> None:
        self.server = server
        self._browser = running
        self._contexts: list[BrowserContext] = []
        #: Errors of scripts, and what the security policy stopped.
        self.troubles: list[str] = []

    def person(
        self, role: str, name: str = "", *, language: str = "zh", size: dict[str, int] | None = None, roles: str = ""
    ) -> Page:
        """Somebody signed in, in a browser of their own, at the page where their work begins."""
        page = self.stranger(language=language, size=size)
        page.goto(self.link(role, name, roles))
        return page

    def link(self, role: str, name: str = "", roles: str = "") -> str:
        """A one-time link for a person; `roles`: more than one, with blanks between."""
        return self.server.embedded.link(name or f"小{role}", tuple((roles or role).split()))

    def stranger(self, *, language: str = "zh", size: dict[str, int] | None = None) -> Page:
        """Somebody who is not signed in, before an empty page."""
        context = self._browser.new_context(
            base_url=self.server.embedded.base_url,
            locale={"zh": "zh-CN", "en": "en-GB"}[language],
            viewport=size or DESK,  # type: ignore[arg-type]
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(PATIENCE_MS)
        self._contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.troubles.append(f"{page.url}: {error}"))
        page.on("console", lambda said: self._note(page, said.type, said.text))
        return page

    def _note(self, page: Page, kind: str, text: str) -> None:
        # A refused form answers with 4xx, which browsers log as an error of loading.
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.troubles.append(f"{page.url}: {text}")

    def close(self) -> None:
        """Everybody leaves."""
        for context in self._contexts:
            context.close()
        self._contexts.clear()

"""`python -m tests.console.screenshots`: pictures of the main pages, as the READMEs show them, of the sample shop."""

import asyncio
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from PIL import Image
from playwright.sync_api import Page

from services.embedded import Embedded
from services.kernel import logging
from services.kernel.settings import load_settings
from services.sample.loading import load
from tests.console.browser import browser

FOLDER: Final = Path(__file__).parents[2] / "docs" / "console"
ALL_ROLES: Final = ("store_manager", "team_lead", "agent", "warehouse", "finance")
#: What is shown: the picture, the role of who looks, and the page; `{case}` is one with a lot to see.
PICTURES: Final = (
    ("work", "agent", "/console/"),
    ("case", "agent", "/console/cases/{case}"),
    ("approvals", "team_lead", "/console/approvals"),
    ("liability", "store_manager", "/console/liability"),
    ("finance", "finance", "/console/finance"),
    ("operations", "store_manager", "/console/operations"),
)
SIZE: Final = {"width": 1280, "height": 860}


def main() -> int:
    """Make all pictures, in both languages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(120)

    with TemporaryDirectory() as folder, browser() as running:
        logging.set_up("error", "json")
        server = Embedded(load_settings({}, data_dir=Path(folder), port=0))
        run(server.start())
        run(load(server.base_url, server.token, server.clock.now()))
        run(server.settle())
        for language, locale in (("zh", "zh-CN"), ("en", "en-GB")):
            for name, role, path in PICTURES:
                roles = (role, *(other for other in ALL_ROLES if other != role))
                page = running.new_page(base_url=server.base_url, locale=locale, viewport=SIZE)  # type: ignore[arg-type]
                page.goto(server.link("王店长", roles))
                page.goto(path.format(case=_telling_case(page)))
                page.wait_for_load_state("networkidle")
                _kept(page, FOLDER / f"{name}.{language}.png")
                page.close()
        run(server.stop())
    return 0


def _telling_case(page: Page) -> str:
    """A case with money, goods and photos in it: the one that a lead would look at."""
    page.goto("/console/cases?stage=return_to_inspect")
    return page.locator("tbody th a").first.inner_text()


def _kept(page: Page, file: Path) -> None:
    """A picture in few colours, which takes a third of the room and looks the same."""
    page.screenshot(path=file)
    with Image.open(file) as picture:
        picture.convert("RGB").quantize(128).save(file, optimize=True)
    print(file.name, file.stat().st_size, file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())

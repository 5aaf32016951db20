"""A day of an accountant, from the bills to the closed month, in Chinese and in English."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from services.console.texts import catalogue
from services.wording.books import CORRECTION_STATES, DISCREPANCIES, IMPORT_OUTCOMES, PERIOD_STATES
from tests.console.browser import Desk
from tests.finance.reconciling.office import Office, delivered
from tests.http.server import Server

LANGUAGES = ("zh", "en")


@pytest.fixture(scope="module", params=LANGUAGES)
def office(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """October is over: the shop paid two rewards, and nothing was compared with the bills yet."""
    office = Office(tmp_path_factory.mktemp(request.param) / "data", "2026-11-03T10:00:00+08:00")
    office.paid("HB1", 500, "2026-10-05")
    office.paid("HB2", 700, "2026-10-05")
    yield office
    office.server.close()


@pytest.fixture(scope="module")
def shop(office: Office) -> Server:
    """The server of these books."""
    return office.server


def drop(page: Page, files: dict[str, str]) -> None:
    """Drop files on a page, as from a folder on the desk."""
    script = """files => {
        const carried = new DataTransfer();
        for (const [name, content] of Object.entries(files)) carried.items.add(new File([content], name));
        return carried;
    }"""
    page.locator("#bills").wait_for()
    page.wait_for_load_state()  # nobody drops anything before the page is there
    page.dispatch_event("#bills", "drop", {"dataTransfer": page.evaluate_handle(script, files)})


def test_a_month_is_reconciled_corrected_and_closed(desk: Desk, request: pytest.FixtureRequest) -> None:
    """Bills are dropped, compared and explained; a second person approves what the first proposed, and closes the month
    that the first prepared; it comes out the same once more."""
    language = request.node.callspec.params["office"]
    at = LANGUAGES.index(language)

    def say(key: str, **params: object) -> str:
        return catalogue().say(language, f"finance.{key}", **params)

    clerk = desk.person("finance", "老钱", language=language)
    clerk.goto("/console/finance")
    expect(clerk.locator(".due-month")).to_contain_text("2026-10")
    expect(clerk.locator("#ledger-title + div .notice")).to_have_text(f"✓ {say('balances')}")

    clerk.get_by_role("link", name=say("bills"), exact=True).click()
    drop(clerk, delivered())
    expect(clerk.locator("#taken .notice.good")).to_have_count(2)
    expect(clerk.locator("#bills-list tbody tr")).to_have_count(2)
    drop(clerk, {"again.csv": delivered()["trade.csv"]})
    expect(clerk.locator("#taken .notice.warn")).to_contain_text(IMPORT_OUTCOMES["known"][at])

    clerk.get_by_role("link", name=say("reconciliations"), exact=True).click()
    clerk.get_by_label(say("channel"), exact=True).fill("wechat")
    clerk.get_by_label(say("first_day")).fill("2026-10-01")
    clerk.get_by_label(say("last_day")).fill("2026-10-31")
    clerk.get_by_role("button", name=say("preview")).click()
    expect(clerk.locator("main .notice")).to_contain_text(say("nothing_changed"))
    clerk.get_by_role("button", name=say("reconcile_now")).click()
    clerk.get_by_role("link", name=say("make_again")).click()
    expect(clerk.locator("main .notice.good")).to_contain_text(say("same_again"))

    clerk.get_by_role("link", name=DISCREPANCIES["missing_with_us"][at]).click()
    clerk.locator("tbody th a").click()
    expect(clerk.locator(".sides")).to_contain_text("TB9-1:refund:F1")
    expect(clerk.locator(".sides")).to_contain_text(say("not_in_books"))
    propose(clerk, say, "5")
    assert "2.00" in clerk.locator("main .notice.bad").inner_text(), "the API tells that it does not balance"
    propose(clerk, say, "3")
    expect(clerk.get_by_role("button", name=say_command(desk, language, "approve_correction"))).to_be_disabled()
    expect(clerk.locator("#why-not")).to_contain_text("K1")
    correction = clerk.locator("h1").inner_text().split()[1]

    checker = desk.person("finance", "小周", language=language)
    checker.goto("/console/finance/corrections?state=proposed")
    checker.get_by_role("link", name="K1").click()
    expect(checker.locator("main")).to_contain_text("老钱")
    checker.get_by_role("button", name=say_command(desk, language, "approve_correction")).click()
    expect(checker.locator("h1 .badge")).to_have_text(CORRECTION_STATES["approved"][at])
    assert correction == "K1"

    close = say("close_month", month="2026-10")
    clerk.goto("/console/finance/periods/2026-10")
    expect(clerk.get_by_role("button", name=close)).to_be_disabled()
    prepare = clerk.get_by_role("button", name=say("prepare_month", month="2026-10"))
    prepare.click()
    expect(clerk.get_by_role("checkbox")).to_be_focused()
    clerk.get_by_role("checkbox").check()
    prepare.click()
    expect(clerk.locator(".close-month .notice")).to_contain_text(say("second_person_closes"))
    expect(clerk.get_by_role("button", name=close)).to_be_disabled()
    expect(clerk.locator("#why-close_period")).to_contain_text("2026-10")

    checker.goto("/console/finance/periods/2026-10")
    expect(checker.locator(".close-month .notice")).to_contain_text("老钱")
    checker.locator("form", has=checker.get_by_role("button", name=close)).get_by_role("checkbox").check()
    checker.get_by_role("button", name=close).click()
    expect(checker.locator("h1 .badge")).to_have_text(PERIOD_STATES["closed"][at])
    checker.get_by_role("link", name=say("check_month")).click()
    expect(checker.locator("main .notice.good")).to_contain_text(say("same_report"))


def propose(page: Page, say: object, credit: str) -> None:
    """Fill a correction in: three yuan to payment differences, and what is said from the channel's account."""
    assert callable(say)
    page.get_by_label(f"{say('account')} 1").select_option("differences")
    page.get_by_label(f"{say('debit')} 1").fill("3.00")
    page.get_by_label(f"{say('account')} 2").select_option("channel")
    page.get_by_label(f"{say('party')} 2").fill("taobao")
    page.get_by_label(f"{say('credit')} 2").fill(credit)
    page.get_by_label(say("reason"), exact=True).fill("渠道误退")
    page.get_by_role("button", name=say("propose"), exact=True).click()


def say_command(desk: Desk, language: str, name: str) -> str:
    """What a command is called."""
    console = desk.server.embedded._console
    assert console is not None
    return console.desk.words[language].command(name)

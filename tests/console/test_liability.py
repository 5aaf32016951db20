"""Who bore what: from bars to cases to events, what is owed, and charts, in a shop in the middle of its work."""

import csv
import re
from collections.abc import Iterator
from html import unescape
from io import StringIO
from typing import Any, Final

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from services.console import exporting
from services.console.charts import FULL, is_month, length, month_after, months_up_to
from services.console.formatting import money
from services.console.pages.liability import GROUPINGS, LINES
from services.kernel.long_work import told_nobody
from tests.console.browser import PHONE, Desk
from tests.console.pages import Reader, text_of
from tests.http.server import Server, order_body

_ROW: Final = re.compile(r"<tr[^>]*>(.*?)</tr>", re.DOTALL)
_FIGURE: Final = re.compile(r'<span class="figure[^"]*">([^<]+)</span>|<td class="number figure">(\d+)</td>')
_CHART: Final = re.compile(r'data-chart="([^"]*)"')

#: A name that a browser would run if it were not taken for text.
HOSTILE: Final = "<img/src=x/onerror=alert(1)>\u202e😀"


@pytest.fixture(scope="module")
def busy(shop: Server) -> Server:
    """A shop in the middle of its work."""
    shop.run(shop.embedded._load_sample("小李", told_nobody))
    shop.settle()
    return shop


@pytest.fixture(scope="module")
def finance(busy: Server) -> Iterator[Reader]:
    """Finance before the pages of that shop."""
    reader = Reader(busy, "finance", "老钱")
    yield reader
    reader.close()


def rows(page: str, table: str = "") -> list[tuple[str, list[str]]]:
    """The rows of a table with figures, as source, each with its figures in their order."""
    part = page.partition(f'id="{table}"')[2].partition("</table>")[0] if table else page
    found = [(row, ["".join(one) for one in _FIGURE.findall(row)]) for row in _ROW.findall(part)]
    return [(row, figures) for row, figures in found if figures]


def figures_of(row: dict[str, Any], *names: str) -> list[str]:
    """What a row of the API looks like: amounts, and the number of cases."""
    return [str(row[name]) if name == "cases" else money(row[name]) for name in names]


def drawn(page: str) -> dict[str, Any]:
    """What the chart of a page is drawn from."""
    told: dict[str, Any] = msgspec.json.decode(unescape(_CHART.findall(page)[0]))
    return told


@pytest.mark.parametrize("by", GROUPINGS)
def test_bars_and_their_cases_come_to_what_the_api_says(busy: Server, finance: Reader, by: str) -> None:
    """Each bar has the API's figures, and the cases behind it come to the bar, whatever losses are grouped by."""
    told = busy.get(f"/v1/statements/losses?by={by}").body
    page = text_of(finance.get(f"/console/liability?by={by}"))
    names = ("loss_fen", "suspense_fen", "recovered_fen", "net_fen", "cases")
    *bars, total = rows(page, "bars")
    assert [figures for _, figures in bars] == [figures_of(row, *names) for row in told["rows"]]
    assert total[1] == figures_of(told["total"], *names)
    for (source, figures), row in zip(bars, told["rows"], strict=True):
        address = unescape(re.findall(r'href="([^"]+)"', source)[0])
        *_, of_cases = rows(text_of(finance.get(address)))
        assert of_cases[1][0] == figures[0]
        assert of_cases[1][-1] == money(row["net_fen"])


@pytest.mark.parametrize("measure", ["loss", "recovered"])
@pytest.mark.parametrize("by", [one for one in GROUPINGS if one != "month"])
def test_the_chart_and_its_table_say_the_same(busy: Server, finance: Reader, by: str, measure: str) -> None:
    """A chart shows the first groups and all others as one; the table beside it each that the API told."""
    trends = busy.get(f"/v1/statements/losses?by={by}").body["trends"]
    page = text_of(finance.get(f"/console/liability?by={by}&trend={measure}"))
    amounts = [one[f"{measure}_fen"] for one in trends]
    assert [figures for _, figures in rows(page, "trend-table")] == [[money(fen) for fen in one] for one in amounts]
    lines = [one["values"] for one in drawn(page)["series"]]
    assert lines[:LINES] == amounts[:LINES]
    assert len(lines) <= LINES + 1
    assert [sum(month) for month in zip(*lines, strict=True)] == [sum(month) for month in zip(*amounts, strict=True)]


def files(reader: Reader, page: str) -> tuple[list[list[str]], list[dict[str, Any]]]:
    """Both files that a page leads to: the lines of the table, and the rows for machines."""
    links = re.findall(r'href="(/console/liability[^"]*/export\?[^"]+)"', page)
    table, lines = [reader.get(unescape(link)) for link in links]
    assert (table.status, lines.status) == (200, 200)
    told = [msgspec.json.decode(line) for line in lines.raw.splitlines()]
    return list(csv.reader(StringIO(table.raw.decode("utf-8-sig")))), told


@pytest.mark.parametrize(
    ("query", "group"), [("by=party", ""), ("by=party", "production"), ("by=month&first_month=2026-09", "2026-10")]
)
def test_files_of_losses_hold_what_is_shown(
    busy: Server, finance: Reader, monkeypatch: pytest.MonkeyPatch, query: str, group: str
) -> None:
    """Bars, and the cases behind one over as many pages as it takes, can be had as files with the API's figures."""
    monkeypatch.setattr(exporting, "PAGE_ROWS", 2)
    told = busy.get(f"/v1/statements/losses?{query}").body
    table, lines = files(finance, text_of(finance.get(f"/console/liability?{query}")))
    assert lines == told["rows"]
    assert table[0][:2] == ["分组", "损失(元)"]
    assert [row[1] for row in table[1:]] == [plain(row["loss_fen"]) for row in told["rows"]]
    behind = f"{query}&group={group}"
    cases = busy.get(f"/v1/statements/losses/cases?{behind}&limit=500").body["items"]
    table, lines = files(finance, text_of(finance.get(f"/console/liability/cases?{behind}")))
    assert lines == cases
    assert [(row[0], row[-1]) for row in table[1:]] == [(one["case_id"], plain(one["net_fen"])) for one in cases]


def test_files_of_recoveries_hold_what_is_shown(busy: Server, finance: Reader) -> None:
    """Each party with what it owes, by age, in one line."""
    told = busy.get("/v1/statements/recoveries").body["parties"]
    assert told
    table, lines = files(finance, text_of(finance.get("/console/liability/recoveries")))
    assert [(one["party"], one["days_0_30_fen"]) for one in lines] == [
        (one["party"], one["ageing"]["days_0_30_fen"]) for one in told
    ]
    owed = table[0].index("尚欠(元)")
    assert [row[owed] for row in table[1:]] == [plain(one["closing_fen"]) for one in told]


def plain(fen: int) -> str:
    """An amount in yuan as files have it."""
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02}"


def test_an_address_keeps_what_was_chosen(busy: Server, finance: Reader) -> None:
    """Months and filters of the address are those of the figures, of the form, and of the cases behind each bar."""
    chosen = "by=problem&first_month=2026-09&last_month=2026-10&party=courier&cause=transit_damage"
    page = text_of(finance.get(f"/console/liability?{chosen}"))
    told = busy.get(f"/v1/statements/losses?{chosen}").body
    assert told["total"]["cases"] == 1
    [(bar, figures), _] = rows(page, "bars")
    assert figures[0] == money(told["total"]["loss_fen"])
    for typed in ('value="2026-09"', 'value="courier"', 'value="transit_damage" selected'):
        assert typed in page
    address = unescape(re.findall(r'href="([^"]+)"', bar)[0])
    assert set(chosen.split("&")) < set(address.partition("?")[2].split("&"))
    cases = text_of(finance.get(address))
    back, *splits = (unescape(one) for one in re.findall(r'href="(/console/liability\?[^"]+)"', cases))
    assert back.partition("?")[2] == chosen
    assert len(splits) == 4
    for split in splits:
        assert rows(text_of(finance.get(split)), "bars")[-1][1][0] == figures[0]


@pytest.mark.parametrize(
    ("query", "field", "kept"),
    [
        ("first_month=2026-10&last_month=2026-09", "first_month", 'value="2026-10"'),
        ("last_month=2027-01", "last_month", 'value="2027-01"'),
        ("first_month=soon", "first_month", 'value="soon"'),
    ],
)
def test_months_that_are_none_are_told_at_the_field(finance: Reader, query: str, field: str, kept: str) -> None:
    """What is wrong with the months is said at the field, and what was typed stays."""
    answer = finance.get(f"/console/liability?{query}")
    assert answer.status == 422
    assert f'id="wrong-{field}"' in text_of(answer)
    assert kept in text_of(answer)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/console/liability?by=colour", 422),
        ("/console/liability?trend=net", 404),
        ("/console/liability/cases?by=party", 422),
        ("/console/liability/cases/export?by=party", 422),
        ("/console/liability/export?format=xls", 404),
        ("/console/liability/recoveries?month=2027-01", 422),
        ("/console/liability/parties/nobody/", 404),
    ],
)
def test_what_cannot_be_asked_is_refused(finance: Reader, path: str, status: int) -> None:
    """An address that means nothing shows no figures at all."""
    assert finance.get(path).status == status


def test_what_is_owed_and_where_it_is_recorded(busy: Server, finance: Reader) -> None:
    """Each party outside owes what the API says, by age; its statement leads to the form that records a payment."""
    told = busy.get("/v1/statements/recoveries").body
    page = text_of(finance.get("/console/liability/recoveries"))
    *owing, total = rows(page, "bars")
    assert [figures[0] for _, figures in owing] == [money(row["closing_fen"]) for row in told["parties"]]
    assert total[1][0] == money(told["total"]["closing_fen"])
    for row in told["parties"]:
        assert f'href="/console/liability/parties/{row["party"]}"' in page
        statement = busy.get(f"/v1/statements/parties/{row['party']}").body
        paper = text_of(finance.get(f"/console/liability/parties/{row['party']}"))
        assert [figures[2] for _, figures in rows(paper, "by-case")] == [
            money(case["closing_fen"]) for case in statement["cases"]
        ]
        assert rows(paper, "by-event")[-1][1][-1] == money(row["closing_fen"])
        form = unescape(re.findall(r'href="([^"]+/do/record-recovery[^"]+)"', paper)[0]).partition("#")[0]
        assert f'value="{row["party"]}" selected' in text_of(finance.get(form))


def test_from_a_bar_to_its_cases_to_their_events(busy: Server, desk: Desk) -> None:
    """With a few clicks one gets from a bar to what happened, and charts are drawn on the way."""
    page = desk.person("team_lead", "老陈")
    page.goto("/console/liability")
    expect(page.locator("[data-drawn] canvas")).to_be_visible()
    expect(page.locator(".u-legend")).to_contain_text("生产")
    assert not serious(page)
    page.get_by_label("分组").select_option("cause")
    page.get_by_role("button", name="显示").click()
    bar = page.locator("#bars tbody tr").first
    amount = bar.locator("td").first.inner_text()
    bar.get_by_role("link").click()
    expect(page.locator("h1")).to_contain_text("配件瑕疵或破损")
    expect(page.locator("tr.sum td").first).to_have_text(amount)
    assert not serious(page)
    case = page.locator("tbody tr").first.get_by_role("link")
    case_id = case.inner_text()
    case.click()
    page.wait_for_url(f"**/console/cases/{case_id}")
    expect(page.locator(".timeline").first).to_contain_text("损失已计入责任方")


def test_liability_on_a_phone_in_english(busy: Server, desk: Desk) -> None:
    """Pages fit a phone, are in the reader's language, and charts follow the width and the colours of the screen."""
    page = desk.person("finance", "Li", language="en", size=PHONE)
    page.emulate_media(color_scheme="dark")
    for path, said in (
        ("/console/liability?by=month", "Losses and recoveries by month"),
        ("/console/liability/cases?by=party&group=production", "Cases of Production"),
        ("/console/liability/recoveries", "What parties outside owe"),
        ("/console/liability/parties/courier/YTO", "Statement of Courier YTO"),
    ):
        page.goto(path)
        expect(page.locator("main")).to_contain_text(said)
        assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"), path
    assert not serious(page)
    page.goto("/console/liability")
    expect(page.locator(".u-legend")).to_contain_text("Production")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 800, "height": 800})
    page.wait_for_function("document.querySelector('.uplot').clientWidth > 600")


def test_names_are_text_wherever_they_stand(shop: Server, desk: Desk) -> None:
    """Markup in the names of parties, carriers and articles is shown as it was written, in bars, charts and cases."""
    order = order_body("HOSTILE1")
    order["carrier"] = order["lines"][0]["sku"] = HOSTILE
    assert shop.command("/v1/orders/HOSTILE1", order, "service/erp", method="PUT").status == 201
    opened = {"order_id": "HOSTILE1", "problem": "logistics_delay", "description": "…"}
    case = shop.command("/v1/cases", opened).body["case_id"]
    for command, body in (
        ("assess-cause", {"cause": "lost_in_transit"}),
        ("propose-compensation", {"kind": "cash", "amount_fen": 1500}),
        ("record-buyer-reply", {"proposal": "P1", "accepted": True}),
        ("pay-compensation", {"proposal": "P1", "payment_ref": "H1"}),
    ):
        answer = shop.command(f"/v1/cases/{case}/{command}", body)
        assert answer.status == 200, answer.body["zh"]
    shop.settle()
    page = desk.person("finance")
    for by in ("party", "sku", "carrier"):
        page.goto(f"/console/liability?by={by}")
        expect(page.locator(".u-legend")).to_contain_text(HOSTILE)
        page.locator("#bars").get_by_role("link", name=HOSTILE).click()
        expect(page.locator("h1")).to_contain_text(HOSTILE)
        expect(page.locator("tbody")).to_contain_text(case)
        assert page.locator("main img").count() == 0
    page.goto("/console/liability/recoveries")
    page.get_by_role("link", name=HOSTILE).click()
    expect(page.locator("h1")).to_contain_text(HOSTILE)
    expect(page.locator("#by-case")).to_contain_text("15.00")
    page.goto("/console/indicators")
    expect(page.locator("#carriers")).to_contain_text(HOSTILE)
    assert page.locator("main img").count() == 0


def test_an_empty_shop_has_words_instead_of_charts(tmp_path: Any) -> None:
    """Where nothing was lost, pages say so and what will make figures appear."""
    server = Server(tmp_path)
    reader = Reader(server, "store_manager")
    for path, said in (
        ("/console/liability", "这段时间没有损失"),
        ("/console/liability?by=month", "这段时间没有损失"),
        ("/console/liability/cases?by=party&group=production", "没有这样的售后单"),
        ("/console/liability/recoveries", "没有外部责任方欠款"),
        ("/console/liability/parties/production", "没有记在此责任方名下的分录"),
        ("/console/indicators", "还没有走势"),
    ):
        answer = reader.get(path)
        assert answer.status == 200, path
        assert said in text_of(answer), path
        assert "data-chart" not in text_of(answer), path
    reader.close()
    server.close()


def test_lengths_and_months() -> None:
    """Bars are as long as their amounts, at least to be seen; months run over the ends of years."""
    assert [length(fen, 200) for fen in (200, -100, 1, 0)] == [FULL, FULL // 2, 5, 0]
    assert length(1, 1_000_000) > 0
    assert length(5, 0) == 0
    assert [month_after("2026-12"), month_after("2026-01", -1)] == ["2027-01", "2025-12"]
    assert months_up_to("2026-02", 4) == ["2025-11", "2025-12", "2026-01", "2026-02"]
    assert [is_month(text) for text in ("2026-10", "2026-13", "2026-1", "２０２６-10", "")] == [True] + [False] * 4


def serious(page: Page) -> list[str]:
    """What an accessibility checker finds that keeps people from using a page."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['help']}" for one in found if one["impact"] in ("serious", "critical")]

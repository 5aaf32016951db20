"""The indicators of a month: figures, alarms, trends, and what cannot be asked."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Final

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from services.console.formatting import money, percent
from services.console.pages.indicators import RATES, WELL, WRONG
from services.kernel.long_work import told_nobody
from tests.console.browser import PHONE, Desk
from tests.console.pages import Reader, text_of
from tests.http.server import Server

_COUNT: Final = re.compile(r'<dd class="count">([^<]+)</dd>')


@pytest.fixture(scope="module")
def busy(shop: Server) -> Server:
    """A shop in the middle of its work."""
    shop.run(shop.embedded._load_sample("小李", told_nobody))
    shop.settle()
    return shop


@pytest.fixture(scope="module")
def lead(busy: Server) -> Iterator[Reader]:
    """A lead before the pages of that shop."""
    reader = Reader(busy, "team_lead", "老陈")
    yield reader
    reader.close()


def test_figures_are_those_of_the_api(busy: Server, lead: Reader) -> None:
    """Rates, promises, ratings, agents and carriers stand on the page as the API tells them."""
    told = busy.get("/v1/indicators?month=2026-10").body
    page = text_of(lead.get("/console/indicators?month=2026-10"))
    assert _COUNT.findall(page) == [percent(told[name]["bp"]) for name in RATES]
    promises = page.partition('id="promises"')[2]
    for name in ("first_answer", "solution"):
        kept = told[name]["kept"]
        assert f"<strong>{percent(kept['bp'])}</strong>" in promises
        assert f"{kept['numerator']} / {kept['denominator']}" in promises
    assert percent(told["satisfaction"]["satisfied"]["bp"]) in page.partition('id="satisfaction"')[2]
    agents = page.partition('id="agents"')[2]
    for row in told["agents"]:
        assert f'<strong><span class="figure">{money(row["total_fen"])}</span></strong>' in agents
    carriers = page.partition('id="carriers"')[2].partition("</section>")[0]
    for row in told["carriers"]:
        assert percent(row["loss"]["bp"]) in carriers
        assert f"party=courier/{row['carrier']}" in carriers


def test_the_case_rate_leads_to_its_cases(busy: Server, lead: Reader) -> None:
    """The cases of the month are as many as the rate counts."""
    link = re.search(r'<a href="(/console/cases\?month=[^"]+)">', text_of(lead.get("/console/indicators")))
    assert link is not None
    counted = busy.get("/v1/indicators", "team_lead").body["case_rate"]["numerator"]
    assert f"<strong>共 {counted} 条</strong>" in text_of(lead.get(link[1]))


def test_the_trend_is_of_several_months(busy: Server, lead: Reader) -> None:
    """Charts and their table hold six months up to the one that is asked for, each as the API tells it."""
    page = text_of(lead.get("/console/indicators?month=2026-10"))
    charts = [msgspec.json.decode(unescape(one)) for one in re.findall(r'data-chart="([^"]*)"', page)]
    for chart, names in zip(charts, (WRONG, WELL), strict=True):
        assert chart["labels"] == ["2026-05", "2026-06", "2026-07", "2026-08", "2026-09", "2026-10"]
        assert len(chart["series"]) == len(names)
    before, now = (
        busy.get(f"/v1/indicators?month={month}").body["refund_rate"]["bp"] for month in ("2026-09", "2026-10")
    )
    assert charts[0]["series"][0]["values"][-2:] == [before, now]


def test_an_alarm_leads_to_its_cases(busy: Server, lead: Reader) -> None:
    """Each batch that may be defective is told above everything else, with a link to each of its cases and to what it
    cost; thresholds of the address are those of the alarms."""
    told = busy.get("/v1/indicators?month=2026-10").body["batch_defects"]
    [alarm] = told["alarms"]
    page = text_of(lead.get("/console/indicators?month=2026-10"))
    notice = page.partition('id="defects"')[2].partition("</section>")[0]
    assert page.index('id="defects"') < page.index('id="rates"')
    assert re.findall(r'href="/console/cases/([^"]+)"', notice) == alarm["cases"]
    loss = unescape(re.findall(r'href="(/console/liability\?[^"]+)"', notice)[0])
    assert f"sku={alarm['sku']}" in loss
    assert lead.get(loss).status == 200
    fewer = busy.get("/v1/indicators?month=2026-10&defect_cases=2").body["batch_defects"]["alarms"]
    page = text_of(lead.get("/console/indicators?month=2026-10&defect_cases=2"))
    assert page.count('<div class="alarm">') == len(fewer) > 1
    assert "没有批次缺陷预警" in text_of(lead.get("/console/indicators?month=2026-10&defect_cases=99"))


def test_months_lead_to_their_neighbours(lead: Reader) -> None:
    """From a month one gets to the one before and after with the same thresholds, but not into the future."""
    page = text_of(lead.get("/console/indicators?month=2026-09&defect_cases=2"))
    assert 'rel="prev" href="/console/indicators?defect_cases=2&amp;month=2026-08"' in page
    assert 'rel="next" href="/console/indicators?defect_cases=2&amp;month=2026-10"' in page
    assert 'rel="next"' not in text_of(lead.get("/console/indicators"))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("month=2027-01", "month"),
        ("month=October", "month"),
        ("month=1970-03", "month"),
        ("defect_cases=0", "defect_cases"),
        ("defect_share_bp=a%22b", "defect_share_bp"),
    ],
)
def test_what_cannot_be_asked_is_told_at_the_field(lead: Reader, query: str, field: str) -> None:
    """What is wrong is said at its field, and what was typed stays."""
    answer = lead.get(f"/console/indicators?{query}")
    assert answer.status == 422
    assert f'id="wrong-{field}"' in text_of(answer)
    assert "a&#34;b" in text_of(answer) or "a%22b" not in query


@pytest.mark.parametrize("language", ["zh", "en"])
def test_charts_are_drawn(busy: Server, desk: Desk, language: str) -> None:
    """Both charts are drawn within the security policy, and an accessibility checker finds nothing serious."""
    page = desk.person("store_manager", "老陈", language=language, size=PHONE if language == "en" else None)
    page.goto("/console/indicators")
    expect(page.locator("[data-drawn] canvas")).to_have_count(2)
    expect(page.locator(".u-legend").first).to_contain_text({"zh": "纠纷率", "en": "Dispute rate"}[language])
    found = Axe().run(page).response["violations"]
    assert not [one["help"] for one in found if one["impact"] in ("serious", "critical")]
    assert not page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")

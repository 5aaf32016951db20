"""Work lists, their counts and files, the search box, stock and new cases, as pages without a browser."""

import csv
import http.client
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from html import unescape
from io import StringIO
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from aiohttp import web

from services.console import exporting
from services.console.api import ApiAway
from services.console.page import ask
from services.console.templating import rounded
from services.console.work_lists import WORK_LISTS
from services.kernel.actor import STAFF
from services.kernel.long_work import told_nobody
from tests.console.pages import Reader, text_of
from tests.http.server import Server

Person = Callable[..., Reader]
_CARD = re.compile(r'<a class="card[^"]*" href="([^"]+)">\s*<span class="count">(\d+)</span>')
_COUNTED = re.compile(r"<strong>共 (\d+) 条</strong>")


@pytest.fixture(scope="module")
def busy(shop: Server) -> Server:
    """A shop in the middle of its work: at every stage there is a case."""
    shop.run(shop.embedded._load_sample("小李", told_nobody))
    shop.settle()
    return shop


@pytest.fixture
def person(shop: Server) -> Iterator[Person]:
    """Whoever sits before the pages of the shop: a role, and who has it."""
    with ExitStack() as leaving:

        def sit(role: str, name: str = "小李", language: str = "zh") -> Reader:
            reader = Reader(shop, role, name, language)
            leaving.callback(reader.close)
            return reader

        yield sit


@pytest.fixture
def agent(busy: Server, person: Person) -> Reader:
    """An agent before the pages of the busy shop."""
    return person("agent")


def rows(shop: Server, path: str) -> list[dict[str, Any]]:
    """All that the API has there."""
    items: list[dict[str, Any]] = shop.get(path, "store_manager").body["items"]
    return items


def case_at(shop: Server, stage: str) -> dict[str, Any]:
    """The newest case that stands so."""
    return rows(shop, f"/v1/cases?limit=1&stage={stage}")[0]


@pytest.mark.parametrize("role", STAFF)
def test_a_card_leads_to_as_many_as_it_counts(busy: Server, person: Person, role: str) -> None:
    """The number on a card is the number of the list that it leads to, for every list of every role."""
    reader = person(role)
    cards = _CARD.findall(text_of(reader.get("/console/")))
    assert len(cards) == len([one for one in WORK_LISTS if role in one.roles])
    for address, count in cards:
        page = text_of(reader.get(unescape(address)))
        shown = _COUNTED.search(page)
        found = shown[1] if shown else str(page.count('name="choice"'))
        assert (address, found) == (address, count)


def test_a_list_that_cannot_be_counted_is_shown_without_a_number(
    busy: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that does not answer takes its number from a card, and nothing else from the page."""
    assert busy.embedded._console is not None
    api = busy.embedded._console.desk.api
    monkeypatch.setattr(
        api, "_base_url", lambda method, path: "http://127.0.0.1:9" if path == "/v1/payouts" else busy.embedded.base_url
    )
    lead = person("team_lead")
    answer = lead.get("/console/")
    assert answer.status == 200
    assert text_of(answer).count('<span class="count" title="暂时数不出来">–</span>') == 2


@pytest.mark.parametrize(
    ("page", "path", "columns"),
    [
        ("cases?status=open", "/v1/cases?status=open", "case_id"),
        ("cases?status=open&due=4&assigned=no", "/v1/cases?status=open&assigned=no", "case_id"),
        ("cases?month=2026-10&urgent=no", "/v1/cases?urgent=no", "case_id"),
        ("cases?problem=damaged_on_arrival&urgent=no", "/v1/cases?problem=damaged_on_arrival&urgent=no", "case_id"),
        ("payouts?status=succeeded", "/v1/payouts?status=succeeded", "payout"),
        ("exceptions", "/v1/exceptions", "case_id"),
        ("stock", "/v1/stock", "sku"),
    ],
)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_file_holds_exactly_what_is_filtered(
    busy: Server,
    person: Person,
    monkeypatch: pytest.MonkeyPatch,
    page: str,
    path: str,
    columns: str,
    language: str,
) -> None:
    """Both files of a list are linked from it and hold all of it, over as many pages as it takes, in its order."""
    monkeypatch.setattr(exporting, "PAGE_ROWS", 3)
    reader = person("finance", language=language)
    wanted = [row[columns] for row in rows(busy, path + ("&" if "?" in path else "?") + "limit=500")]
    assert wanted
    links = re.findall(r'href="(/console/\w+/export\?[^"]+)"', text_of(reader.get(f"/console/{page}")))
    table, lines = [reader.get(unescape(link)) for link in links]
    assert [msgspec.json.decode(line)[columns] for line in lines.raw.splitlines()] == wanted
    assert table.raw.startswith(b"\xef\xbb\xbf")
    header, *shown = list(csv.reader(StringIO(table.raw.decode("utf-8-sig"))))
    assert [row[header.index(_header(header, columns, language))] for row in shown] == wanted
    assert table.headers["Content-Disposition"].endswith('.csv"')


def _header(header: list[str], column: str, language: str) -> str:
    names = {"case_id": ("售后单号", "Case"), "payout": ("打款编号", "Payout"), "sku": ("SKU", "SKU")}
    return names[column][language == "en"]


def test_a_file_that_cannot_be_had_to_its_end_is_no_whole_file(
    busy: Server, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the API fails halfway, the download fails too: nobody takes a part of a list for all of it."""

    async def only_the_beginning(request: web.Request, path: str, query: Mapping[str, Any]) -> Any:
        if "after" in query:
            raise ApiAway
        return await ask(request, path, query)

    monkeypatch.setattr(exporting, "PAGE_ROWS", 3)
    monkeypatch.setattr(exporting, "ask", only_the_beginning)
    reader = person("agent")
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        reader.get("/console/cases/export")


def test_a_table_never_holds_a_formula(shop: Server, person: Person) -> None:
    """A name that begins like a formula is a text in a spreadsheet; the file for machines has it as it is."""
    case_id = shop.case()
    assert shop.command(f"/v1/cases/{case_id}/assign-case", {"to": "=1+1"}, "team_lead").status == 200
    lead = person("team_lead")
    where = f"/console/cases/export?order_id={case_id.rpartition('-')[0]}"
    [_, row] = csv.reader(StringIO(lead.get(where).raw.decode("utf-8-sig")))
    assert "'=1+1" in row
    assert msgspec.json.decode(lead.get(f"{where}&format=jsonl").raw)["assignee"] == "=1+1"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/console/cases?status=lost", 422),
        ("/console/cases/export?status=lost", 422),
        ("/console/cases?due=soon", 422),
        ("/console/cases?month=2026-13", 422),
        ("/console/cases?month=9999-12", 422),
        ("/console/cases/export?format=xls", 404),
    ],
)
def test_a_filter_that_is_none_is_refused(agent: Reader, path: str, status: int) -> None:
    """A list is never shown with less filters than its address has, nor exported so."""
    assert agent.get(path).status == status


@pytest.fixture(scope="module")
def known(busy: Server) -> dict[str, str]:
    """Things to search for, by what they are."""
    coming, paid = case_at(busy, "return_to_inspect"), rows(busy, "/v1/payouts?status=succeeded&limit=1")[0]
    case = busy.get(f"/v1/cases/{coming['case_id']}").body
    sent = busy.get(f"/v1/cases/{case_at(busy, 'reshipment_under_way')['case_id']}").body
    [under_way] = [one for one in sent["reshipments"] if one["tracking_no"]]
    line = {"line_id": "L1", "sku": "唯一（大）", "kind": "product", "quantity": 1, "paid_fen": 900, "unit_cost_fen": 1}
    own = busy.case("logistics_delay", order_id=busy.order(lines=[line]), channel_refund_id="CR-Own-1")
    for command, body in (
        ("assess-cause", {"cause": "lost_in_transit"}),
        ("propose-compensation", {"kind": "cash", "amount_fen": 500}),
        ("record-buyer-reply", {"proposal": "P1", "accepted": True}),
        ("pay-compensation", {"proposal": "P1", "payment_ref": "PAY-Own-1"}),
    ):
        assert busy.command(f"/v1/cases/{own}/{command}", body).status == 200
    busy.settle()
    return {
        "order": coming["order_id"],
        "case": coming["case_id"],
        "waybill": case["returns"][0]["tracking_no"],
        "return": case["returns"][0]["return_id"],
        "reshipped": sent["case_id"],
        "reshipment": under_way["reshipment"],
        "reshipment_waybill": under_way["tracking_no"],
        "channel_ref": paid["channel_ref"],
        "paid": paid["case_id"],
        "payout": paid["payout"],
        "own": own,
    }


_INSPECTION = "/console/cases/{case}/do/receive-return?return_id={return}#form"
_DELIVERY = "/console/cases/{reshipped}/do/confirm-delivery?reshipment={reshipment}#form"


@pytest.mark.parametrize("role", ["agent", "warehouse"])
@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ("{order}", "/console/orders/{order}"),
        ("{case}", "/console/cases/{case}"),
        ("  {case}\t\r\n", "/console/cases/{case}"),
        ("{waybill}", _INSPECTION),
        ("lower {waybill}", _INSPECTION),
        ("wide {waybill}", _INSPECTION),
        ("wide \u3000{waybill}\u3000\n", _INSPECTION),
        ("{reshipment_waybill}", _DELIVERY),
        ("wide {reshipment_waybill}", _DELIVERY),
        ("{channel_ref}", "/console/cases/{paid}"),
        ("{payout}", "/console/cases/{paid}"),
        ("cr-OWN-1", "/console/cases/{own}"),
        (" pay-own-1", "/console/cases/{own}"),
        ("唯一（大）", "/console/cases/{own}"),
    ],
)
def test_one_hit_is_gone_to(
    busy: Server, person: Person, known: dict[str, str], role: str, typed: str, place: str
) -> None:
    """Whatever number of an order or a case is typed or scanned, in small, capital or wide letters, opens its page; a
    parcel that came back opens its inspection for those who inspect, and one that is on its way its delivery."""
    how, _, what = typed.partition(" ") if typed.startswith(("lower", "wide")) else ("", "", typed)
    wanted = what.format_map(known)
    if how == "lower":
        wanted = wanted.lower()
    if how == "wide":
        wanted = "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in wanted)
    reader = person(role)
    answer = reader.get(f"/console/search?q={_quoted(wanted)}")
    if place == _INSPECTION and role != "warehouse":
        place = "/console/cases/{case}"
    assert (answer.status, answer.headers["Location"]) == (303, place.format_map(known))
    assert reader.get(answer.headers["Location"].partition("#")[0]).status == 200


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("LOCK-A1", "SKU <bdi>LOCK-A1</bdi>"),
        ("TB26", "开头相符"),
        ("NO-SUCH", "没有找到「NO-SUCH」"),
        ("", "可以搜索"),
        ("%", "没有找到「%」"),
        ("<b>x", "没有找到「&lt;b&gt;x」"),
    ],
)
def test_a_search_with_several_hits_or_none_says_so(agent: Reader, typed: str, said: str) -> None:
    """Several hits are a list that says what matched; none says what can be searched and what to do."""
    answer = agent.get(f"/console/search?q={_quoted(typed)}")
    assert answer.status == 200
    assert said in text_of(answer)


def test_a_half_read_barcode_opens_nothing(known: dict[str, str], person: Person) -> None:
    """How a waybill begins is shown as what it is: the parcel that it may be is not opened for inspection by itself."""
    answer = person("warehouse").get(f"/console/search?q={known['waybill'][:-1]}")
    assert answer.status == 200
    assert "开头相符" in text_of(answer)


@pytest.mark.parametrize(("role", "focused", "opens"), [("warehouse", True, False), ("agent", False, True)])
def test_whoever_scans_begins_with_the_search_box(
    busy: Server, person: Person, role: str, focused: bool, opens: bool
) -> None:
    """The warehouse scans parcel after parcel; who may open no case is not asked to."""
    reader = person(role)
    for path in ("/console/", f"/console/cases/{case_at(busy, 'return_to_inspect')['case_id']}?done=receive_return"):
        box = re.search(r'<input id="search"[^>]+>', text_of(reader.get(path)))
        assert box is not None
        assert ("autofocus" in box[0]) == focused
    assert ('href="/console/new-case"' in text_of(reader.get("/console/"))) == opens


def test_finance_goes_from_a_payout_to_its_confirmation(busy: Server, person: Person) -> None:
    """A payout that waits has its next step beside it, for who may take it."""
    [payout, *_] = rows(busy, "/v1/payouts?status=requested")
    step = f"/console/cases/{payout['case_id']}/do/confirm-payout?payout="
    assert step in text_of(person("finance").get("/console/payouts?status=requested"))
    assert step not in text_of(person("agent").get("/console/payouts?status=requested"))


def test_amounts_are_written_with_commas(busy: Server, person: Person) -> None:
    """As everybody in a Chinese shop writes them."""
    assert '<span class="figure">1,299.00</span>' in text_of(person("finance").get("/console/payouts"))


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.4, 0), (59.6, 60), (3_599, 3_600), (7_195, 7_200), (7_000, 6_840), (255_744, 259_200)]
)
def test_what_is_left_of_a_promise_is_rounded(seconds: float, told: int) -> None:
    """A moment after it was made, a promise of two hours has two hours left, not 1.9."""
    assert rounded(seconds) == told


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@pytest.mark.parametrize("path", ["payouts", "exceptions"])
@pytest.mark.parametrize(("role", "tabs"), [("finance", 10), ("team_lead", 10), ("agent", 0), ("warehouse", 0)])
def test_money_is_among_the_pages_of_finance(busy: Server, person: Person, path: str, role: str, tabs: int) -> None:
    """Whoever sees finance gets from payouts to its other pages; nobody else is led there."""
    page = text_of(person(role).get(f"/console/{path}"))
    shown = re.findall(r"<a [^>]+>", page.partition('<nav class="tabs"')[2].partition("</nav>")[0])
    assert len(shown) == tabs
    assert [one for one in shown if "aria-current" in one] == [
        '<a href="/console/payouts" aria-current="page">' for _ in range(tabs and path == "payouts")
    ]


def test_many_are_approved_once_each(busy: Server, person: Person) -> None:
    """Each ticked compensation is approved by a command of its own, once however often the form is sent; what cannot
    be approved says why and holds up nothing else."""
    lead = person("team_lead", "老陈")
    ticks = re.findall(r'name="choice" value="([^"]+)"', text_of(lead.get("/console/approvals?approver=team_lead")))
    assert len(ticks) == 2
    manager_s = next(one["case_id"] for one in rows(busy, "/v1/cases?approver=store_manager"))
    form = [("csrf", lead.csrf()), ("key", "k1"), *(("choice", one) for one in (*ticks, f"{manager_s} P1"))]
    for _ in range(2):
        page = text_of(lead.post("/console/approvals", form))
        assert "批准 2 笔,未批准 1 笔。" in page
        assert "<code>authority_exceeded</code>" in page
    case = busy.get(f"/v1/cases/{ticks[0].partition(' ')[0]}").body
    assert sum(one["type"] == "approval.granted" for one in case["timeline"]) == 1
    assert "没有等待审批的补偿" in text_of(lead.get("/console/approvals?approver=team_lead"))
    assert "没有勾选" in text_of(lead.post("/console/approvals", [("csrf", lead.csrf()), ("key", "k2")]))


def test_a_colleague_s_case_is_not_taken_away(shop: Server, person: Person) -> None:
    """Whoever takes a case from a list that is old finds that a colleague has it."""
    case_id, lead = shop.case(), person("team_lead", "老陈")
    form = {"csrf": lead.csrf(), "key": "t1", "case_id": case_id}
    assert shop.command(f"/v1/cases/{case_id}/assign-case", {"to": "小赵"}, "team_lead").status == 200
    answer = lead.post("/console/take", form)
    assert answer.headers["Location"] == f"/console/cases/{case_id}?done=work.taken"
    assert "这单已由同事处理" in text_of(lead.get(answer.headers["Location"]))
    assert shop.get(f"/v1/cases/{case_id}").body["assignee"] == "小赵"


@pytest.mark.parametrize(
    ("typed", "status", "said"),
    [
        ({"article": "SKU/1 ", "quantity": "３"}, 303, ""),
        ({"article": "SKU2", "quantity": "many"}, 422, 'id="wrong-quantity"'),
        ({"article": "", "quantity": "1"}, 422, 'id="wrong-article"'),
        ({"article": "A B", "quantity": "1"}, 422, 'id="wrong-article"'),
    ],
)
def test_goods_arrive(person: Person, typed: dict[str, str], status: int, said: str) -> None:
    """Goods that arrive are recorded; what is wrong is said at its field, and what was typed is kept."""
    keeper = person("warehouse", "西仓")
    answer = keeper.post("/console/stock", {"csrf": keeper.csrf(), "key": str(uuid4()), **typed})
    assert answer.status == status, answer.raw
    if status == 303:
        assert "SKU/1</a></th>" in text_of(keeper.get(answer.headers["Location"]))
    else:
        assert said in text_of(answer)
        assert f'value="{typed["quantity"]}"' in text_of(answer)


def test_a_case_about_an_unknown_order(shop: Server, person: Person) -> None:
    """An order that nobody knows is said to be unknown, can be recorded by hand, and its case opened then; mistakes are
    told at their fields."""
    agent = person("agent", "小李")
    unknown = agent.get("/console/new-case?order_id=HAND1")
    assert unknown.status == 404
    assert "/console/new-case/order?order_id=HAND1" in text_of(unknown)
    order = {
        "csrf": agent.csrf(),
        "key": "o1",
        "order_id": "HAND1",
        "channel": "taobao",
        "buyer_id": "b-1",
        "ordered_at": "2026-10-01 09:00",
        "sku-1": "LOCK-A1",
        "kind-1": "product",
        "quantity-1": "2",
        "paid-1": "2598",
        "cost-1": "600",
    }
    wrong = agent.post("/console/new-case/order", {**order, "key": "o2", "paid-1": "12.345", "ordered_at": "gestern"})
    assert wrong.status == 422
    assert 'id="wrong-paid-1"' in text_of(wrong)
    assert 'id="wrong-ordered_at"' in text_of(wrong)
    wrong = agent.post("/console/new-case/order", {**order, "key": "o3", "sku-1": "A B", "ordered_at": "2027-01-01"})
    assert 'id="wrong-sku-1"' in text_of(wrong)
    recorded = agent.post("/console/new-case/order", order)
    assert recorded.headers["Location"] == "/console/new-case?order_id=HAND1&done=record_order"
    case = {"csrf": agent.csrf(), "key": "c1", "order_id": "HAND1", "line": "L1", "quantity-L1": "1"}
    refused = agent.post("/console/new-case", {**case, "problem": "no_such", "description": " "})
    assert refused.status == 422
    assert 'id="wrong-problem"' in text_of(refused) or 'id="wrong-description"' in text_of(refused)
    many = {**case, "problem": "damaged_on_arrival", "description": "坏了", "quantity-L1": "3"}
    for key, body, field, said in (
        ("c3", many, "quantity-L1", ""),
        ("c4", {**many, "quantity-L1": "二", "description": ""}, "quantity-L1", "请填整数"),
        ("c5", {**many, "quantity-L1": "二", "description": ""}, "description", "请填写"),
        ("c6", {**many, "quantity-L1": "x", "channel_refund_id": "9" * 65}, "channel_refund_id", "最多 64 个字符"),
    ):
        refused = agent.post("/console/new-case", {**body, "key": key})
        assert refused.status in (409, 422)
        assert f'id="wrong-{field}" role="alert">{said}' in text_of(refused)
    typed = {**case, "key": "c2", "problem": "damaged_on_arrival", "description": "面板破损", "urgent": "yes"}
    typed["take"] = "yes"
    opened = agent.post("/console/new-case", typed)
    assert agent.post("/console/new-case", typed).headers["Location"] == opened.headers["Location"]
    assert opened.headers["Location"] == "/console/cases/HAND1-1?done=open_case"
    told = shop.get("/v1/cases/HAND1-1").body
    assert told["urgent"]
    assert told["assignee"] == "小李"
    assert [(line["line_id"], line["quantity"]) for line in told["lines"]] == [("L1", 1)]

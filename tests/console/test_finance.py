"""Pages of finance as they are asked for: lists, forms that are refused, files, and what a bill may hold."""

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Final
from urllib.parse import quote

import pytest

from services.sample import writing
from tests.console.pages import Reader, text_of
from tests.finance.bills.shop import wechat_refund
from tests.finance.reconciling.office import CLERK, Office, at, delivered
from tests.http.server import Answer, Server

SCRIPT: Final = "<script>alert(1)</script>"
_BOUNDARY: Final = "--of-these-tests"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """October is over: bills are taken in, two things do not agree."""
    office = Office(tmp_path_factory.mktemp("books") / "data", "2026-11-03T10:00:00+08:00")
    office.paid("HB1", 500, "2026-10-05")
    office.paid("HB2", 700, "2026-10-05")
    office.bills()
    answer = office.reconcile()
    assert answer.status == 200
    office.run = answer.body["events"][-1]["data"]["run"]
    yield office
    office.server.close()


@pytest.fixture(scope="module")
def shop(office: Office) -> Server:
    """The server of these books."""
    return office.server


@pytest.fixture(scope="module")
def clerk(shop: Server) -> Iterator[Reader]:
    """Whoever keeps the books."""
    reader = Reader(shop, "finance", "老钱")
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def lead(shop: Server) -> Iterator[Reader]:
    """Somebody who may look at the books, and do nothing in them."""
    reader = Reader(shop, "team_lead", "Chen", "en")
    yield reader
    reader.close()


def one_of(office: Office, kind: str) -> str:
    """The discrepancy of a kind."""
    [one] = office.discrepancies(f"&kind={kind}")
    return str(one["discrepancy"])


def upload(reader: Reader, files: Mapping[str, bytes], key: str, **said: str) -> Answer:
    """Send the form of bills, as a browser without scripts does."""
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in {"csrf": reader.csrf(), "key": key, **said}.items()
    ]
    for name, content in files.items():
        head = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/csv'
        parts.append(f"--{_BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
    body = b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()
    return reader.send("/console/finance/bills", body, Content_Type=f"multipart/form-data; boundary={_BOUNDARY}")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("", ["2026-10", "channels that this month was not reconciled", "missing with us", "29 days"]),
        ("/ledger-check", ["Debits are credits", "12.00"]),
        ("/bills?kind=wechat-trade", ["trade.csv", "1 in all", "WeChat Pay transactions"]),
        ("/reconciliations/{run}?check=yes", ["Made anew, it is the same", "1 agree, 0 carried"]),
        ("/discrepancies?state=open&channel=wechat", ["2 in all", "-3.00", "missing at the channel"]),
        ("/discrepancies?state=closed", ["Nothing disagrees"]),
        ("/discrepancies/{unknown}", ["TB9-1:refund:F1", "Not in the books", "What to do:"]),
        ("/discrepancies/{missing}", ["On no bill", "Good-review rewards (promotion)", "HB2"]),
        ("/statements?month=all", ["Opening", "Sum"]),
        ("/statements/party?party=courier/YTO&month=2026-10", ["<h1><bdi>courier YTO</bdi> 2026-10"]),
        ("/statements/refunds?by=sku", ["SKU", "Goods"]),
        ("/postings?account=promotion", ["Good-review rewards (promotion)", "2 in all"]),
        ("/periods", ["2026-10", "open"]),
        ("/periods/2026-10", ["Close 2026-10", "Once it is closed"]),
        ("/exports?month=2026-10", ["Statement by party", "BEANCOUNT"]),
    ],
)
def test_pages_tell_what_the_books_hold(office: Office, lead: Reader, path: str, told: list[str]) -> None:
    """Each page shows the figures, in the language of who reads it; whoever may look sees them."""
    names = {"run": office.run, "unknown": "", "missing": ""}
    if "{unknown}" in path or "{missing}" in path:
        names |= {"unknown": one_of(office, "missing_with_us"), "missing": one_of(office, "missing_at_channel")}
    answer = lead.get("/console/finance" + path.format(**names))
    page = text_of(answer)
    assert answer.status == 200
    assert [text for text in told if text.lower() not in page.lower()] == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/bills/nothing", 404),
        ("/mappings/nothing", 404),
        ("/reconciliations/R-1", 404),
        ("/discrepancies/D-1", 404),
        ("/corrections/K99", 404),
        ("/discrepancies?kind=nonsense", 422),
        ("/statements?month=2026-13", 422),
        ("/statements/party?party=nobody", 422),
        ("/periods/October", 422),
        ("/exports/parties?format=pdf", 422),
        ("/reconciliations/preview?channel=wechat&first_day=2026-10-07&last_day=2026-10-06", 422),
    ],
)
def test_what_is_not_there_is_refused_as_by_the_api(clerk: Reader, path: str, status: int) -> None:
    """A page answers with the API's status and says why, whatever stands in its address."""
    answer = clerk.get("/console/finance" + path)
    assert answer.status == status
    assert 'class="notice bad"' in text_of(answer)


def test_bad_bill_is_told_line_by_line_and_nothing_of_it_is_taken_in(office: Office, clerk: Reader) -> None:
    """Of several files the sound one is taken in; of the other each mistake is told with its line and column."""
    row = wechat_refund(7, 900, refund_ref="HB7", occurred_at=at("2026-10-20"))
    sound = writing.wechat_trade([row])
    bad = delivered()["trade.csv"].replace("`90.00", "`9,0.00", 1)
    answer = upload(clerk, {"sound.csv": sound.encode(), "bad.csv": bad.encode()}, "two-files")
    page = text_of(answer)
    assert answer.status == 422
    assert "已导入" in page
    assert "bill_unsound" in page
    assert '<th scope="row"><bdi>应结订单金额</bdi></th>' in page
    assert "第 2 行" in page
    names = [one["file_name"] for one in office.get("/v1/bills?wait=true")["items"]]
    assert ("sound.csv" in names, "bad.csv" in names) == (True, False)


def test_file_counts_once_however_often_it_is_sent(office: Office, clerk: Reader) -> None:
    """The same form sent again is answered the same; the same file in another form was imported before."""
    content = {"trade.csv": delivered()["trade.csv"].encode()}
    before = len(office.get("/v1/bills?wait=true")["items"])
    again = [text_of(upload(clerk, content, key)) for key in ("first-form", "first-form", "other-form")]
    assert all("此前已导入" in page for page in again)
    assert len(office.get("/v1/bills?wait=true")["items"]) == before


def test_form_without_a_file_says_so_at_the_field(clerk: Reader) -> None:
    """Nothing is sent to the API."""
    answer = upload(clerk, {}, "no-file")
    assert answer.status == 422
    assert 'id="wrong-file"' in text_of(answer)


def test_hostile_bill_is_text(office: Office, clerk: Reader) -> None:
    """What a file is called and what it holds, scripts and right-to-left marks too, is shown and never run."""
    name = "<img src=x onerror=alert(1)>\u202e.csv"
    row = wechat_refund(8, 100, refund_ref="HB8", occurred_at=at("2026-10-21"), raw={"商品名称": SCRIPT})
    content = writing.wechat_trade([row]).encode()
    path = f"/console/finance/bills/one?file_name={quote(name)}&key=hostile"
    sent = {"X_CSRF_Token": clerk.csrf(), "Content_Type": "application/octet-stream"}
    taken = text_of(clerk.send(path, content, **sent))
    bill = next(one for one in office.get("/v1/bills?wait=true")["items"] if one["file_name"] == name)["bill"]
    shown = [taken, text_of(clerk.get("/console/finance/bills")), text_of(clerk.get(f"/console/finance/bills/{bill}"))]
    for page in shown:
        assert f"<bdi>{escape(name)}</bdi>" in page
        assert "<img" not in page
        assert SCRIPT not in page
    assert escape(SCRIPT) in shown[-1]
    original = clerk.get(f"/console/finance/bills/{bill}/file")
    assert original.raw == content
    assert original.headers["Content-Disposition"] == f"attachment; filename*=UTF-8''{quote(name, safe='')}"


def test_file_of_a_page_is_sent_by_its_own_session_only(clerk: Reader) -> None:
    """A file that comes without the mark of the session is not taken in."""
    answer = clerk.send("/console/finance/bills/one?file_name=x.csv&key=foreign", b"x")
    assert answer.status == 409


def proposal(reader: Reader, key: str, *rows: Mapping[str, str], **fields: str) -> dict[str, str]:
    """The form of a correction, filled in."""
    legs = {f"leg.{place}.{name}": value for place, row in enumerate(rows) for name, value in row.items()}
    return {"csrf": reader.csrf(), "key": key, "rows": str(len(rows)), "reason": "更正", **legs, **fields}


DEBIT: Final = {"account": "differences", "debit": "3"}
CREDIT: Final = {"account": "channel", "party": "taobao", "credit": "3"}


@pytest.mark.parametrize(
    ("rows", "fields", "status", "field"),
    [
        ((DEBIT, {**CREDIT, "credit": "1,2"}), {}, 422, "leg.1.credit"),
        ((DEBIT, {**CREDIT, "debit": "3"}), {}, 422, "leg.1.credit"),
        (({"account": "differences"}, CREDIT), {}, 422, "leg.0.debit"),
        (({**DEBIT, "account": ""}, CREDIT), {}, 422, "leg.0.account"),
        ((DEBIT, {**CREDIT, "party": ""}), {}, 422, "leg.1.party"),
        (({**DEBIT, "case_id": "TB77-1"}, CREDIT), {}, 422, "leg.0.case_id"),
        ((DEBIT, CREDIT), {"booked_on": "2026-12-01"}, 422, "booked_on"),
        ((DEBIT, CREDIT), {"reason": " "}, 422, "reason"),
        ((), {}, 422, "legs"),
        ((DEBIT, {**CREDIT, "credit": "5"}), {}, 422, ""),
        ((DEBIT, CREDIT), {"more": "legs"}, 200, ""),
    ],
)
def test_correction_that_is_not_right_says_so_at_the_field(
    office: Office,
    clerk: Reader,
    rows: tuple[Mapping[str, str], ...],
    fields: Mapping[str, str],
    status: int,
    field: str,
) -> None:
    """What cannot be read and what the API refuses stand at their fields, and what was typed is kept."""
    form = proposal(clerk, f"form-{len(rows)}-{field}-{status}", *rows, **fields)
    answer = clerk.post("/console/finance/corrections", form)
    page = text_of(answer)
    assert answer.status == status
    assert not field or f'id="wrong-{field}"' in page
    for row in rows:
        assert not row.get("credit") or f'value="{row["credit"]}"' in page
    assert office.get("/v1/corrections?wait=true")["items"] == []


def test_corrections_are_decided_by_others(office: Office, clerk: Reader, shop: Server) -> None:
    """The maker may not approve; another person declines with a reason, and the discrepancy stays open."""
    name = one_of(office, "missing_at_channel")
    form = proposal(clerk, "to-decline", DEBIT, CREDIT, discrepancies=name, booked_on="2026-10-05")
    made = clerk.post("/console/finance/corrections", form)
    assert made.status == 303
    place = made.headers["Location"].partition("?")[0]
    assert clerk.post("/console/finance/corrections", form).headers["Location"] == made.headers["Location"]
    own = clerk.post(f"{place}/approve", {"csrf": clerk.csrf(), "key": "own"})
    assert (own.status, "own_correction" in text_of(own)) == (409, True)
    assert re.search("disabled[^>]*>批准更正", text_of(clerk.get(place)))
    checker = Reader(shop, "finance", "小周")
    assert f'action="{place}/approve"' in text_of(checker.get(place))
    waiting = text_of(checker.get("/console/finance/corrections?state=proposed"))
    assert "财务 老钱" in waiting
    empty = checker.post(f"{place}/decline", {"csrf": checker.csrf(), "key": "empty", "reason": ""})
    assert (empty.status, 'id="wrong-reason"' in text_of(empty)) == (422, True)
    said = {"csrf": checker.csrf(), "key": "no", "reason": "渠道还没有出账"}
    assert checker.post(f"{place}/decline", said).status == 303
    page = text_of(checker.get(place))
    assert "渠道还没有出账" in page
    assert "2026-10-05" in page
    assert office.get(f"/v1/discrepancies/{name}")["state"] == "open"
    checker.close()


def test_discrepancy_is_assigned(office: Office, clerk: Reader, lead: Reader) -> None:
    """Whoever may, names who looks after it; whoever may not is told so on the same page."""
    place = f"/console/finance/discrepancies/{one_of(office, 'missing_with_us')}"
    form = {"csrf": lead.csrf(), "key": "assign-lead", "owner": "小周"}
    refused = lead.post(f"{place}/assign", form)
    assert (refused.status, "forbidden" in text_of(refused)) == (403, True)
    assert clerk.post(f"{place}/assign", {**form, "csrf": clerk.csrf()}).status == 303
    assert "小周" in text_of(clerk.get("/console/finance/discrepancies?owner=" + quote("小周")))


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/discrepancies/{missing}", "/assign"),
        ("/discrepancies/{missing}", 'class="proposal"'),
        ("/corrections", "/corrections/new"),
        ("/corrections/new", 'class="proposal"'),
        ("/reconciliations/preview?channel=wechat&first_day=2026-10-04&last_day=2026-10-06", 'name="first_day"'),
    ],
)
def test_nobody_is_offered_a_form_that_is_refused_to_the_role(
    office: Office, clerk: Reader, lead: Reader, path: str, form: str
) -> None:
    """Whoever may not give the command is told so instead."""
    place = "/console/finance" + path.format(missing=one_of(office, "missing_at_channel"))
    offered, told = text_of(clerk.get(place)), text_of(lead.get(place))
    assert form in offered
    assert form not in told
    assert "Your role may not" in told or path == "/corrections"


def test_month_that_cannot_be_closed_says_why(clerk: Reader) -> None:
    """A month that is not over has no button; sent all the same, the API's refusal is shown."""
    page = "/console/finance/periods/2026-11"
    assert "/close" not in text_of(clerk.get(page))
    refused = clerk.post(f"{page}/close", {"csrf": clerk.csrf(), "key": "early"})
    assert (refused.status, "month_not_over" in text_of(refused)) == (409, True)


def test_whoever_prepares_a_month_has_seen_its_remarks(office: Office, clerk: Reader) -> None:
    """A form without the tick is shown again, and nothing is prepared."""
    page = "/console/finance/periods/2026-10"
    assert 'name="seen"' in text_of(clerk.get(page))
    again = clerk.post(f"{page}/prepare", {"csrf": clerk.csrf(), "key": "unseen"})
    assert (again.status, "请先看过提示" in text_of(again)) == (422, True)
    assert office.get("/v1/periods/2026-10/report")["prepared_by"] == ""


@pytest.mark.parametrize(
    ("path", "media_type", "begin"),
    [
        (
            "exports/parties?format=xlsx&month=2026-10",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            b"PK",
        ),
        ("exports/parties?format=csv", "text/csv", "\ufeff".encode()),
        ("exports/postings?format=jsonl", "application/x-ndjson", b"{"),
        ("exports/journal?format=beancount", "text/plain", b";"),
        ("discrepancies/export?format=csv&state=open", "text/csv", "\ufeff差异编号".encode()),
    ],
)
def test_files_are_passed_on(clerk: Reader, path: str, media_type: str, begin: bytes) -> None:
    """Tables of the books are had as files, as the person who asks."""
    answer = clerk.get(f"/console/finance/{path}")
    assert (answer.status, answer.headers.get_content_type()) == (200, media_type)
    assert answer.raw.startswith(begin)
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_reconciling_by_somebody_who_may_not_is_refused(office: Office, lead: Reader) -> None:
    """The form is shown again with the API's refusal, and what was typed."""
    before = office.get("/v1/reconciliations?wait=true")
    form = {
        "csrf": lead.csrf(),
        "key": "lead",
        "channel": "wechat",
        "first_day": "2026-10-04",
        "last_day": "2026-10-06",
    }
    refused = lead.post("/console/finance/reconciliations", form)
    assert (refused.status, 'value="2026-10-04"' in text_of(refused)) == (403, True)
    assert office.get("/v1/reconciliations?wait=true") == before


def test_reconciling_once_more_finds_nothing_new(office: Office, clerk: Reader) -> None:
    """What was raised is not raised again; `order_channels` may be typed with any comma."""
    form = {"csrf": clerk.csrf(), "channel": "wechat", "first_day": "2026-10-04", "last_day": "2026-10-06"}
    known = len(office.discrepancies())
    for key, channels in (("again", ""), ("of-some", "taobao\uff0cdouyin")):
        made = clerk.post("/console/finance/reconciliations", {**form, "key": key, "order_channels": channels})
        assert made.status == 303
        assert clerk.get(made.headers["Location"]).status == 200
    assert len(office.discrepancies()) == known
    runs = office.server.get("/v1/reconciliations?wait=true", CLERK).body["items"]
    assert ["douyin", "taobao"] in [one["order_channels"] for one in runs]

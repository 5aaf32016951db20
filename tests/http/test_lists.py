"""Lists: filters by name, pages by an opaque cursor, and reading what was just written (`conventions.md` HTTP)."""

import base64
import json

import pytest

from services.cases.http import CASES
from services.kernel.freshness import WrittenElsewhere
from services.kernel.http import lists
from tests.http.server import Server

LISTS = ("cases", "stock", "payouts", "settlements", "exceptions", "charges", "losses")


def ids(server: Server, query: str) -> list[str]:
    answer = server.get(f"/v1/cases?wait=true&{query}")
    assert answer.status == 200, answer.raw
    return [item["case_id"] for item in answer.body["items"]]


def test_pages_hold_every_row_once(server: Server) -> None:
    """Going on from `after` until `has_more` is false gives every row once, newest first."""
    order = server.order()
    opened = [server.case("handover", order_id=order) for _ in range(7)]
    seen: list[str] = []
    after = ""
    while True:
        query = f"order_id={order}&limit=3&wait=true" + (f"&after={after}" if after else "")
        page = server.get(f"/v1/cases?{query}").body
        seen += [item["case_id"] for item in page["items"]]
        if not page["has_more"]:
            assert page["after"] is None
            break
        after = page["after"]
    assert seen == opened[::-1]


def test_cases_are_found_by_what_operators_look_for(server: Server) -> None:
    """Status, problem, promise, party, approver, what it waits for, assignee and order each narrow the list."""
    order = server.order()
    first = server.case("logistics_delay", order_id=order)
    second = server.case("service_attitude", order_id=order)
    path = f"/v1/cases/{first}"
    server.command(f"{path}/propose-compensation", {"kind": "cash", "amount_fen": 5000})
    server.command(f"{path}/assess-cause", {"cause": "transit_damage"})
    server.command(f"{path}/trace-parcel", {"tracking_no": "x", "status": "y"})
    server.command(f"/v1/cases/{second}/assign-case", {"to": "小李"})
    offer = server.command(f"{path}/propose-compensation", {"kind": "voucher", "amount_fen": 100}, "store_manager/王")
    server.command(f"{path}/record-buyer-reply", {"proposal": offer.body["proposal"], "accepted": True})
    server.command(f"{path}/pay-compensation", {"proposal": offer.body["proposal"], "payment_ref": "x"}, "finance/钱")
    server.settle()
    for query, found in {
        "status=open": [second, first],
        "status=closed": [],
        "problem=service_attitude": [second],
        "promise=kept": [second, first],
        "promise=broken": [],
        "party=courier": [first],
        "party=courier%2FYTO": [first],
        "party=YTO": [first],
        "party=warehouse": [],
        "party=%25": [],
        "party=_ourier": [],
        "approver=team_lead": [first],
        "approver=store_manager": [],
        "waits_for=rude_agent_unnamed": [second],
        "assignee=%E5%B0%8F%E6%9D%8E": [second],
        "assignee=x%27+OR+1%3D1--": [],
    }.items():
        assert ids(server, f"order_id={order}&{query}") == found, query
    charges = server.get(f"/v1/charges?wait=true&order_id={order}&party=courier").body["items"]
    assert [(one["party"], one["charged_fen"]) for one in charges] == [("courier/YTO", 100)]
    assert server.get(f"/v1/losses?wait=true&order_id={order}").body["items"][-1]["net_fen"] == 100


def test_settlements_payouts_and_exceptions(server: Server) -> None:
    """Finance finds the payout to make, the settlement behind it, and the insurance money that came too late."""
    case = server.case("logistics_delay")
    path = f"/v1/cases/{case}"
    refund = {"lines": [{"line_id": "L1", "quantity": 1}], "refund_only": True}
    assert server.command(f"{path}/request-refund", refund, "team_lead").status == 200
    server.settle()
    [payout] = server.get(f"/v1/payouts?wait=true&status=requested&case_id={case}").body["items"]
    assert (payout["kind"], payout["amount_fen"]) == ("refund", 129_900)
    done = {"payout": payout["payout"], "status": "succeeded", "channel_ref": "WX1"}
    assert server.command(f"{path}/confirm-payout", done, "finance").status == 200
    paid = {"result": "paid", "amount_fen": 500}
    for _ in range(2):
        assert server.command(f"{path}/record-insurance-result", paid, "service").status == 200
    server.settle()
    [settlement] = server.get(f"/v1/settlements?wait=true&case_id={case}").body["items"]
    assert (settlement["refund_fen"], settlement["freight_pending"]) == (129_900, False)
    assert server.get(f"{path}/settlement").body["settlement"]["net_fen"] == 129_900
    assert server.get(f"/v1/payouts?wait=true&channel_ref=WX1&case_id={case}").body["items"][0]["status"] == "succeeded"
    exceptions = server.get(f"/v1/exceptions?wait=true&case_id={case}").body["items"]
    assert exceptions
    assert {one["kind"] for one in exceptions} <= {"insurance_late", "insurance_second"}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("limit=0", "limit", "range"),
        ("limit=501", "limit", "range"),
        ("limit=x", "limit", "range"),
        ("limit=-1", "limit", "range"),
        ("limit=" + "9" * 5000, "limit", "range"),
        ("limit=%EF%BC%95", "limit", "range"),
        ("limit=1&limit=2", "limit", "unique"),
        ("after=x", "after", "cursor"),
        ("after=%E4%B8%AD", "after", "cursor"),
        ("after=" + base64.b64encode(json.dumps([10**40, 10**40]).encode()).decode(), "after", "cursor"),
        ("after=" + base64.b64encode(b"[" * 3000).decode(), "after", "cursor"),
        ("after=" + base64.b64encode(b"[null, null, null]").decode(), "after", "cursor"),
        ("wait=maybe", "wait", "one_of"),
        ("colour=red", "colour", "known_filter"),
    ],
)
def test_a_wrong_question_is_refused(server: Server, name: str, query: str, field: str, rule: str) -> None:
    """A parameter that is unknown, twice or out of bounds is 422 and named: never an empty list that looks true."""
    answer = server.get(f"/v1/{name}?{query}")
    assert (answer.status, answer.code) == (422, "invalid")
    assert answer.field(field)["rule"] == rule


def test_a_filter_takes_only_values_that_can_be(server: Server) -> None:
    """A misspelt status is named with what it may be."""
    for query in ("cases?status=opened", "payouts?status=paid", "payouts?kind=gift", "exceptions?kind=x"):
        answer = server.get(f"/v1/{query}")
        assert answer.code == "invalid"
        assert answer.body["errors"][0]["rule"] == "one_of"
    assert server.get("/v1/cases?problem=" + "x" * 201).code == "invalid"
    assert server.get("/v1/cases?order_id=").code == "invalid"
    for odd in ("%00", "%ff", "%F0%9F%98%80"):
        assert server.get(f"/v1/cases?problem={odd}").body["items"] == []


def test_stock_is_listed(server: Server) -> None:
    """Reported units show at once for who waits; an odd article number is named, not stored."""
    assert server.command("/v1/stock/SKU-1", {"quantity": 3}, "warehouse").status == 200
    [row] = server.get("/v1/stock?wait=true&sku=SKU-1").body["items"]
    assert row == {"sku": "SKU-1", "available": 3, "reserved": 0, "awaited": 0}
    before = server.heads()
    answer = server.command("/v1/stock/a%20b", {"quantity": 3}, "warehouse")
    assert answer.field("sku")["rule"] == "form"
    assert server.command("/v1/stock/SKU-1", {"quantity": -3}, "warehouse").field("quantity")["rule"] == "range"
    assert server.heads() == before


def test_a_list_that_stands_still_says_before_what(fresh: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked to wait is told in both languages what does not go on and what helps; who does not wait is answered."""
    case = fresh.case()
    fresh.settle()
    service = fresh.embedded._running["cases"].service
    monkeypatch.setattr("services.kernel.freshness.REACHED_SECONDS", 0.1)
    monkeypatch.setattr(service, "freshness", WrittenElsewhere(service.store, "nobody", "cases"))
    answer = fresh.get("/v1/cases?wait=true")
    assert (answer.status, answer.code, answer.body["retryable"]) == (503, "unavailable", True)
    order = case.split("-")[0]
    assert answer.body["params"] == {"service": "cases", "order_id": order}
    said = answer.field("wait")
    assert order in said["zh"]
    assert order in said["en"]
    assert "cases-consume" in said["en"]
    assert fresh.get("/v1/cases").body["items"]


def test_rows_are_counted_when_asked(server: Server) -> None:
    """The count is that of all pages together, whatever page is shown; not asked for, it is not there."""
    order = server.order()
    for _ in range(3):
        server.case("handover", order_id=order)
    page = server.get(f"/v1/cases?order_id={order}&limit=1&count=true&wait=true").body
    assert (page["count"], page["count_is_more"], len(page["items"])) == (3, False, 1)
    behind = server.get(f"/v1/cases?order_id={order}&limit=1&count=true&after={page['after']}").body
    assert (behind["count"], behind["items"][0]["case_id"]) == (3, f"{order}-2")
    plain = server.get(f"/v1/cases?order_id={order}").body
    assert (plain["count"], plain["count_is_more"]) == (None, None)
    for name in LISTS:
        assert server.get(f"/v1/{name}?count=true").body["count"] is not None
        assert server.get(f"/v1/{name}?count=maybe").field("count")["rule"] == "one_of"


def test_a_count_has_an_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the most that is counted, it says that there are more."""
    monkeypatch.setattr("services.kernel.http.lists.COUNTED_MOST", 2)
    order = server.order()
    for number, more in ((1, False), (2, False), (2, True)):
        server.case("handover", order_id=order)
        page = server.get(f"/v1/cases?order_id={order}&count=true&wait=true").body
        assert (page["count"], page["count_is_more"]) == (number, more)


def test_work_lists_are_questions(server: Server) -> None:
    """What somebody has to do is a filter: unassigned, urgent, due, and the step that a case is at."""
    order = server.order()
    first = server.case("logistics_delay", order_id=order, urgent=True)
    second = server.case("handover", order_id=order)
    server.command(f"/v1/cases/{second}/assign-case", {"to": "小李"})
    server.command(f"/v1/cases/{first}/propose-compensation", {"kind": "cash", "amount_fen": 5_000})
    for query, found in {
        "assigned=yes": [second],
        "assigned=no": [first],
        "urgent=yes": [first],
        "urgent=no": [second],
        "stage=approval_awaited": [first],
        "stage=approval_awaited&approver=team_lead&status=open": [first],
        "stage=return_to_inspect": [],
        "due_before=2026-10-06T10:59:00%2B08:00": [],
        "due_before=2026-10-06T11:01:00%2B08:00": [],  # the offer and the assignment were the first answers
        "due_before=2026-10-09T03:00:00Z": [second, first],
        "due_before=2026-10-09T00:00:00Z": [],
        "opened_from=2026-10-01T00:00:00%2B08:00&opened_before=2026-11-01T00:00:00%2B08:00": [second, first],
        "opened_from=2026-11-01T00:00:00%2B08:00": [],
        "opened_before=2026-10-01T00:00:00%2B08:00": [],
    }.items():
        assert ids(server, f"order_id={order}&{query}") == found, query
    server.command(f"/v1/cases/{second}/close-case", {"resolution": "好了"})
    assert ids(server, f"order_id={order}&due_before=2026-10-09T03:00:00Z") == [first]
    for query in ("assigned=true", "urgent=1", "stage=return", "due_before=2026-10-09", "due_before=x"):
        answer = server.get(f"/v1/cases?{query}")
        assert (answer.status, answer.code) == (422, "invalid"), query


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({"status": "open"}, "case_by_status"),
        ({"status": "open", "assigned": "no"}, "case_open_by_assignee"),
        ({"status": "open", "assignee": "小李"}, "case_open_by_assignee"),
        ({"status": "open", "problem": "handover"}, "case_open_by_problem"),
        ({"status": "open", "urgent": "yes"}, "case_urgent"),
        ({"status": "open", "promise": "broken"}, "case_broken"),
        ({"status": "open", "approver": "team_lead"}, "case_approver"),
        ({"status": "open", "waits_for": "return_open"}, "case_waiting"),
        ({"stage": "return_to_inspect"}, "case_return_to_inspect"),
        ({"stage": "reshipment_backordered", "status": "open"}, "case_reshipment_backordered"),
        ({"stage": "reply_awaited"}, "case_by_stage"),
        ({"party": "courier"}, "case_charged"),
        ({"opened_from": "2026-10-01T00:00:00+00:00"}, "case_by_time"),
        ({}, "case_by_time"),
    ],
)
def test_a_list_reads_no_more_than_it_shows(server: Server, asked: dict[str, str], index: str) -> None:
    """Each work list has an index in its order, which the database takes: a shop with many cases waits no longer."""
    conditions, params = lists._conditions(asked, CASES)
    sql = f"SELECT * FROM case_view{lists._where(conditions)} ORDER BY opened_at DESC, case_id DESC LIMIT 51"
    store = server.embedded._running["cases"].service.store
    plan = [row["detail"] for row in server.run(store.query(f"EXPLAIN QUERY PLAN {sql}", params))]
    assert len(plan) == 1, plan  # no sorting
    assert f"INDEX {index}" in plan[0].replace("COVERING ", "")

"""Reconciling over HTTP: what is noted and raised, once; who may; what a discrepancy shows, and how it is closed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from services.finance.http import reconciliation
from services.kernel.event_store import Commit, Statement
from tests.finance.reconciling.office import CHECKER, CLERK, DAYS, Office

UNKNOWN = "TB9-1:refund:F1"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A reward that the bills list, a refund on the bills that nobody knows, and a reward that they do not list."""
    office = Office(tmp_path_factory.mktemp("reconciled") / "data")
    office.paid("HB1", 500, "2026-10-05")
    office.paid("HB2", 700, "2026-10-05")
    office.bills()
    preview = office.get("/v1/reconciliations/preview?" + "&".join(f"{name}={value}" for name, value in DAYS.items()))
    assert office.discrepancies() == [], "a preview raises nothing"
    answer = office.reconcile()
    assert answer.status == 200, answer.raw
    [made] = [event["data"] for event in answer.body["events"] if event["type"] == "books.reconciled"]
    assert made["result"] == preview["result"]
    office.run = made["run"]
    yield office
    office.server.close()


def test_what_agrees_is_noted_row_by_row(office: Office) -> None:
    """Both bills' rows of our refund name the posting and the rule; a row stands there once, by constraint."""
    noted = office.query("SELECT row_key, event_id, line, rule, run FROM matched_row ORDER BY row_key")
    [posting] = office.query("SELECT event_id, line FROM posting_view WHERE item = 'HB1' AND account = 'channel'")
    assert [(one["event_id"], one["line"], one["rule"]) for one in noted] == [
        (posting["event_id"], posting["line"], "exact")
    ] * 2
    assert len({one["row_key"] for one in noted}) == 2


def test_what_does_not_agree_is_raised_once(office: Office) -> None:
    """A second run finds the same, and raises nothing twice."""
    found = office.discrepancies()
    assert sorted((one["kind"], one["expected_fen"], one["found_fen"], one["state"]) for one in found) == [
        ("missing_at_channel", -700, 0, "open"),
        ("missing_with_us", 0, -300, "open"),
    ]
    again = office.reconcile()
    assert {event["type"] for event in again.body["events"]} <= {"books.reconciled"}
    assert len(office.discrepancies()) == 2


def test_open_discrepancies_are_counted_by_kind(office: Office) -> None:
    """How many of each kind are open, since when, and what they sum to; the same as the list has."""
    open_ = office.discrepancies("&state=open")
    assert office.get("/v1/discrepancies/open-kinds")["items"] == [
        {
            "kind": one["kind"],
            "discrepancies": 1,
            "oldest_day": "2026-10-05",
            "age_days": 3,
            "expected_fen": one["expected_fen"],
            "found_fen": one["found_fen"],
        }
        for one in sorted(open_, key=lambda one: str(one["kind"]))
    ]


def test_run_is_told_with_its_days_and_can_be_made_again(office: Office) -> None:
    """The totals of each day from both bills; made anew from the same inputs, it is the same to the byte."""
    runs = office.get("/v1/reconciliations?wait=true&channel=wechat")["items"]
    [last] = [one for one in runs if one["run"] == office.run]
    run = office.get(f"/v1/reconciliations/{office.run}")
    [day] = run["days"]
    assert (day["day"], day["rows"], day["matched_rows"]) == ("2026-10-05", 4, 2)
    assert (day["trade_refunds_fen"], day["fund_refunds_fen"]) == (-800, -800)
    assert run["found"] == {"missing_at_channel": {"open": 1}, "missing_with_us": {"open": 1}}
    office.paid("HB3", 900, "2026-10-05")
    checked = office.get(f"/v1/reconciliations/{last['run']}/check")
    assert (checked["same"], checked["made_again"]) == (True, last["result"])
    assert office.server.get("/v1/reconciliations/R-1", CLERK).code == "unknown_run"


def test_discrepancy_shows_rows_and_events_side_by_side(office: Office) -> None:
    """What the bills say on one side, what our events posted on the other, with an owner and an age."""
    of = {one["kind"]: office.get(f"/v1/discrepancies/{one['discrepancy']}") for one in office.discrepancies()}
    unknown, unlisted = of["missing_with_us"], of["missing_at_channel"]
    assert [(row["refund_ref"], row["amount_fen"]) for row in unknown["bills_say"]] == [(UNKNOWN, -300)] * 2
    assert (unknown["books_say"], unknown["order_id"], unknown["case_id"]) == ([], "TB9", "TB9-1")
    [event] = unlisted["books_say"]
    assert sorted((leg["account"], leg["amount_fen"]) for leg in event["postings"]) == [
        ("channel", -700),
        ("promotion", 700),
    ]
    assert (event["named"], unlisted["bills_say"], unlisted["owner"], unlisted["age_days"]) == (True, [], "finance", 3)


def test_discrepancy_is_assigned_and_closed_by_two_persons(office: Office) -> None:
    """Somebody is named; only a correction that another person approved closes it, and then nobody can be named."""
    [one] = office.discrepancies("&kind=missing_with_us")
    path = f"/v1/discrepancies/{one['discrepancy']}"
    assert office.server.command(f"{path}/assign", {"owner": "小周"}, CLERK).status == 200
    assert [found["discrepancy"] for found in office.discrepancies(f"&owner={quote('小周')}")] == [one["discrepancy"]]
    assert office.get(path)["owner"] == "小周"
    body = {"reason": "渠道误退,已追回", "discrepancies": [one["discrepancy"]]}
    proposed = office.server.command("/v1/corrections", body, CLERK).body["events"][0]["data"]["correction"]
    assert office.get(path)["state"] == "open"
    assert office.server.command(f"/v1/corrections/{proposed}/approve", {}, CHECKER).status == 200
    closed = office.get(path)
    assert (closed["state"], closed["correction"]) == ("closed", proposed)
    assert office.server.command(f"{path}/assign", {"owner": "老钱"}, CLERK).code == "discrepancy_closed"
    office.reconcile()
    assert office.get(path)["state"] == "closed", "what was explained stays closed"


def test_only_orders_whose_money_goes_through_the_channel_are_looked_for(office: Office) -> None:
    """The money of other orders is on another channel's bill: it is not missing on this one."""
    asked = "&".join(f"{name}={value}" for name, value in DAYS.items())
    every = office.get(f"/v1/reconciliations/preview?{asked}")
    assert every["by_kind"]["missing_at_channel"] >= 1
    other = office.get(f"/v1/reconciliations/preview?{asked}&order_channels=douyin")
    assert ("missing_at_channel" in other["by_kind"], other["postings"]) == (False, {})
    made = office.reconcile(order_channels=["douyin"]).body["events"][-1]["data"]
    assert made["order_channels"] == ["douyin"]
    assert office.get(f"/v1/reconciliations/{made['run']}/check")["same"], "what it was made with is part of it"


@pytest.mark.parametrize(
    ("changes", "who", "code", "field"),
    [
        ({"first_day": "2026-10-07"}, CLERK, "invalid", "first_day"),
        ({"first_day": "2026-02-30"}, CLERK, "invalid", "first_day"),
        ({"first_day": "2020-01-01"}, CLERK, "invalid", "first_day"),
        ({"last_day": "7 Oct"}, CLERK, "invalid", "last_day"),
        ({"made": {}}, CLERK, "invalid", "made"),
        ({}, "agent/小李", "forbidden", ""),
        ({"channel": "alipay"}, CLERK, "nothing_to_reconcile", ""),
    ],
)
def test_what_cannot_be_reconciled_is_refused(
    office: Office, changes: dict[str, Any], who: str, code: str, field: str
) -> None:
    """Days that are none, a result that a sender says, a role that may not, no bills: nothing changes."""
    before = office.get("/v1/reconciliations?wait=true")
    answer = office.reconcile(who, **changes)
    assert answer.code == code
    assert not field or answer.field(field)
    assert office.get("/v1/reconciliations?wait=true") == before


def test_unknown_discrepancy_is_not_found(office: Office) -> None:
    """Neither to read nor to assign."""
    assert office.server.get("/v1/discrepancies/D-1", CLERK).code == "unknown_discrepancy"
    assert office.server.command("/v1/discrepancies/D-1/assign", {"owner": "小周"}, CLERK).code == "unknown_discrepancy"


def test_rows_that_are_gone_make_the_bill_wrong(tmp_path: Path) -> None:
    """What is stored of a bill must be what it came to when it was taken in."""
    office = Office(tmp_path / "data")
    office.bills()
    [bill] = office.query("SELECT bill FROM bill_view WHERE kind = 'wechat-trade'")
    deleted = Statement("DELETE FROM bill_row WHERE bill = ? AND kind = 'payment'", [(bill["bill"],)])
    office.server.run(office.shop.finance.appender.submit(Commit(statements=(deleted,))))
    office.reconcile()
    assert "bill_footer_wrong" in [one["kind"] for one in office.discrepancies()]
    office.server.close()


def test_more_discrepancies_than_one_commit_takes_are_all_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are raised some at a time, and the run is told last."""
    monkeypatch.setattr(reconciliation, "_CHUNK", 2)
    office = Office(tmp_path / "data")
    for number in range(5):
        office.paid(f"HB{number}", 500 + number, "2026-10-05")
    office.bills()
    answer = office.reconcile()
    assert answer.body["events"][-1]["type"] == "books.reconciled"
    assert len(office.discrepancies("&kind=missing_at_channel")) == 4
    office.server.close()

"""Months over HTTP: what is refused and why, and what a list tells."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from tests.finance.periods.shop import CLOSER, MAKER, Shop
from tests.given import order


@pytest.mark.parametrize(
    ("month", "body", "who", "status", "code"),
    [
        ("2026-11", {}, CLOSER, 409, "month_not_over"),
        ("2026-12", {}, CLOSER, 409, "month_not_over"),
        ("2026-09", {}, CLOSER, 409, "nothing_posted"),
        ("2026-13", {}, CLOSER, 422, "invalid"),
        ("2026-10-05", {}, CLOSER, 422, "invalid"),
        ("2026-10", {"month": "2026-09"}, CLOSER, 422, "invalid"),
        ("2026-10", {"figures": {"postings": 0}}, CLOSER, 422, "invalid"),
        ("2026-10", {"force": True}, CLOSER, 422, "invalid"),
        ("2026-10", {"cut_off_at": "2026-10-31T23:59:59"}, CLOSER, 422, "invalid"),
        ("2026-10", [], CLOSER, 422, "invalid"),
        ("2026-10", {}, "agent/小李", 403, "forbidden"),
        ("2026-10", {}, "team_lead/老陈", 403, "forbidden"),
    ],
)
def test_what_is_refused(shared: Shop, month: str, body: Any, who: str, status: int, code: str) -> None:
    """A month that is not over or none at all, figures that somebody says, somebody who may not; nothing is prepared
    or closed."""
    for answer in (shared.prepare(month, who, body), shared.close(month, body, who)):
        expected = (409, "period_not_prepared") if status == 403 and "close" in answer.body["instance"] else None
        assert (answer.status, answer.code) == (expected or (status, code)), answer.raw
        assert answer.body["zh"]
        assert "…" not in answer.body["zh"] + answer.body["en"]
    assert shared.version() == 0


def test_a_month_is_closed_once_and_its_answer_repeated(shop: Shop) -> None:
    """The same key gets the same answer; another one is told that it is closed."""
    assert shop.prepare("2026-10").status == 200
    first = shop.close("2026-10", key="K")
    again = shop.close("2026-10", key="K")
    assert (first.status, again.raw, again.headers["Idempotent-Replayed"]) == (200, first.raw, "true")
    refused = shop.close("2026-10")
    assert (refused.status, refused.code, refused.body["params"]["last"]) == (409, "period_closed", "2026-10")
    assert shop.prepare("2026-10").code == "period_closed"
    assert shop.version() == 2


def test_two_persons_close_a_month(shop: Shop) -> None:
    """Not before one prepared it, not by that one, and not once something was posted in between; each time the way out
    is said, and what the report says of who asks is what they are answered."""
    unprepared = shop.close("2026-10")
    assert (unprepared.status, unprepared.code) == (409, "period_not_prepared")
    assert _possible(shop, CLOSER) == {"prepare_period": "", "close_period": "period_not_prepared"}

    [event] = shop.prepare("2026-10").body["events"]
    assert (event["type"], event["data"]["postings"], len(event["data"]["accounts"])) == ("period.prepared", 2, 2)
    assert shop.prepare("2026-10").body["events"] == []
    assert _possible(shop, MAKER) == {"prepare_period": "", "close_period": "own_preparation"}
    assert _possible(shop, CLOSER) == {"prepare_period": "", "close_period": ""}
    assert _possible(shop, "agent/小李") == {"prepare_period": "forbidden", "close_period": "forbidden"}
    own = shop.close("2026-10", who="store_manager/小周")
    assert (own.status, own.code, own.body["params"]) == (409, "own_preparation", {"month": "2026-10"})

    shop.paid(70, "2026-10-31")
    assert _possible(shop, CLOSER)["close_period"] == "period_changed"
    changed = shop.close("2026-10")
    assert (changed.status, changed.code) == (409, "period_changed")
    assert (changed.body["params"]["then"], changed.body["params"]["now"]) == (2, 4)

    assert shop.prepare("2026-10").status == 200
    shop.paid(9, "2026-11-02")
    draft = shop.report("2026-10")
    assert (draft["state"], draft["prepared_by"], draft["closed_by"]) == ("open", MAKER, "")
    assert shop.close("2026-10").status == 200
    closed = shop.report("2026-10")
    assert (closed["prepared_by"], closed["closed_by"], closed["next_actions"]) == (MAKER, CLOSER, [])
    assert shop.check("2026-10")["equal"]


def _possible(shop: Shop, who: str) -> Mapping[str, str]:
    """What somebody can do about October, or the code that says why not."""
    actions = shop.report("2026-10", who)["next_actions"]
    assert [bool(one["code"]) for one in actions] == [not one["allowed"] for one in actions]
    return {one["command"]: one["code"] for one in actions}


def test_the_list_has_closed_and_open_months(shop: Shop) -> None:
    """Newest first; what is late is counted where it belongs."""
    shop.shut("2026-10", "store_manager/老板")
    shop.paid(70, "2026-10-31")
    shop.paid(9, "2026-11-02")
    newest, october = shop.server.get("/v1/periods?wait=true").body["items"]
    assert (newest["month"], newest["state"], newest["postings"], newest["late"]) == ("2026-11", "open", 4, 2)
    assert (newest["prepared_by"], newest["prepared_at"], october["prepared_by"]) == ("", None, MAKER)
    assert (october["month"], october["state"], october["closed_by"]) == ("2026-10", "closed", "store_manager/老板")
    assert (len(october["report"]), len(october["root"])) == (64, 64)


def test_only_late_postings_make_a_month_too(shop: Shop) -> None:
    """The month in which nothing else was posted yet is listed with them."""
    shop.shut("2026-10")
    shop.paid(70, "2026-10-31")
    [newest, _] = shop.server.get("/v1/periods?wait=true").body["items"]
    assert (newest["month"], newest["postings"], newest["late"]) == ("2026-11", 2, 2)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/periods/2026-10/check", 409, "period_open"),
        ("/v1/periods/2026-10/report?format=jsonl", 409, "period_open"),
        ("/v1/periods/2026-1/report", 422, "invalid"),
        ("/v1/periods/october/check", 422, "invalid"),
        ("/v1/periods/2026-10/report?format=xml", 422, "invalid"),
        ("/v1/periods/2026-10/report?as_of=2026-10-05T18:00:00", 422, "invalid"),
        ("/v1/periods?wait=perhaps", 422, "invalid"),
        ("/v1/periods?month=2026-10", 422, "invalid"),
    ],
)
def test_what_cannot_be_read(shared: Shop, path: str, status: int, code: str) -> None:
    """An open month has nothing frozen; what is no month, format or parameter is named."""
    answer = shared.server.get(path)
    assert (answer.status, answer.code) == (status, code), answer.raw


def test_a_draft_says_what_stands_in_the_way(shared: Shop) -> None:
    """In both languages, with the codes that closing would be refused with."""
    obstacles: list[Mapping[str, str]] = shared.report("2026-11")["obstacles"]
    assert [one["code"] for one in obstacles] == ["month_not_over"]
    assert [one["code"] for one in shared.report("2026-11")["next_actions"]] == ["month_not_over"] * 2
    assert "2026-12" in obstacles[0]["zh"]
    assert "not over" in obstacles[0]["en"]
    draft = shared.report("2026-10")
    assert (draft["state"], draft["obstacles"], draft["root"], draft["report"]) == ("open", [], "", "")
    assert draft["debit_fen"] == draft["credit_fen"] == 500


def test_an_order_that_changes_its_channel_moves_nothing_that_was_closed(shop: Shop) -> None:
    """A later snapshot of an order may say another channel: what was posted stays on the account that it was posted to,
    so the closed month is still what was frozen, and the next one begins with it."""
    assert shop.shut("2026-10").status == 200
    known = order()
    moved = msgspec.structs.replace(known, order=msgspec.structs.replace(known.order, channel="tmall"))
    shop.hear(moved, "2026-11-03T09:00:00+08:00")
    assert shop.check("2026-10")["equal"]
    assert [one["code"] for one in shop.report("2026-11")["obstacles"]] == ["month_not_over"]

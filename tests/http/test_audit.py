"""Who did what, over all logs: newest first, by who and when and what, and never by going through all of a log."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from services.operations import audit
from tests.cli.parked import TOPIC, left_behind, parked
from tests.http.server import NOW, Server

BOSS = "store_manager"
PATH = "/v1/audit"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server where two people opened a case each, on two days, and an operator had something done."""
    running = Server(tmp_path_factory.mktemp("server"))
    running.case()
    running.clock.set(NOW + timedelta(hours=20))
    body = {"order_id": running.order(), "problem": "logistics_delay", "description": "…"}
    assert running.command("/v1/cases", body, "team_lead/小王").status == 201
    running.command("/v1/operations", {"kind": "doctor", "service": "refunds", "reason": "x"}, BOSS)
    running.settle()
    yield running
    running.close()


def read(shop: Server, asked: str = "") -> Any:
    answer = shop.get(f"{PATH}?limit=100{asked}", BOSS)
    assert answer.status == 200, answer.raw
    return answer.body


def test_newest_first_with_who_what_and_where(shop: Server) -> None:
    """All services' own decisions in one list, each once, with what it is called and what it is about."""
    page = read(shop)
    times = [one["time"] for one in page["items"]]
    assert times == sorted(times, reverse=True)
    assert len({one["id"] for one in page["items"]}) == len(times)
    opened = [one for one in page["items"] if one["type"] == "case.opened"]
    assert [(one["actor"], one["order_id"], one["case_id"]) for one in opened] == [
        ("team_lead/小王", "TB2", "TB2-1"),
        ("agent/小李", "TB1", "TB1-1"),
    ]
    assert opened[0]["label"]["en"]
    [started] = [one for one in page["items"] if one["type"] == "operation.started"]
    assert (started["service"], started["actor"]) == ("refunds", f"{BOSS}/小李")
    assert started["operation"].endswith("-refunds-doctor")
    assert (page["has_more"], page["after"]) == (False, None)


@pytest.mark.parametrize(
    ("asked", "orders"),
    [
        ("&actor=agent&type=case.opened", ["TB1"]),
        ("&actor=小王&type=case.opened", ["TB2"]),
        ("&actor=team_lead/小王&type=case.", ["TB2"]),
        ("&order=TB1&type=case.opened", ["TB1"]),
        ("&type=case.opened&to=2026-10-06", ["TB1"]),
        ("&type=case.opened&from=2026-10-07", ["TB2"]),
        ("&type=case.opened&service=refunds", []),
        ("&people=true&service=cases&actor=system", []),
    ],
)
def test_chosen_by_who_when_and_what(shop: Server, asked: str, orders: list[str]) -> None:
    """Each filter leaves what it names."""
    from urllib.parse import quote

    items = read(shop, quote(asked, safe="&="))["items"]
    assert [one["order_id"] for one in items] == orders


def test_a_page_after_the_other_is_the_whole(shop: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little one request looks at, going on with `after` finds everything once and comes to an end."""
    whole = [one["id"] for one in read(shop)["items"]]
    monkeypatch.setattr(audit, "PAGE_EVENTS", 2)
    monkeypatch.setattr(audit, "LOOKED_AT_MOST", 5)
    found: list[str] = []
    after = ""
    for _ in range(100):
        page = shop.get(f"{PATH}?limit=3{after}", BOSS).body
        assert page["looked_at"] <= 7
        found += [one["id"] for one in page["items"]]
        if not page["has_more"]:
            break
        after = f"&after={page['after']}"
    assert found == whole


def test_refused_where_it_cannot_be_meant(shop: Server) -> None:
    """Only operators may ask; what is no day, type or cursor is named."""
    assert shop.get(PATH, "finance").code == "forbidden"
    for asked, field in (
        ("from=soon", "from"),
        ("type=nothing", "type"),
        ("after=xx", "after"),
        ("service=x", "service"),
    ):
        assert shop.get(f"{PATH}?{asked}", BOSS).field(field)


def test_messages_that_somebody_saw_to(fresh: Server) -> None:
    """Whoever has dead messages tried again, or gives them up, stands there with the messages and the reason, once for
    a request that is repeated."""
    left_behind(fresh.settings.data_dir, parked(1), parked(2))
    path, place = "/v1/dead-letters/liability", f"{TOPIC}/0/7"
    for _ in range(2):
        fresh.command(f"{path}/redrive", {"place": place, "reason": "mended"}, "store_manager/老陈", key="r1")
    assert fresh.command(f"{path}/discard", {"stream": "TB1", "reason": "void"}, BOSS).status == 200
    told = [
        (one["type"], one["actor"], one["kind"], one["reason"], one["messages"], one["places"])
        for one in read(fresh, "&service=liability&people=true")["items"]
    ]
    second = f"{TOPIC}/0/8"
    assert told == [
        ("operation.finished", f"{BOSS}/小李", "discard", "", 1, [second]),
        ("operation.started", f"{BOSS}/小李", "discard", "void", 1, [second]),
        ("operation.finished", f"{BOSS}/老陈", "redrive", "", 1, [place]),
        ("operation.started", f"{BOSS}/老陈", "redrive", "mended", 1, [place]),
    ]
    [discarded, redriven] = fresh.get("/v1/operations?service=liability", BOSS).body["items"]
    assert (redriven["state"], redriven["outcome"]) == ("finished", {"redriven": 1})
    assert (discarded["state"], discarded["outcome"]) == ("finished", {"discarded": 0, "refused": [second]})

"""Events over HTTP: what happened behind a position, and what happens while somebody waits."""

import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from services.operations import feed
from tests.http.server import Server

BOSS = "store_manager"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two cases."""
    running = Server(tmp_path_factory.mktemp("server"))
    running.case()
    running.case()
    running.heads()
    yield running
    running.close()


def read(shop: Server, asked: str = "", service: str = "cases") -> Any:
    answer = shop.get(f"/v1/events/{service}{asked}", BOSS)
    assert answer.status == 200, answer.raw
    return answer.body


def test_page_by_page_everything_comes_once(shop: Server) -> None:
    """Whoever goes on with each answer's `after` gets the whole log in its order, each event once."""
    whole = read(shop, "?limit=500")
    assert whole["has_more"] is False
    assert [one["position"] for one in whole["items"]] == list(range(1, whole["after"] + 1))
    after, found = 0, []
    while (page := read(shop, f"?after={after}&limit=3"))["items"]:
        assert len(page["items"]) <= 3
        found += page["items"]
        after = page["after"]
    assert found == whole["items"]
    assert page == {"items": [], "after": whole["after"], "has_more": False}


def test_only_what_is_asked_for(shop: Server) -> None:
    """Orders, cases, types and parties narrow it, also within long stretches that hold nothing of it."""
    first, second = [one["subject"] for one in read(shop, "?type=case.opened")["items"]]
    of_case = read(shop, f"?case={second}")["items"]
    assert {one["subject"] for one in of_case} == {second}
    assert next(one["type"] for one in of_case) == "case.opened"
    of_order = read(shop, f"?order={first.rpartition('-')[0]}&type=order.recorded")["items"]
    assert [one["data"]["order"]["order_id"] for one in of_order] == [first.rpartition("-")[0]]
    assert read(shop, "?party=courier/NOBODY")["items"] == []


def test_words_of_people_can_be_read(shop: Server) -> None:
    """Whoever may ask for events reads what was written, as in the case."""
    opened = read(shop, "?type=case.opened")["items"][0]
    assert opened["data"]["description"]
    assert "sealed:" not in opened["data"]["description"]


def test_what_happens_while_somebody_waits(shop: Server) -> None:
    """With `wait`, the answer comes when the event does, and not before."""
    after = read(shop, "?limit=500")["after"]
    got: list[Any] = []
    path = f"http://{shop.address}/v1/events/cases?after={after}&type=case.opened&wait=true"
    asking = urllib.request.Request(path, headers={"Authorization": f"Bearer {shop.token(BOSS)}"})

    def wait() -> None:
        with urllib.request.urlopen(asking, timeout=30) as response:
            got.append(msgspec.json.decode(response.read()))

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.3)
    assert not got
    shop.case()
    waiting.join(10)
    assert [one["type"] for one in got[0]["items"]] == ["case.opened"]


def test_a_long_way_without_any_is_gone_in_steps(shop: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request goes through so many records at most: it says how far it came, and that there is more."""
    monkeypatch.setattr(feed, "SCANNED_MOST", 2)
    monkeypatch.setattr("services.transfer.selection.PAGE_RECORDS", 2)
    page = read(shop, "?type=case.closed")
    assert (page["items"], page["after"], page["has_more"]) == ([], 2, True)


@pytest.mark.parametrize(
    ("asked", "field", "rule"),
    [
        ("?after=999999", "after", "position_past_end"),
        ("?after=-1", "after", "position"),
        ("?after=x", "after", "position"),
        ("?type=case.exploded", "type", "known"),
        ("?order=", "order", "length"),
        ("?since=1", "since", "known_filter"),
        ("?after=1&after=2", "after", "unique"),
        ("?wait=perhaps", "wait", "one_of"),
        ("?limit=0", "limit", "range"),
    ],
)
def test_what_cannot_be_asked(shop: Server, asked: str, field: str, rule: str) -> None:
    """Each wrong parameter is named with its rule."""
    answer = shop.get(f"/v1/events/cases{asked}", BOSS)
    assert (answer.status, answer.field(field)["rule"]) == (422, rule)


def test_who_may_ask(shop: Server) -> None:
    """Events of all orders are for other systems and managers; there are no events of a service that is none."""
    assert shop.get("/v1/events/cases", "agent").code == "forbidden"
    assert shop.get("/v1/events/nothing", BOSS).code == "not_found"

"""Who looks at an order hears when it changes."""

import asyncio
import http.client
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from tests.http.server import Server


@pytest.fixture
def people() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(30) as pool:
        yield pool


def ask(server: Server, order: str, query: str) -> tuple[int, Any, float]:
    """Status, answer, and after how many seconds it came; over a connection of its own."""
    connection = http.client.HTTPConnection(server.address, timeout=40)
    began = time.monotonic()
    headers = {"Authorization": f"Bearer {server.token('agent')}"}
    connection.request("GET", f"/v1/orders/{order}/changes?{query}", headers=headers)
    response = connection.getresponse()
    body = msgspec.json.decode(response.read())
    connection.close()
    return response.status, body, time.monotonic() - began


def waiting(server: Server, order: str, people: ThreadPoolExecutor, number: int = 1) -> list[Future[Any]]:
    """So many who wait for the next version of an order, each already there."""
    version = ask(server, order, "")[1]["version"]
    asked = [people.submit(ask, server, order, f"after={version}&wait=30") for _ in range(number)]
    time.sleep(0.3)
    assert not any(one.done() for one in asked)
    return asked


def test_all_who_wait_hear_of_a_change(server: Server, people: ThreadPoolExecutor) -> None:
    """A command on a case wakes everybody who looks at its order, at once and with the version that it made; nobody
    else."""
    case = server.case()
    order, other = case.rpartition("-")[0], server.order()
    asked, elsewhere = waiting(server, order, people, 20), waiting(server, other, people)
    done = server.command(f"/v1/cases/{case}/trace-parcel", {"tracking_no": "YT1", "status": "在途"})
    version = int(done.headers["ETag"].strip('"'))
    for one in asked:
        status, body, seconds = one.result(5)
        assert (status, body["version"] >= version) == (200, True)
        assert seconds < 5
    assert not elsewhere[0].done()
    server.case(order_id=other)
    assert elsewhere[0].result(5)[0] == 200


def test_a_version_that_is_there_is_told_at_once(server: Server) -> None:
    """Who missed something does not wait; who knows all of it, and does not want to wait, hears that version again."""
    order = server.order()
    assert ask(server, order, "wait=30")[:2] == (200, {"version": 1})
    assert ask(server, order, "after=1")[:2] == (200, {"version": 1})
    status, body, seconds = ask(server, order, "after=1&wait=1")
    assert (status, body) == (200, {"version": 1})
    assert 0.9 < seconds < 5


@pytest.mark.parametrize(
    ("query", "field"),
    [("wait=31", "wait"), ("wait=0.5", "wait"), ("after=-1", "after"), ("after=1&after=2", "after"), ("x=1", "x")],
)
def test_a_wrong_question_is_refused(server: Server, query: str, field: str) -> None:
    """Nobody waits longer than allowed."""
    answer = server.get(f"/v1/orders/{server.order()}/changes?{query}")
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, field)


def test_an_order_that_is_not_there_is_not_waited_for(server: Server) -> None:
    """Else anybody could have the server wait for anything."""
    assert server.get("/v1/orders/TB999/changes?wait=30").code == "unknown_order"
    assert server.get("/v1/orders/~stock/changes?wait=30").code == "unknown_order"


def test_a_server_that_stops_keeps_nobody_waiting(fresh: Server, people: ThreadPoolExecutor) -> None:
    """Whoever waits is answered when the server begins to stop, with the version that is known."""
    asked = waiting(fresh, fresh.order(), people, 3)
    began = time.monotonic()
    fresh.restart()
    assert time.monotonic() - began < 5
    for one in asked:
        assert one.result(5)[:2] == (200, {"version": 1})


def test_there_is_an_end_to_waiting(fresh: Server, people: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a process can keep are told to come again; and when nobody waits, nothing follows the log."""
    monkeypatch.setattr("services.cases.changes.WAITING_MOST", 2)
    order = fresh.order()
    asked = waiting(fresh, order, people, 2)
    assert fresh.get(f"/v1/orders/{order}/changes?after=1&wait=30").code == "unavailable"
    fresh.case(order_id=order)
    assert [one.result(5)[0] for one in asked] == [200, 200]
    fresh.settle()

    async def names() -> set[str]:
        return {task.get_name() for task in asyncio.all_tasks()}

    assert "order-changes" not in fresh.run(names())

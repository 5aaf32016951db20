"""Messages that did not go on, over HTTP: grouped by what they have in common, previewed, tried again, given up."""

import http.client
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from services.kernel.kafka.message import Message, outgoing
from services.kernel.kafka.parking import BEHIND, DEAD, FAILED, NEVER, WAITING, ParkedMessage
from services.kernel.log import Record
from services.refunds.domain import RefundsDomain
from tests.cli.parked import TOPIC, early, left_behind, parked
from tests.http.server import Server

BOSS = "store_manager"
PATH = "/v1/dead-letters"
GROUP = "aftersales-refunds"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a case, whose events refunds heard, and messages of other orders that it could not handle."""
    running = Server(tmp_path_factory.mktemp("server"))
    running.case("exchange_request", order_id=running.order())
    running.settle()
    records = running.run(_records(running))
    messages = [
        _parked(one, "PX1", state=DEAD, cause=FAILED, error="RuntimeError: a faulty rule") for one in records[:1]
    ]
    messages += [_parked(one, "PX1", state=WAITING, cause=BEHIND, due_at=NEVER) for one in records[1:]]
    messages += [_parked(records[0], "PX2", state=DEAD, cause="invalid_body", value=b"{}")]
    messages += [_parked(records[1], "PX2", state=WAITING, cause=BEHIND, due_at=NEVER)]
    left_behind(running.settings.data_dir, *messages, service="refunds")
    left_behind(running.settings.data_dir, parked(1), parked(2), early(3, "GAP1"), service="liability")
    yield running
    running.close()


async def _records(shop: Server) -> list[Record]:
    """What cases published of its first order."""
    records = await shop.embedded._running["cases"].service.store.read_stream("TB1")
    return [one for one in records if one.source == "cases"]


_offsets = iter(range(100, 1_000))


def _parked(record: Record, order: str, **fields: Any) -> ParkedMessage:
    """A message that tells of another order what a record tells of its own."""
    data = record.data.replace(b'"TB1', f'"{order}'.encode())
    sent = outgoing(
        msgspec.structs.replace(record, stream=order, subject=record.subject.replace("TB1", order), data=data), TOPIC
    )
    value = fields.pop("value", sent.value)
    message = Message(TOPIC, 0, next(_offsets), sent.key, value, tuple(sent.headers), 0)
    about = {"stream": order, "sequence": record.sequence, "type": record.type, "source": "cases"}
    return ParkedMessage(consumer=GROUP, message=message, parked_at=1.6e9, **{"tries": 3, **about, **fields})


def overview(shop: Server, asked: str = "") -> Any:
    answer = shop.get(f"{PATH}{asked}", BOSS)
    assert answer.status == 200, answer.raw
    return answer.body


def do(shop: Server, what: str, body: dict[str, Any], service: str = "liability", **given: Any) -> Any:
    answer = shop.command(f"{PATH}/{service}/{what}", body, BOSS, **given)
    assert answer.status == 200, answer.raw
    return answer.body


def test_grouped_by_what_they_have_in_common(shop: Server) -> None:
    """Service, source, type and error make a group; it tells how many, from when to when, an example and what to do."""
    found = overview(shop)
    assert (found["away"], found["stuck"], found["has_more"]) == ({}, [], False)
    groups = {(one["service"], one["state"], one["cause"]): one for one in found["groups"]}
    dead = groups["liability", "dead", "invalid_body"]
    assert (dead["messages"], dead["source"], dead["type"], dead["error"]) == (
        2,
        "cases",
        "case.opened",
        "Unreadable: [odd]",
    )
    assert dead["example"]["place"] == f"{TOPIC}/0/7"
    assert dead["oldest_at"] <= dead["newest_at"]
    assert set(dead["what"]) == {"zh", "en"}
    gap = groups["liability", "waiting", "gap"]
    assert gap["error"] == ""
    assert "aftersales republish cases" in gap["ways"][0]["en"]
    assert {one["service"] for one in overview(shop, "?service=refunds")["groups"]} == {"refunds"}


def test_one_by_one_with_a_cursor(shop: Server) -> None:
    """Pages follow one another without loss; a filter names the messages of a group; one is shown whole."""
    first = shop.get(f"{PATH}/liability?limit=2", BOSS).body
    rest = shop.get(f"{PATH}/liability?limit=2&after={first['after']}", BOSS).body
    assert [one["stream"] for one in (*first["items"], *rest["items"])] == ["GAP1", "TB1", "TB1"]
    assert (first["has_more"], rest["has_more"], rest["after"]) == (True, False, None)
    waiting = shop.get(f"{PATH}/refunds?state=waiting&cause=behind&stream=PX2", BOSS).body["items"]
    assert [one["sequence"] for one in waiting] == [2]
    whole = shop.get(f"{PATH}/liability/message?place={TOPIC}/0/7", BOSS).body
    assert whole["body"] == {"case_id": "TB1-1"}
    assert ["ce_sequence", "1"] in whole["headers"]
    assert "missing required field" in whole["readable"]
    assert whole["ways"]


def test_a_preview_really_handles_and_changes_nothing(shop: Server) -> None:
    """What would be handled says what would be recorded and what would follow; what cannot be read says why; the log,
    the inbox and the messages stay as they were."""
    before = shop.heads(), overview(shop)
    lines = {one["stream"]: one for one in do(shop, "preview", {"everything": True}, "refunds")["messages"]}
    assert (lines["PX1"]["outcome"], lines["PX1"]["trouble"]) == ("would_be_handled", "")
    assert lines["PX1"]["follow"] == 2
    assert lines["PX2"]["outcome"] == "would_be_dead"
    assert "invalid_body" in lines["PX2"]["trouble"]
    assert (shop.heads(), overview(shop)) == before


def test_a_preview_tells_what_would_follow(fresh: Server) -> None:
    """One after another, messages of an order have the consequences that they would have: the money goes back once the
    goods are there, though nothing of it is on disk; one alone would wait for those before it."""
    case = fresh.case("exchange_request", order_id=fresh.order())
    lines = {"lines": [{"line_id": "L1", "quantity": 1}]}
    shipped = {"carrier": "ZTO", "tracking_no": "Z1", "freight_fen": 1_500}
    received = {"accepted": True, "lines": [{**lines["lines"][0], "resalable": True}]}
    for command, body, who in (
        ("authorise-return", lines, BOSS),
        ("ship-return", shipped, "agent"),
        ("receive-return", received, "warehouse"),
        ("request-refund", lines, BOSS),
    ):
        assert fresh.command(f"/v1/cases/{case}/{command}", body, who).status == 200
    records = fresh.run(_records(fresh))
    messages = [_parked(one, "PX1", state=DEAD, cause=FAILED) for one in records]
    left_behind(fresh.settings.data_dir, *messages, service="refunds")
    before = fresh.heads()
    told = do(fresh, "preview", {"stream": "PX1"}, "refunds")["messages"]
    assert {one["outcome"] for one in told} == {"would_be_handled"}
    assert {"refund.calculated", "payout.requested"} <= set(told[-1]["events"])
    [alone] = do(fresh, "preview", {"place": told[2]["place"]}, "refunds")["messages"]
    assert (alone["outcome"], alone["why"]["en"][:22]) == ("would_wait", "Order PX1 stands at #1")
    assert fresh.heads() == before


def test_a_rule_that_still_fails_is_told(shop: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the rules of the service stumble again, the preview says over what."""

    def fails(*_: Any) -> Any:
        raise RuntimeError("still faulty")

    monkeypatch.setattr(RefundsDomain, "react", fails)
    [line] = do(shop, "preview", {"stream": "PX1"}, "refunds")["messages"]
    assert (line["outcome"], line["trouble"]) == ("would_fail", "RuntimeError: still faulty")


def test_without_a_broker_readers_that_stand_are_told(fresh: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where services read each other's logs nothing is set aside: which consumer stands, and over what, is told."""

    def fails(*_: Any) -> Any:
        raise RuntimeError("a faulty rule")

    with monkeypatch.context() as faulty:
        faulty.setattr(RefundsDomain, "react", fails)
        fresh.case("exchange_request")
        deadline = time.monotonic() + 20
        while not (stuck := overview(fresh)["stuck"]):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert [(one["service"], one["source"]) for one in stuck] == [("refunds", "cases")]
    assert "a faulty rule" in stuck[0]["stuck"]
    assert overview(fresh)["groups"] == []
    assert overview(fresh, "?service=cases")["stuck"] == []


def test_redriving_over_http_keeps_who_and_why(fresh: Server) -> None:
    """It is done once for a key; who asked and why stands with the message, which its owner then tries."""
    left_behind(fresh.settings.data_dir, parked(1), parked(2))
    body = {"place": f"{TOPIC}/0/7", "reason": "mended"}
    [line] = do(fresh, "redrive", body, key="r1")["messages"]
    assert line["outcome"] == "trying"
    again = fresh.command(f"{PATH}/liability/redrive", body, BOSS, key="r1")
    assert (again.status, again.headers["Idempotent-Replayed"]) == (200, "true")
    [kept] = fresh.get(f"{PATH}/liability?place={TOPIC}/0/7", BOSS).body["items"]
    assert (kept["state"], kept["resolved_by"], kept["note"]) == ("waiting", f"{BOSS}/小李", "mended")
    refused = fresh.command(f"{PATH}/liability/redrive", body, BOSS)
    assert (refused.status, refused.code) == (409, "not_dead")


def test_a_request_that_comes_twice_at_once_counts_once(fresh: Server) -> None:
    """A double click is one redrive: the second request waits for the answer to the first."""
    left_behind(fresh.settings.data_dir, parked(1))
    headers = {"Authorization": f"Bearer {fresh.token(BOSS)}", "Content-Type": "application/json"}

    def send(_: int) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(fresh.address, timeout=30)
        connection.request(
            "POST", f"{PATH}/liability/redrive", b'{"stream": "TB1"}', {**headers, "Idempotency-Key": "twice"}
        )
        response = connection.getresponse()
        answer = response.status, response.read()
        connection.close()
        return answer

    with ThreadPoolExecutor(2) as clicks:
        first, second = clicks.map(send, range(2))
    assert first == second
    assert first[0] == 200
    [told] = fresh.get("/v1/operations?kind=redrive", BOSS).body["items"]
    assert told["options"] == {"messages": [f"{TOPIC}/0/7"]}


def test_given_up_in_order_with_a_reason(fresh: Server) -> None:
    """What stands behind another is refused with what to do first; in order each goes, previewed before; kept after."""
    left_behind(fresh.settings.data_dir, parked(1), parked(2))
    [refused] = do(fresh, "discard", {"place": f"{TOPIC}/0/8", "reason": "void"})["messages"]
    assert (refused["outcome"], refused["why"]["en"][:14]) == ("refused", "Order TB1 stan")
    would = do(fresh, "preview", {"cause": "invalid_body", "action": "discard"})["messages"]
    assert [one["outcome"] for one in would] == ["would_be_discarded"] * 2
    done = do(fresh, "discard", {"cause": "invalid_body", "reason": "void"})["messages"]
    assert [one["outcome"] for one in done] == ["discarded"] * 2
    kept = fresh.get(f"{PATH}/liability?state=discarded", BOSS).body["items"]
    assert [(one["resolved_by"], one["note"]) for one in kept] == [(f"{BOSS}/小李", "void")] * 2


def test_refused_where_it_cannot_be_meant(shop: Server) -> None:
    """Roles, unknown services and messages, and bodies that name nothing are refused."""
    assert shop.get(PATH, "agent").code == "forbidden"
    assert shop.get(f"{PATH}/nobody", BOSS).status == 404
    assert shop.get(f"{PATH}/refunds/message?place=x", BOSS).field("place")["rule"] == "place"
    assert shop.get(f"{PATH}/refunds/message?place=x/0/1", BOSS).code == "unknown_message"
    assert shop.command(f"{PATH}/refunds/redrive", {}, BOSS).field("place")["rule"] == "required"
    assert shop.command(f"{PATH}/refunds/discard", {"everything": True}, BOSS).field("reason")
    assert do(shop, "preview", {"stream": "nothing"}) == {"messages": [], "waiting": [], "has_more": False}

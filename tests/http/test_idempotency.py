"""A command is decided once per key and actor, and its answer never changes (`conventions.md` HTTP)."""

import asyncio
from typing import Any

import aiohttp

from tests.http.server import Server

OFFER = {"kind": "cash", "amount_fen": 1000}


def test_a_repeated_command_gets_its_first_answer(server: Server) -> None:
    """The same key and body answer the same bytes, marked as replayed, and write nothing."""
    case = server.case()
    first = server.command(f"/v1/cases/{case}/propose-compensation", OFFER, key="once")
    assert (first.status, first.headers["Idempotent-Replayed"]) == (200, None)
    server.command(f"/v1/cases/{case}/propose-compensation", OFFER)
    before = server.heads()
    again = server.command(f"/v1/cases/{case}/propose-compensation", OFFER, key="once")
    assert (again.status, again.raw, again.headers["ETag"]) == (200, first.raw, first.headers["ETag"])
    assert again.headers["Idempotent-Replayed"] == "true"
    assert server.heads() == before


def test_a_refusal_is_kept_too(server: Server) -> None:
    """What was refused stays refused under its key, though it would be accepted by now."""
    case = server.case("damaged_on_arrival")
    path = f"/v1/cases/{case}/reclassify"
    refused = server.command(f"/v1/cases/{case}/propose-compensation", OFFER, key="refused")
    assert refused.code == "evidence_required"
    assert server.command(path, {"problem": "logistics_delay"}).status == 200
    before = server.heads()
    again = server.command(f"/v1/cases/{case}/propose-compensation", OFFER, key="refused")
    assert (again.status, again.raw) == (409, refused.raw)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert server.heads() == before


def test_an_accepted_answer_is_kept_though_it_would_be_refused_now(server: Server) -> None:
    """A command that cannot be done twice is answered as the first time, also with a version that is stale by now."""
    case = server.case()
    version = server.get(f"/v1/cases/{case}").headers["ETag"]
    path = f"/v1/cases/{case}/close-case"
    first = server.command(path, {"resolution": "好"}, key="close", If_Match=version)
    again = server.command(path, {"resolution": "好"}, key="close", If_Match=version)
    assert (first.status, again.status, again.raw) == (200, 200, first.raw)
    assert server.command(path, {"resolution": "好"}).code == "invalid_transition"


def test_a_stale_version_is_kept_too(server: Server) -> None:
    """412 is an answer like any other: the same request gets it again, word for word."""
    case = server.case()
    path = f"/v1/cases/{case}/propose-compensation"
    first = server.command(path, OFFER, key="stale", If_Match='"1"')
    server.command(path, OFFER)
    again = server.command(path, OFFER, key="stale", If_Match='"1"')
    assert (first.status, again.status, again.raw) == (412, 412, first.raw)


def test_a_key_with_another_content_is_refused(server: Server) -> None:
    """Another body, address or version under the same key is 422, after an accepted and after a refused one."""
    case, other = server.case(), server.case()
    path = f"/v1/cases/{case}/propose-compensation"
    server.command(path, OFFER, key="mine")
    server.command(f"/v1/cases/{case}/approve", {"proposal": "P9"}, key="mine-refused")
    before = server.heads()
    answers = [
        server.command(path, OFFER | {"amount_fen": 1001}, key="mine"),
        server.command(path, {"kind": "nonsense"}, key="mine"),
        server.command(f"/v1/cases/{other}/propose-compensation", OFFER, key="mine"),
        server.command(path, OFFER, key="mine", If_Match='"3"'),
        server.command(f"/v1/cases/{case}/approve", {"proposal": "P1"}, "team_lead/小王", key="mine-refused-not"),
        server.command(f"/v1/cases/{case}/give-guidance", {}, key="mine-refused"),
    ]
    codes = [answer.code for answer in answers]
    assert codes == ["idempotency_key_reused"] * 4 + ["invalid_transition", "idempotency_key_reused"]
    assert answers[0].status == 422
    assert server.heads() == before


def test_a_key_belongs_to_who_sent_it(server: Server) -> None:
    """Two people may use the same key; names cannot be joined with keys into somebody else's."""
    case = server.case()
    path = f"/v1/cases/{case}/propose-compensation"
    answers = [
        server.command(path, OFFER, "agent/a", key="b:c"),
        server.command(path, OFFER, "agent/a:b", key="c"),
        server.command(path, OFFER, "team_lead/a", key="b:c"),
    ]
    assert [answer.body.get("proposal") for answer in answers] == ["P1", "P2", ""] or [
        answer.status for answer in answers
    ] == [200, 200, 200]
    assert all(answer.headers["Idempotent-Replayed"] is None for answer in answers)


def test_a_key_is_needed(server: Server) -> None:
    """A command without a usable key is 400, before its body is even looked at."""
    case = server.case()
    token = f"Bearer {server.token('agent')}"
    before = server.heads()
    for path in (f"/v1/cases/{case}/give-guidance", "/v1/cases", "/v1/stock/A"):
        for key in (None, "", "a b", "键".encode().decode("latin-1"), "x" * 201):
            headers = {"Authorization": token} | ({} if key is None else {"Idempotency-Key": key})
            answer = server.send("POST", path, b"not json", headers)
            assert (answer.status, answer.code) == (400, "idempotency_key_missing"), (path, key)
    assert server.heads() == before


def test_keys_outlive_a_restart(fresh: Server) -> None:
    """Accepted and refused answers are the same after the server was started anew."""
    case = fresh.case()
    path = f"/v1/cases/{case}/propose-compensation"
    accepted = fresh.command(path, OFFER, key="accepted")
    refused = fresh.command(path, OFFER | {"amount_fen": 60_000_00}, key="refused")
    fresh.restart()
    for key, body, first in (("accepted", OFFER, accepted), ("refused", OFFER | {"amount_fen": 60_000_00}, refused)):
        again = fresh.command(path, body, key=key)
        assert (again.status, again.raw, again.headers["Idempotent-Replayed"]) == (first.status, first.raw, "true")


def test_the_same_request_many_times_at_once_is_done_once(server: Server) -> None:
    """Of requests with one key that run at the same time, one decides; the others wait or get its answer."""
    case = server.case()
    url = f"http://{server.address}/v1/cases/{case}/propose-compensation"
    headers = {"Authorization": f"Bearer {server.token('agent')}", "Idempotency-Key": "at-once"}

    async def send_all() -> list[tuple[int, Any]]:
        async with aiohttp.ClientSession() as session:

            async def send() -> tuple[int, Any]:
                async with session.post(url, json=OFFER, headers=headers) as response:
                    return response.status, await response.json(content_type=None)

            return await asyncio.gather(*(send() for _ in range(16)))

    answers = asyncio.run(send_all())
    done = [body for status, body in answers if status == 200]
    waiting = [body for status, body in answers if status == 409]
    assert done
    assert len(done) + len(waiting) == 16
    assert all(body == done[0] for body in done)
    assert all(body["code"] == "request_in_progress" and body["retryable"] for body in waiting)
    assert len(server.get(f"/v1/cases/{case}").body["proposals"]) == 1

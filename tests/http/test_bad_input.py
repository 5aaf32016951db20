"""Everything that can be wrong with a request: its code, a message that names field and rule, nothing written."""

from typing import Any

import pytest

from tests.http.server import PROBLEM, Answer, Server, order_body

OFFER = {"kind": "cash", "amount_fen": 1000}
DEEP = b'{"kind": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"


def check(answer: Answer, status: int, code: str) -> None:
    """The form of every refusal."""
    assert (answer.status, answer.code) == (status, code), answer.raw
    assert answer.headers.get_content_type() == PROBLEM
    body = answer.body
    assert body["type"] == f"urn:aftersales:problem:{code}"
    assert body["status"] == status
    for name in ("title", "detail", "instance", "trace_id", "zh", "en"):
        assert isinstance(body[name], str), name
        assert body[name], name
    assert isinstance(body["retryable"], bool)
    assert isinstance(body["next_actions"], list)
    assert not any(word in body["zh"] for word in ("must", " is ", "{")), body["zh"]
    for error in body["errors"]:
        assert error["field"]
        assert error["rule"]
        assert error["zh"]
        assert error["en"]


#: What is wrong with an offer of compensation: the body, the field that is named and the rule.
FIELDS: dict[str, tuple[Any, str, str]] = {
    "unknown field": (OFFER | {"colour": "red"}, "colour", "known_field"),
    "missing field": ({"kind": "cash"}, "amount_fen", "required"),
    "wrong type": (OFFER | {"amount_fen": "1000"}, "amount_fen", "type"),
    "a truth as amount": (OFFER | {"amount_fen": True}, "amount_fen", "type"),
    "null": (OFFER | {"amount_fen": None}, "amount_fen", "type"),
    "negative amount": (OFFER | {"amount_fen": -1}, "amount_fen", "range"),
    "no amount": (OFFER | {"amount_fen": 0}, "amount_fen", "range"),
    "absurd amount": (OFFER | {"amount_fen": 100_000_000_001}, "amount_fen", "range"),
    "astronomic amount": (b'{"kind":"cash","amount_fen":' + b"9" * 300 + b"}", "amount_fen", "range"),
    "amount in yuan": (b'{"kind":"cash","amount_fen":10.50}', "amount_fen", "type"),
    "whole amount in yuan": (b'{"kind":"cash","amount_fen":10.0}', "amount_fen", "type"),
    "unknown kind": (OFFER | {"kind": "gold"}, "kind", "one_of"),
    "huge kind": (OFFER | {"kind": "g" * 100_000}, "kind", "one_of"),
    "long text": (OFFER | {"note": "长" * 4001}, "note", "length"),
    "NUL in a text": (OFFER | {"note": "a\0b"}, "note", "form"),
    "note is no text": (OFFER | {"note": 7}, "note", "type"),
    "no lines": (OFFER | {"lines": []}, "lines", "length"),
    "line that is no text": (OFFER | {"lines": [7]}, "lines[0]", "type"),
    "line twice": (OFFER | {"lines": ["L1", "L1"]}, "lines", "unique"),
    "field twice": (b'{"kind":"cash","amount_fen":1000,"amount_fen":2000}', "amount_fen", "unique"),
    "not an object": (b"[]", "body", "object"),
    "text": (b'"cash"', "body", "object"),
    "not JSON": (b"kind=cash", "body", "json"),
    "cut off": (b'{"kind":"cash"', "body", "json"),
    "more behind it": (b"{} {}", "body", "json"),
    "not a number": (b'{"kind":"cash","amount_fen":NaN}', "body", "json"),
    "infinite": (b'{"kind":"cash","amount_fen":Infinity}', "body", "json"),
    "too large for a number": (b'{"kind":"cash","amount_fen":1e999}', "body", "json"),
    "endless number": (b'{"kind":"cash","amount_fen":' + b"9" * 6000 + b"}", "body", "json"),
    "nested deeply": (DEEP, "body", "json"),
    "invalid UTF-8": (b'{"kind":"\xff\xfe"}', "body", "json"),
    "half a character": (b'{"kind":"\\ud800"}', "body", "json"),
    "UTF-16": ('{"kind":"cash"}'.encode("utf-16"), "body", "json"),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_wrong_field_is_named(server: Server, name: str) -> None:
    """422, the field and the rule in `errors`, and nothing written."""
    body, field, rule = FIELDS[name]
    case = server.case()
    before = server.heads()
    answer = server.command(f"/v1/cases/{case}/propose-compensation", body)
    check(answer, 422, "invalid")
    assert answer.field(field)["rule"] == rule
    assert len(answer.raw) < 20_000
    assert server.heads() == before


def test_every_wrong_field_is_named(server: Server) -> None:
    """One answer names them all, deep ones by their path."""
    body = order_body("X1") | {"order_id": "X1", "channel": "", "warranty_months": -1, "extra": 1, "people": {"a": ""}}
    body["lines"][0] |= {"quantity": 0, "paid_fen": 1.5}
    del body["lines"][1]["sku"]
    body["ordered_at"] = "2026-10-01T09:00:00"
    del body["buyer_id"]
    before = server.heads()
    answer = server.command("/v1/orders/X1", body, method="PUT")
    check(answer, 422, "invalid")
    assert {error["field"]: error["rule"] for error in answer.body["errors"]} == {
        "extra": "known_field",
        "buyer_id": "required",
        "channel": "form",
        "ordered_at": "form",
        "warranty_months": "range",
        "people.a": "form",
        "lines[0].quantity": "range",
        "lines[0].paid_fen": "type",
        "lines[1].sku": "required",
    }
    assert server.heads() == before


def test_an_order_that_cannot_be_is_refused(server: Server) -> None:
    """Future times, duplicate lines, and another id than the address's name their field; nothing is written."""
    good = order_body("Y1")
    cases: list[tuple[dict[str, Any], str, str]] = [
        (good | {"ordered_at": "2026-10-06T10:00:00+08:00"}, "ordered_at", "not_in_future"),
        (good | {"delivered_at": "2027-01-01T00:00:00Z"}, "delivered_at", "not_in_future"),
        (good | {"delivered_at": "2026-09-01T00:00:00Z"}, "delivered_at", "after_ordered_at"),
        (good | {"lines": [good["lines"][0]] * 2}, "lines", "unique"),
        (good | {"order_id": "Y2"}, "order_id", "same_as_path"),
        (good | {"lines": good["lines"] * 300}, "lines", "length"),
    ]
    before = server.heads()
    for body, field, rule in cases:
        answer = server.command("/v1/orders/Y1", body, method="PUT")
        check(answer, 422, "invalid")
        assert answer.field(field)["rule"] == rule
    assert server.heads() == before


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v1/cases", {"order_id": "NONE", "problem": "handover", "description": "x"}, "unknown_order"),
        ("/v1/cases", {"order_id": "NONE"}, "unknown_order"),
        ("/v1/cases", {"order_id": "a/b\0", "problem": "handover", "description": "x"}, "unknown_order"),
        ("/v1/cases", {"order_id": "stock", "problem": "handover", "description": "x"}, "unknown_order"),
        ("/v1/cases/NONE-1/give-guidance", {}, "unknown_case"),
        ("/v1/cases/NONE-1/give-guidance", b"not json", "unknown_case"),
        ("/v1/cases/stock-1/give-guidance", {}, "unknown_case"),
        ("/v1/cases/NONE-1/confirm-payout", {"payout": "x", "status": "failed"}, "unknown_case"),
        ("/v1/cases/NONE-1/assign-liability", {}, "unknown_case"),
        ("/v1/cases/NONE-1/submit-evidence", {"kind": "photo", "file": "0" * 64}, "unknown_case"),
        ("/v1/cases/{case}/submit-evidence", {"kind": "photo", "file": "0" * 64}, "unknown_item"),
        ("/v1/cases/{case}/approve", {"proposal": "P1"}, "unknown_item"),
        ("/v1/cases/{case}/ship-reshipment", {"reshipment": "R1"}, "unknown_item"),
        ("/v1/cases/{case}/propose-compensation", {"kind": "cash", "lines": ["L9"]}, "unknown_line"),
        ("/v1/cases/{case}/request-refund", {"lines": [{"line_id": "L9"}]}, "unknown_line"),
    ],
)
def test_unknown_things_come_first(server: Server, path: str, body: Any, code: str) -> None:
    """404 for what does not exist, before anything else about the request is judged."""
    case = server.case()
    before = server.heads()
    answer = server.command(path.format(case=case), body)
    check(answer, 404, code)
    assert server.heads() == before


ODD = ["%00", "a%00b", "..%2f..", "%ff", "%F0%9F%98%80", "x" * 3000, "a%0Ab", "%20", "-", "-1", "x-0", "x-1-", "x--1x"]


@pytest.mark.parametrize("text", ODD)
def test_odd_addresses_are_unknown(server: Server, text: str) -> None:
    """Whatever stands in an address, it is unknown or wrong, and never gets as far as a fault."""
    before = server.heads()
    for path in (
        f"/v1/cases/{text}",
        f"/v1/orders/{text}",
        f"/v1/cases/{text}/settlement",
        f"/v1/cases/{text}/charges",
    ):
        assert server.get(path).status == 404
    assert server.get(f"/v1/files/{text}").status == 404
    assert server.command(f"/v1/cases/{text}/give-guidance", {}).status == 404
    assert server.command(f"/v1/cases/{text}/retry-payout", {}, "finance").status == 404
    assert server.command(f"/v1/orders/{text}", {}, method="PUT").code in ("invalid", "not_found")
    assert server.heads() == before


def test_the_stockroom_is_no_order(server: Server) -> None:
    """The one file that is no order's cannot be reached by calling an order or a case like it."""
    name = "%7Estock"
    before = server.heads()
    for path in (f"/v1/orders/{name}", f"/v1/cases/{name}-1", f"/v1/cases/{name}-1/charges"):
        assert server.get(path).status == 404
    assert server.command(f"/v1/orders/{name}", order_body("~stock"), method="PUT").field("order_id")["rule"] == "form"
    opening = {"order_id": "~stock", "problem": "handover", "description": "x"}
    assert server.command("/v1/cases", opening).code == "unknown_order"
    assert server.command(f"/v1/cases/{name}-1/give-guidance", {}).code == "unknown_case"
    assert server.heads() == before


def test_sizes_and_types_of_bodies(server: Server) -> None:
    """Too much is 413, with and without an announced length; other content than JSON is 415."""
    case = server.case()
    path = f"/v1/cases/{case}/give-guidance"
    headers = {"Authorization": f"Bearer {server.token('agent')}"}
    before = server.heads()
    check(server.command(path, b'{"note": "' + b"x" * (1 << 20) + b'"}'), 413, "body_too_large")
    check(server.command(path, {}, Content_Type="application/x-www-form-urlencoded"), 415, "content_type_unsupported")
    check(server.command(path, {}, Content_Type="text/plain"), 415, "content_type_unsupported")
    check(server.command(path, {}, Content_Type="nonsense"), 415, "content_type_unsupported")
    chunks = (b"x" * 65_536 for _ in range(20))
    keyed = headers | {"Idempotency-Key": "chunks", "Content-Type": "application/json"}
    check(server.send("POST", path, chunks, keyed), 413, "body_too_large")  # type: ignore[arg-type]
    assert server.heads() == before
    for kind in ("application/json; charset=utf-8", "application/merge-patch+json"):
        assert server.command(path, {}, Content_Type=kind).code in ("", "remedy_not_allowed")
    assert server.send("POST", path, b"", headers | {"Idempotency-Key": "empty"}).code in ("", "remedy_not_allowed")


def test_wrong_methods_and_addresses(server: Server) -> None:
    """405 says what is allowed; 404 for what is not there; both as problems."""
    answer = server.command("/v1/cases", {}, method="DELETE")
    check(answer, 405, "method_not_allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "POST"}
    answer = server.get("/v1/cases/X-1/approve")
    check(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"
    check(server.get("/v1/nothing"), 404, "not_found")
    check(server.command("/v1/cases/X-1/no-such-command", {}), 404, "not_found")


def test_versions(server: Server) -> None:
    """A stale version is 412, a wrong one is named; the right one, `*` and a weak one are taken."""
    case = server.case()
    path = f"/v1/cases/{case}/propose-compensation"
    etag = server.get(f"/v1/cases/{case}").headers["ETag"]
    before = server.heads()
    check(server.command(path, OFFER, If_Match='"1"'), 412, "version_conflict")
    for wrong in ("1", '"x"', '"1", "2"', '"' + "9" * 30 + '"'):
        answer = server.command(path, OFFER, If_Match=wrong)
        check(answer, 422, "invalid")
        assert answer.field("If-Match")["rule"] == "etag"
    assert server.heads() == before
    answer = server.command(path, OFFER, If_Match=etag)
    assert answer.status == 200
    assert answer.headers["ETag"] == server.get(f"/v1/cases/{case}").headers["ETag"]
    assert server.command(path, OFFER, If_Match=f"W/{answer.headers['ETag']}").status == 200
    assert server.command(path, OFFER | {"amount_fen": 1}, "team_lead/x", If_Match="*").status == 200


ROLES: list[tuple[str, dict[str, Any], str]] = [
    ("propose-compensation", OFFER, "warehouse"),
    ("propose-compensation", OFFER, "finance"),
    ("close-case", {"resolution": "x"}, "service"),
    ("receive-return", {"lines": [], "accepted": False}, "store_manager"),
    ("forfeit-deposit", {"reason": "x"}, "agent"),
    ("request-refund", {"lines": [{"line_id": "L1", "quantity": 1}], "refund_only": True}, "agent"),
    ("assign-liability", {"shares": [{"party": "warehouse", "share_bp": 10_000}], "reason": "x"}, "agent"),
    ("record-recovery", {"party": "courier/YTO", "amount_fen": 1, "payment_ref": "x"}, "team_lead"),
]


@pytest.mark.parametrize(("command", "body", "role"), ROLES)
def test_a_role_without_the_right_is_refused(server: Server, command: str, body: dict[str, Any], role: str) -> None:
    """403 `forbidden`, in both languages, and nothing written."""
    case = server.case()
    server.settle()
    before = server.heads()
    check(server.command(f"/v1/cases/{case}/{command}", body, role), 403, "forbidden")
    assert server.heads() == before


def test_refusals_come_in_order(server: Server) -> None:
    """Through HTTP too: unknown → closed → invalid → forbidden → the rules (`domain.md` §3)."""
    case = server.case()
    path = f"/v1/cases/{case}/propose-compensation"
    assert server.command(path, {"kind": "x", "lines": ["L9"]}, "warehouse").code == "unknown_line"
    assert server.command(path, {"kind": "x"}, "warehouse").code == "invalid"
    assert server.command(path, b"[", "warehouse").code == "invalid"
    assert server.command(path, OFFER, "warehouse").code == "forbidden"
    assert server.command(path, OFFER | {"amount_fen": 99_000_000}).code == "exceeds_paid"
    assert server.command(f"/v1/cases/{case}/close-case", {"resolution": "x"}).status == 200
    assert server.command(path, {"kind": "x", "lines": ["L9"]}, "warehouse").code == "unknown_line"
    assert server.command(path, {"kind": "x"}, "warehouse").code == "invalid_transition"
    assert server.command(path, b"[", "warehouse").code == "invalid_transition"
    evidence = f"/v1/cases/{case}/submit-evidence"
    assert server.command(evidence, {"kind": "photo", "file": "0" * 64}).code == "unknown_item"
    assert server.command(evidence, {"kind": "photo", "file": "short"}).code == "invalid_transition"


def test_nobody_says_what_only_the_store_knows(server: Server) -> None:
    """The fields that the border fills in are unknown to clients, and are named with all other mistakes."""
    case = server.case()
    body = {"kind": "picture", "file": "x", "media_type": "image/jpeg", "size_bytes": 1}
    before = server.heads()
    answer = server.command(f"/v1/cases/{case}/submit-evidence", body)
    check(answer, 422, "invalid")
    rules = {error["field"]: error["rule"] for error in answer.body["errors"]}
    assert rules == {"kind": "one_of", "file": "form", "media_type": "known_field", "size_bytes": "known_field"}
    assert server.heads() == before


def test_a_refusal_by_a_rule_says_what_to_do_next(server: Server) -> None:
    """409 carries the figures and the commands that are allowed now."""
    case = server.case()
    answer = server.command(f"/v1/cases/{case}/propose-compensation", OFFER | {"amount_fen": 5_000_001})
    assert answer.status == 409
    assert "close_case" in [action["command"] for action in answer.body["next_actions"]]
    assert all(action["allowed"] for action in answer.body["next_actions"])


def test_the_language_of_the_detail(server: Server) -> None:
    """`detail` is in the language asked for, Chinese by default; both are always there."""
    zh = server.get("/v1/cases/NONE-1").body
    headers = {"Authorization": f"Bearer {server.token('agent')}", "Accept-Language": "en-GB,en;q=0.9"}
    en = server.send("GET", "/v1/cases/NONE-1", None, headers).body
    assert (zh["detail"], en["detail"]) == (zh["zh"], en["en"])
    assert (zh["zh"], zh["en"]) == (en["zh"], en["en"])


def test_shares_and_names_are_fields_too(server: Server) -> None:
    """Shares that are not whole and a party without a name are 422 with the field that is wrong."""
    case = server.case()
    server.settle()
    before = server.heads()
    path = f"/v1/cases/{case}/assign-liability"
    shares = {"shares": [{"party": "warehouse", "share_bp": 9_999}], "reason": "x"}
    answer = server.command(path, shares, "team_lead")
    check(answer, 422, "shares_not_whole")
    assert answer.field("shares")["rule"] == "shares_not_whole"
    answer = server.command(f"/v1/cases/{case}/assess-cause", {"cause": "operations_mistake"})
    check(answer, 422, "party_name_required")
    assert answer.field("party_name")["rule"] == "party_name_required"
    for wrong in ([{"party": "moon", "share_bp": 10_000}], [{"party": "warehouse", "share_bp": 5_000}] * 2):
        check(server.command(path, {"shares": wrong, "reason": "x"}, "team_lead"), 422, "invalid")
    assert server.heads() == before


def test_traces(server: Server) -> None:
    """A caller's trace goes on, in the answer and in the events; what is no trace is replaced, not stored."""
    case = server.case()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    path = f"/v1/cases/{case}/give-guidance"
    answer = server.command(path, {"x": 1}, traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    assert answer.body["trace_id"] == trace
    for wrong in (f"00-{'0' * 32}-00f067aa0ba902b7-01", "x" * 500, f"00-{trace}-zz-01"):
        assert server.command(path, {"x": 1}, traceparent=wrong).body["trace_id"] not in (trace, "0" * 32)

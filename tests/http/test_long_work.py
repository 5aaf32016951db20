"""Operations over HTTP: started in the background, looked at, steered, and refused where they cannot be."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from services.catalogue import SERVICES
from services.kernel.operations import new_operation_id
from services.openapi import FILE
from services.operations.http import KindName, ServiceName
from services.operations.kinds import KINDS
from tests.http.server import Answer, Server

BOSS = "store_manager"
PATH = "/v1/operations"
VERIFY = {"kind": "verify", "service": "cases", "reason": "month's end"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a case."""
    running = Server(tmp_path_factory.mktemp("server"))
    running.case()
    yield running
    running.close()


def start(server: Server, **body: Any) -> Answer:
    return server.command(PATH, VERIFY | body, BOSS)


def ended(server: Server, operation: str, *states: str) -> dict[str, Any]:
    """An operation once it is in one of these states."""
    deadline = time.monotonic() + 60
    while (known := server.get(f"{PATH}/{operation}", BOSS).body)["state"] not in (states or ("finished", "failed")):
        assert time.monotonic() < deadline, known
        time.sleep(0.1)
    return dict(known)


def test_an_operation_runs_in_the_background(shop: Server) -> None:
    """202 at once, with a place to look; in the end who, why and what came of it are told."""
    answer = start(shop, options={"photos": True})
    assert (answer.status, answer.headers["ETag"]) == (202, '"1"')
    known = answer.body
    assert (known["state"], known["kind"], known["service"], known["by"]) == (
        "running",
        "verify",
        "cases",
        "store_manager/小李",
    )
    done = ended(shop, known["id"])
    assert (done["state"], done["reason"], done["options"]) == ("finished", "month's end", {"photos": True})
    assert done["outcome"]["holds"]
    assert done["outcome"]["records"] == done["outcome"]["position"] > 1
    assert done["progress"]["done"] == done["progress"]["total"]


def test_every_kind_comes_to_its_end(shop: Server) -> None:
    """Each kind of work that a tool may start finishes on a sound shop, whatever service it is about."""
    started = [
        start(shop, kind="doctor", service="refunds").body["id"],
        start(shop, kind="rebuild", service="liability").body["id"],
        start(shop, kind="what_if", options={"policy": {}}).body["id"],
    ]
    done = [ended(shop, operation) for operation in started]
    assert {one["state"] for one in done} == {"finished"}, done
    outcomes = {one["kind"]: one["outcome"] for one in done}
    assert outcomes["doctor"]["findings"] == []
    assert outcomes["rebuild"]["equal"]
    asked = outcomes["what_if"]
    assert (asked["cases_that_differ"], asked["net"]["difference_fen"]) == (0, 0)
    answer = shop.get(f"{PATH}/{started[-1]}/file", BOSS)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.body["cases"] == asked["cases"]


def test_an_exported_file_can_be_fetched(shop: Server) -> None:
    """Whoever has a log exported gets the file, whole; other operations have none."""
    operation = start(shop, kind="export").body["id"]
    done = ended(shop, operation)["outcome"]
    answer = shop.get(f"{PATH}/{operation}/file", BOSS)
    assert (answer.status, len(answer.raw)) == (200, done["bytes"])
    assert done["file"] in answer.headers["Content-Disposition"]
    assert answer.raw.count(b"\n") >= done["events"]
    verified = start(shop).body["id"]
    ended(shop, verified)
    answer = shop.get(f"{PATH}/{verified}/file", BOSS)
    assert (answer.status, answer.code) == (404, "operation_without_file")


def test_no_other_file_can_be_fetched(shop: Server) -> None:
    """A history from elsewhere may name any file: only the operation's own is handed out."""
    secret = shop.settings.data_dir / "secret"
    secret.write_text("hush", encoding="utf-8")

    async def imported(name: str) -> str:
        desk = shop.embedded._operations._desk("cases")  # type: ignore[union-attr]
        return await desk.done("export", {}, "operator/王敏", "elsewhere", {"file": name})

    for name in ("../secret", str(secret), "..", ""):
        operation = shop.run(imported(name))
        assert shop.get(f"{PATH}/{operation}/file", BOSS).code == "operation_without_file"
    operation = shop.run(imported("x"))
    assert shop.get(f"{PATH}/{operation}/file", BOSS).code == "operation_without_file"


def test_what_fails_says_why(shop: Server) -> None:
    """A range that the log does not have is told in both languages, and the operation is over."""
    operation = start(shop, options={"first": 1, "last": 10_000}).body["id"]
    done = ended(shop, operation)
    assert done["state"] == "failed"
    assert (done["trouble"]["code"], "10000" in done["trouble"]["zh"]) == ("no_such_range", True)


def test_a_request_that_is_sent_again_starts_nothing_twice(shop: Server) -> None:
    """The same key gets the first answer, a refusal too; with another content it is refused."""
    first = shop.command(PATH, VERIFY, BOSS, key="again")
    again = shop.command(PATH, VERIFY, BOSS, key="again")
    assert (again.status, again.body["id"]) == (202, first.body["id"])
    assert again.headers["Idempotent-Replayed"] == "true"
    other = shop.command(PATH, VERIFY | {"reason": "x"}, BOSS, key="again")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    ended(shop, first.body["id"])
    late = shop.command(f"{PATH}/{first.body['id']}/pause", {"reason": "x"}, BOSS, key="late")
    assert (late.status, late.code, late.body["params"]["state"]) == (409, "operation_state", "finished")
    assert "已完成" in late.body["zh"]
    late = shop.command(f"{PATH}/{first.body['id']}/pause", {"reason": "x"}, BOSS, key="late")
    assert late.headers["Idempotent-Replayed"] == "true"


def test_it_is_paused_resumed_and_cancelled(shop: Server) -> None:
    """Each with a reason, for the version that was seen; two of a kind at once are refused."""
    operation = start(shop, kind="doctor").body["id"]
    pause = shop.command(f"{PATH}/{operation}/pause", {"reason": "busy"}, BOSS, If_Match='"1"')
    assert (pause.status, pause.body["state"], pause.headers["ETag"]) == (202, "paused", '"2"')
    second = start(shop, kind="doctor")
    assert (second.status, second.code, second.body["params"]["operation"]) == (409, "operation_at_work", operation)
    stale = shop.command(f"{PATH}/{operation}/resume", {"reason": "quiet"}, BOSS, If_Match='"1"')
    assert (stale.status, stale.code) == (412, "version_conflict")
    assert shop.command(f"{PATH}/{operation}/resume", {"reason": "quiet"}, BOSS).body["state"] == "running"
    assert ended(shop, operation)["state"] == "finished"
    operation = start(shop, kind="doctor").body["id"]
    assert shop.command(f"{PATH}/{operation}/pause", {"reason": "busy"}, BOSS).status == 202
    cancelled = shop.command(f"{PATH}/{operation}/cancel", {"reason": "enough"}, "service").body
    assert (cancelled["state"], cancelled["by"], cancelled["by_last"]) == (
        "cancelled",
        "store_manager/小李",
        "service/小李",
    )
    time.sleep(1.5)
    assert shop.get(f"{PATH}/{operation}", BOSS).body["state"] == "cancelled"


def test_operations_are_listed(shop: Server) -> None:
    """Newest first over all services, by state and kind, page by page."""
    made = [start(shop, service=service).body["id"] for service in SERVICES]
    for operation in made:
        ended(shop, operation)
    page = shop.get(f"{PATH}?limit={len(made) - 1}", BOSS).body
    assert ([one["id"] for one in page["items"]], page["has_more"]) == (made[:0:-1], True)
    following = shop.get(f"{PATH}?limit=1&after={page['after']}", BOSS).body
    assert [one["id"] for one in following["items"]] == made[:1]
    doctors = shop.get(f"{PATH}?kind=doctor&state=cancelled&service=cases", BOSS).body
    assert {(one["kind"], one["state"], one["service"]) for one in doctors["items"]} <= {
        ("doctor", "cancelled", "cases")
    }
    assert not shop.get(f"{PATH}?state=paused", BOSS).body["items"]


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        ({"kind": "juggle"}, "kind", "one_of"),
        ({"service": "orders"}, "service", "one_of"),
        ({"reason": " "}, "reason", "form"),
        ({"reason": None}, "reason", "type"),
        ({"extra": 1}, "extra", "known_field"),
        ({"options": {"photo": True}}, "options.photo", "known_field"),
        ({"options": {"first": 0}}, "options.first", "range"),
        ({"options": {"first": 9, "last": 3}}, "options.last", "range"),
        ({"options": {"order": "TB1", "first": 3}}, "options.order", "alone"),
        ({"service": "refunds", "options": {"photos": True}}, "options.photos", "whole"),
        ({"kind": "doctor", "options": {"checks": ["feelings"]}}, "options.checks[0]", "one_of"),
        ({"kind": "export", "options": {"types": ["case.sung"]}}, "options.types[0]", "one_of"),
        ({"kind": "export", "options": {"format": "xlsx"}}, "options.format", "one_of"),
        ({"kind": "export", "options": {"since": "2026-10-05"}}, "options.since", "form"),
        ({"kind": "rebuild", "options": {"tables": ["case_view", "news"]}}, "options.tables[1]", "one_of"),
        ({"kind": "what_if"}, "options.policy", "required"),
        ({"kind": "what_if", "options": {"policy": {"deposit_fen": -1}}}, "options.policy.deposit_fen", "policy"),
        ({"kind": "what_if", "options": {"policy": "deposit_fen: -1"}}, "options.policy.deposit_fen", "policy"),
        ({"kind": "what_if", "options": {"policy": "a: [1"}}, "options.policy", "policy"),
        ({"kind": "what_if", "options": {"policy": "a: &a [x]\nb: [*a, *a]"}}, "options.policy", "policy"),
        ({"kind": "what_if", "options": {"policy": "[" * 1_000}}, "options.policy", "policy"),
        ({"kind": "what_if", "service": "refunds", "options": {"policy": {}}}, "service", "one_of"),
        ({"kind": "what_if", "options": {"policy": {"x": "x" * 600_000}}}, "options", "length"),
        ({"kind": "resend", "options": {"topic": "t", "everything": True}}, "kind", "no_broker"),
        ({"kind": "resend", "options": {"topic": "a b"}}, "options.topic", "form"),
        ({"kind": "resend", "options": {"topic": "t"}}, "options.everything", "said"),
    ],
)
def test_what_cannot_be_started_names_its_field(shop: Server, body: Any, field: str, rule: str) -> None:
    """422 with the field and the rule in both languages; nothing is written."""
    before = shop.heads()
    answer = start(shop, **body)
    assert (answer.status, answer.code) == (422, "invalid")
    assert answer.field(field)["rule"] == rule
    assert shop.heads() == before


def test_every_wrong_field_is_named(shop: Server) -> None:
    """One answer tells them all, those of the options too."""
    answer = start(shop, options={"first": 0, "workers": 100, "speed": 1})
    wrong = {one["field"]: one["rule"] for one in answer.body["errors"]}
    assert wrong == {"options.first": "range", "options.workers": "range", "options.speed": "known_field"}
    assert start(shop, kind="doctor", options={"checks": ["a", "b"]}).body["errors"][1]["field"] == "options.checks[1]"


def test_other_bad_requests_are_refused(shop: Server) -> None:
    """No key, no JSON, no reason, no such operation, an odd list: each has its own answer."""
    assert shop.command(PATH, b"[", BOSS).field("body")["rule"] == "json"
    assert shop.command(PATH, b"[]", BOSS).field("body")["rule"] == "object"
    assert shop.command(PATH, VERIFY, BOSS, If_Match='"7"').status == 412
    assert shop.send("POST", PATH, b"{}", {"Authorization": f"Bearer {shop.token(BOSS)}"}).status == 400
    operation = new_operation_id("cases", "verify")
    for one in (operation, "TB1-1", "x"):
        assert shop.get(f"{PATH}/{one}", BOSS).code == "unknown_operation"
        assert shop.command(f"{PATH}/{one}/cancel", {"reason": "x"}, BOSS).code == "unknown_operation"
    assert shop.command(f"{PATH}/{operation}/cancel", {}, BOSS).field("reason")["rule"] == "required"
    for query, rule in {
        "colour=red": "known_filter",
        "state=asleep": "one_of",
        "limit=0": "range",
        "after=x": "cursor",
        "limit=1&limit=2": "unique",
    }.items():
        assert shop.get(f"{PATH}?{query}", BOSS).body["errors"][0]["rule"] == rule


def test_an_unknown_option_is_told_the_known_ones(shop: Server) -> None:
    """Whoever guesses a name reads which there are, without another document."""
    told = start(shop, kind="rebuild", options={"discard": True}).field("options.discard")
    for words in (told["zh"], told["en"]):
        assert "tables, swap, workers" in words


@pytest.mark.parametrize(
    ("kind", "options", "code"),
    [
        ("verify", {"order": "NOPE"}, "unknown_order"),
        ("export", {"case": "NOPE-1"}, "unknown_case"),
        ("what_if", {"policy": {}, "order": "NOPE"}, "unknown_order"),
    ],
)
def test_what_the_log_does_not_know_is_not_begun(shop: Server, kind: str, options: Any, code: str) -> None:
    """404 for an order or a case that is not there, and nothing is written."""
    before = shop.heads()
    answer = start(shop, kind=kind, options=options)
    assert (answer.status, answer.code) == (404, code)
    assert shop.heads() == before


def test_what_only_its_command_can_do_is_not_resumed(shop: Server) -> None:
    """What a command line began and nobody else can do is refused for that reason, and stays as it is."""

    async def broken_off() -> str:
        desk = shop.embedded._operations._desk("cases")  # type: ignore[union-attr]
        options = {"url": "http://127.0.0.1:9/", "everything": True, "rate": 1.0}
        ticket = await desk.start("resend", options, "operator/王敏", "a test")
        await desk.note(ticket.operation, 30, 60, 1.0)
        await desk.let_go(ticket)
        return str(ticket.operation)

    operation = shop.run(broken_off())
    answer = shop.command(f"{PATH}/{operation}/resume", {"reason": "go on"}, BOSS)
    assert (answer.status, answer.code) == (409, "operation_not_resumable")
    assert "resend (url)" in answer.body["zh"]
    assert "--from 31" in answer.body["en"]
    assert shop.get(f"{PATH}/{operation}", BOSS).body["state"] == "interrupted"


@pytest.mark.parametrize("role", ["agent", "team_lead", "warehouse", "finance"])
def test_only_who_runs_the_system_may(shop: Server, role: str) -> None:
    """Everybody else neither starts, sees nor steers operations."""
    assert shop.command(PATH, VERIFY, role).code == "forbidden"
    for path in (PATH, f"{PATH}/x", f"{PATH}/x/file"):
        assert (shop.get(path, role).status, shop.get(path, role).code) == (403, "forbidden")
    assert shop.command(f"{PATH}/x/cancel", {"reason": "x"}, role).code == "forbidden"


def test_a_server_that_stops_leaves_what_can_be_resumed(tmp_path: Path) -> None:
    """What was under way is interrupted, not lost: the next server takes it up and finishes it."""
    server = Server(tmp_path)
    try:
        server.case()
        operation = start(server).body["id"]
        assert server.command(f"{PATH}/{operation}/pause", {"reason": "busy"}, BOSS).status == 202
        server.restart()
        assert server.get(f"{PATH}/{operation}", BOSS).body["state"] == "interrupted"
        refused = server.command(f"{PATH}/{operation}/pause", {"reason": "x"}, BOSS)
        assert (refused.code, refused.body["params"]["state"]) == ("operation_state", "interrupted")
        resumed = server.command(f"{PATH}/{operation}/resume", {"reason": "go on"}, BOSS).body
        assert (resumed["state"], resumed["reason_last"]) == ("running", "go on")
        assert ended(server, operation)["state"] == "finished"
    finally:
        server.close()


def test_what_can_be_started_is_told(shop: Server) -> None:
    """A form needs no knowledge of its own: kinds, their names, services, and the names that options take."""
    items = {one["kind"]: one for one in shop.get("/v1/operation-kinds", BOSS).body["items"]}
    assert set(items) == set(KINDS)
    assert items["what_if"]["services"] == ["cases"]
    assert {"name": "charge_view", "about": None} in items["rebuild"]["choices"]["liability"]["tables"]
    assert items["doctor"]["choices"]["cases"]["checks"][0]["about"]["zh"]
    assert not items["resend"]["possible"]
    assert shop.get("/v1/operation-kinds").code == "forbidden"


def test_a_page_follows_an_operation(shop: Server) -> None:
    """With `wait` the answer comes when something changed; at once where another version was seen, or all is over."""
    known = start(shop, kind="what_if", options={"policy": "deposit_fen: 1000 # as a file says it"}).body
    path, asked = f"{PATH}/{known['id']}", 0
    began = time.monotonic()
    while known["state"] == "running":
        known = shop.get(f"{path}?wait=30&version={known['version']}", BOSS).body
        asked += 1
    assert (known["state"], known["outcome"]["file"]) == ("finished", f"{known['id']}.json")
    assert asked < 8
    assert shop.get(f"{path}?wait=30", BOSS).body == known
    assert time.monotonic() - began < 25
    assert shop.get(f"{path}?wait=31", BOSS).field("wait")["rule"] == "range"
    assert shop.get(f"{path}?version=x", BOSS).field("version")["rule"] == "range"


def test_the_document_names_every_kind_and_service() -> None:
    """What tools read of the API is what can be started."""
    assert set(get_args(KindName)) == set(KINDS)
    assert set(get_args(ServiceName)) == set(SERVICES)


def test_the_document_tells_every_option() -> None:
    """A request body for each kind, and of each of its options what it is and what it means."""
    document = msgspec.json.decode(FILE.read_bytes())
    schemas = document["components"]["schemas"]
    body = document["paths"][PATH]["post"]["requestBody"]["content"]["application/json"]["schema"]
    by_kind = {kind: ref.rpartition("/")[2] for kind, ref in body["discriminator"]["mapping"].items()}
    assert set(by_kind) == set(KINDS)
    for kind, name in by_kind.items():
        fields = schemas[name]["properties"]
        assert set(fields) == {"kind", "service", "reason", "options"}
        assert set(fields["service"]["enum"]) == set(KINDS[kind].services)
        reference = fields["options"].get("$ref") or fields["options"]["allOf"][0]["$ref"]
        options = schemas[reference.rpartition("/")[2]]["properties"]
        assert set(options) == {field.encode_name for field in msgspec.structs.fields(KINDS[kind].options)}
        assert [option for option, said in options.items() if not said.get("description")] == []

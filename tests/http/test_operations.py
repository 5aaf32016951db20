"""What operators and scenario runs ask: health, readiness, metrics, lag, the clock (`conventions.md` HTTP)."""

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.catalogue import SERVICES
from services.kernel.event_store import StoreUnavailable
from services.kernel.logging import tell_work
from services.operations import lag
from tests.http.server import NOW, Server


def test_health_touches_nothing(fresh: Server) -> None:
    """It answers though every database is gone; readiness does not."""
    assert fresh.send("GET", "/readyz").body == {
        "ready": True,
        "problems": {"cases": [], "refunds": [], "liability": [], "finance": []},
    }
    for service in SERVICES:
        (fresh.settings.data_dir / f"{service}.db").unlink()
    assert fresh.send("GET", "/healthz").body == {"status": "ok"}
    assert fresh.send("GET", "/readyz").status == 503


def test_readiness_looks_at_migrations(fresh: Server) -> None:
    """A database that is behind keeps the server from being ready, and says which."""
    database = sqlite3.connect(fresh.settings.data_dir / "refunds.db")
    table = database.execute("SELECT name FROM sqlite_master WHERE name LIKE 'alembic%'").fetchone()[0]
    database.execute(f"UPDATE {table} SET version_num = '0001'")
    database.commit()
    database.close()
    answer = fresh.send("GET", "/readyz")
    assert answer.status == 503
    assert answer.body["problems"]["refunds"]


def test_metrics_name_no_case_and_no_order(server: Server) -> None:
    """Counters tell command and outcome; ids never become labels."""
    case = server.case()
    server.command(f"/v1/cases/{case}/give-guidance", {"x": 1})
    server.command(f"/v1/cases/{case}/trace-parcel", {"tracking_no": "T", "status": "on its way"})
    answer = server.get("/metrics", "service")
    text = answer.raw.decode()
    assert 'aftersales_commands_total{command="trace_parcel",outcome="accepted",service="cases"}' in text
    assert 'command="give_guidance",outcome="invalid"' in text
    assert case not in text
    assert case.rpartition("-")[0] + '"' not in text


def test_lag(server: Server) -> None:
    """Every consumer and how far it is behind; all have caught up when things are quiet."""
    server.case()
    server.settle()
    answer = server.get("/v1/lag")
    assert answer.body["caught_up"]
    assert {one["service"] for one in answer.body["consumers"]} == set(SERVICES)
    assert all(one["behind"] == 0 for one in answer.body["consumers"])


def test_lag_tells_source_and_age(server: Server) -> None:
    """Whose events a consumer handles, and how long the oldest of them waits."""
    server.settle()
    consumers = {one["consumer"]: one for one in server.get("/v1/lag").body["consumers"] if one["service"] == "cases"}
    assert consumers["cases-hears-refunds"]["source"] == "refunds"
    assert {one["seconds"] for one in consumers.values()} == {0.0}


def test_lag_tells_how_it_went(fresh: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for its trend it tells rates since an earlier question, and the samples taken in between; without, none."""
    monkeypatch.setattr(lag, "EVERY_SECONDS", 0.05)
    fresh.get("/v1/lag")
    time.sleep(0.1)
    fresh.case()
    fresh.settle()
    told = {(one["service"], one["consumer"]): one for one in fresh.get("/v1/lag?trend=true").body["consumers"]}
    views = told["cases", "views"]
    assert views["trend"]["handled_per_second"] == views["trend"]["arriving_per_second"] > 0
    assert views["trend"]["clears_in_seconds"] == 0
    assert [one["behind"] for one in views["samples"]] == [0, 0]
    plain = fresh.get("/v1/lag").body["consumers"][0]
    assert (plain["trend"], plain["samples"]) == (None, [])
    assert fresh.get("/v1/lag?trend=perhaps").field("trend")["rule"] == "one_of"


def test_a_course_says_when_it_clears() -> None:
    """What is left by the rate at which it gets less; not where it grows, was begun anew, or nothing is known."""

    def standing(behind: int, handled: int, arrived: int) -> lag.Standing:
        return lag.Standing(lag.ConsumerLag(service="cases", consumer="views", behind=behind), handled, arrived)

    past = [lag.Moment(0.0, NOW, standing(100, 0, 0)), lag.Moment(90.0, NOW, standing(80, 40, 20))]
    course = lag.course(past, standing(60, 70, 30), 100.0)
    assert course
    assert (course.handled_per_second, course.arriving_per_second, course.clears_in_seconds) == (3.0, 1.0, 30.0)
    growing = lag.course(past, standing(90, 45, 55), 100.0)
    assert growing
    assert growing.clears_in_seconds is None
    assert lag.course(past, standing(60, 3, 3), 100.0) is None
    assert lag.course([], standing(60, 70, 30), 100.0) is None


def test_lines_written_for_a_request_can_be_found(fresh: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault's line names request, trace, order, case and service; the answer's `trace_id` is the line's."""
    case = fresh.case()

    async def fails(*_: Any, **__: Any) -> Any:
        raise RuntimeError("call 13812345678")

    monkeypatch.setattr(fresh.embedded._running["cases"].service.store, "commit", fails)
    monkeypatch.setattr(fresh.embedded._running["cases"].service.files, "command", fails)
    with capture_logs(processors=[tell_work]) as lines:
        answer = fresh.command(f"/v1/cases/{case}/close-case", {}, X_Request_Id="req-1")
        fresh.command("/v1/cases", {"order_id": "TB7", "problem": "logistics_delay", "description": "…"})
    assert (answer.status, answer.code) == (500, "internal")
    [first, second] = [line for line in lines if line["event"] == "internal_error"]
    about = {"request_id": "req-1", "case_id": case, "order_id": case.rpartition("-")[0], "service": "cases"}
    assert about.items() <= first.items()
    assert first["trace_id"] == answer.body["trace_id"]
    assert second["order_id"] == "TB7"
    assert len(second["request_id"]) == 16
    assert "case_id" not in second


def test_requests_are_timed(server: Server) -> None:
    """How long what took: by route template and class of status."""
    case = server.case()
    server.get(f"/v1/cases/{case}")
    text = server.get("/metrics", "service").raw.decode()
    labels = 'method="GET",route="/v1/cases/{case_id}",service="cases",status="2xx"'
    assert f"aftersales_request_seconds_count{{{labels}}}" in text


def test_the_clock_is_set_by_hand(fresh: Server) -> None:
    """Only where it is manual: what is due by then happens; a wrong time is named."""
    case = fresh.case()
    later = "2026-10-06T12:00:00+08:00"
    answer = fresh.command("/v1/clock", {"now": later}, "store_manager", method="PUT")
    assert (answer.status, answer.body) == (200, {"now": later})
    assert fresh.get(f"/v1/cases/{case}").body["promise"] == "broken"
    wrong: list[Any] = [{}, {"now": 7}, {"now": "soon"}, {"now": "2026-10-06T12:00:00"}, []]
    for body in wrong:
        answer = fresh.command("/v1/clock", body, "service", method="PUT")
        assert (answer.status, answer.code) == (422, "invalid")
        assert answer.field("now")["rule"] == "time"
    assert fresh.command("/v1/clock", b"[" * 100_000, "service", method="PUT").field("body")["rule"] == "json"


def test_a_real_clock_cannot_be_set(tmp_path: Path) -> None:
    """Where the clock is the machine's, there is no such address."""
    server = Server(tmp_path, manual=False)
    try:
        answer = server.command("/v1/clock", {"now": NOW}, "store_manager", method="PUT")
        assert (answer.status, answer.code) == (404, "not_found")
    finally:
        server.close()


def test_a_store_that_is_away_is_said_to_be(fresh: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, retryable, with Retry-After; the same key works once it is back."""
    case = fresh.case()
    path, body = f"/v1/cases/{case}/propose-compensation", {"kind": "cash", "amount_fen": 1}
    store = fresh.embedded._running["cases"].service.store

    async def away(batch: Any) -> list[Any]:
        return [StoreUnavailable("disk full") for _ in batch]

    with monkeypatch.context() as patch:
        patch.setattr(store, "commit", away)
        answer = fresh.command(path, body, key="later")
        refused = fresh.command(path, {"x": 1}, key="later-refused")
    for one in (answer, refused):
        assert (one.status, one.code, one.headers["Retry-After"]) == (503, "unavailable", "1")
        assert one.body["retryable"]
    answer = fresh.command(path, body, key="later")
    assert (answer.status, answer.body["proposal"], answer.headers["Idempotent-Replayed"]) == (200, "P1", None)

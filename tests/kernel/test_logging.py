"""Logs tell operators what happened, and nobody's phone number, account or secret."""

import io
import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from services.kernel.log import Record
from services.kernel.logging import at_work_on, set_up
from tests.kernel.toy import NOON, Added


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is written to standard error."""
    out = io.StringIO()
    with monkeypatch.context() as patched:
        patched.setattr("services.kernel.logging.sys", SimpleNamespace(stderr=out))
        yield out
    set_up("info", "json")


def logged(lines: io.StringIO, **values: Any) -> dict[str, Any]:
    set_up("info", "json")
    structlog.get_logger().warning("happened", **values)
    told: dict[str, Any] = json.loads(lines.getvalue())
    return told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("13812345678", "138****5678"),
        ("买家电话 13812345678,急", "买家电话 138****5678,急"),
        (13812345678, "138****5678"),
        ("6222020200112233445", "6222****3445"),
        (["x", {"deep": "6222020200112233"}], ["x", {"deep": "6222****2233"}]),
        (("13812345678",), ["138****5678"]),
        (ValueError("call 13812345678"), "ValueError('call 138****5678')"),
        ("4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("a1234567890123456b", "a1234567890123456b"),
        ("23812345678", "23812345678"),
        (129_900, 129_900),
        (True, True),
        (None, None),
    ],
)
def test_personal_numbers_are_masked(lines: io.StringIO, value: Any, told: Any) -> None:
    """Phone numbers and accounts are hidden wherever they stand; other numbers stay what they are."""
    assert logged(lines, value=value)["value"] == told


def test_secrets_are_hidden_by_name(lines: io.StringIO) -> None:
    """Whatever is called a token, secret, password or authorization is not told, however deep."""
    told = logged(lines, token="a", headers={"Authorization": "Bearer b"}, gateway_secret="c", PassWord="d")
    assert told["token"] == told["gateway_secret"] == told["PassWord"] == told["headers"]["Authorization"] == "***"


def test_ids_and_amounts_are_told(lines: io.StringIO) -> None:
    """An order whose number looks like an account can still be searched for, an amount is no phone number."""
    told = logged(lines, order_id="1234567890123456789", amount_fen=13_812_345_678)
    assert (told["order_id"], told["amount_fen"]) == ("1234567890123456789", 13_812_345_678)


def test_errors_are_masked_too(lines: io.StringIO) -> None:
    """The text of an error often repeats what it failed on."""
    set_up("info", "json")
    try:
        raise ValueError("13812345678")
    except ValueError:
        structlog.get_logger().exception("failed")
    told = json.loads(lines.getvalue())
    assert "ValueError: 138****5678" in told["exception"]
    assert told["level"] == "error"
    assert told["timestamp"].endswith("Z")


def test_bound_ids_come_along(lines: io.StringIO) -> None:
    """What was bound for a request is on each of its lines."""
    with structlog.contextvars.bound_contextvars(trace_id="abc"):
        assert logged(lines)["trace_id"] == "abc"


def test_each_line_names_its_process(lines: io.StringIO) -> None:
    """Which service and role it is; where one process runs several, the line names the one that it is about."""
    set_up("info", "json", service="refunds", role="relay")
    structlog.get_logger().info("first")
    logging.getLogger("aiohttp.server").error("second")
    with structlog.contextvars.bound_contextvars(service="liability"):
        structlog.get_logger().info("third")
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(one["service"], one["role"]) for one in told] == [
        ("refunds", "relay"),
        ("refunds", "relay"),
        ("liability", "relay"),
    ]


def test_handling_an_event_binds_what_it_is_about(lines: io.StringIO) -> None:
    """Lines written while an event is handled name order, case, event and trace, and only those."""
    set_up("info", "json")
    with at_work_on(record(), "refunds", "4bf92f3577b34da6a3ce929d0e0e4736"):
        structlog.get_logger().warning("during")
    structlog.get_logger().warning("after")
    during, after = (json.loads(line) for line in lines.getvalue().splitlines())
    about = {
        "service": "refunds",
        "order_id": "TB13812345678",
        "case_id": "TB13812345678-1",
        "event_type": "toy.added",
        "event_id": "e1",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    assert about.items() <= during.items()
    assert not about.keys() & after.keys()


def record() -> Record:
    """An event of a case."""
    event = Added(case_id="TB13812345678-1", amount=1)
    return Record(
        stream="TB13812345678",
        version=1,
        sequence=1,
        id="e1",
        type="toy.added",
        schema=1,
        source="toy",
        subject=event.case_id,
        time=NOON,
        actor="agent/小李",
        correlation_id="c",
        causation_id="",
        policy="",
        traceparent="",
        event=event,
        data=b"{}",
        hash=b"",
    )


def test_libraries_are_told_in_the_same_form(lines: io.StringIO) -> None:
    """Trouble of libraries is one JSON line and masked as well; their small talk is left out, nothing is told twice."""
    set_up("debug", "json")
    set_up("debug", "json")
    logging.getLogger("aiohttp.server").info("small talk")
    logging.getLogger("aiohttp.server").error("no answer for %s", "13812345678")
    [line] = lines.getvalue().splitlines()
    assert json.loads(line)["event"] == "no answer for 138****5678"


def test_a_library_that_says_the_same_at_each_try_is_told_seldom(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of tries to reach a broker fill no log: one line of a kind a minute, with how many there were since."""
    now = 1000.0
    monkeypatch.setattr("services.kernel.logging.monotonic", lambda: now)
    set_up("info", "json")
    chatty = logging.getLogger("aiokafka.conn")
    for number in range(50):
        chatty.error("Unable connect to node with id %s", number)
        chatty.error("Unable to update metadata from %s", [number])
    now += 61
    chatty.error("Unable connect to node with id %s", 50)
    logging.getLogger("aiohttp.server").error("one")
    logging.getLogger("aiohttp.server").error("one")
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(one["event"], one["library"], one.get("repeated")) for one in told] == [
        ("Unable connect to node with id 0", "aiokafka", None),
        ("Unable to update metadata from [0]", "aiokafka", None),
        ("Unable connect to node with id 50", "aiokafka", 49),
        ("one", "aiohttp", None),
        ("one", "aiohttp", None),
    ]


def test_level_is_honoured(lines: io.StringIO) -> None:
    """What is below the level is not told."""
    set_up("error", "json")
    structlog.get_logger().warning("quiet")
    assert lines.getvalue() == ""


def test_pretty_for_people(lines: io.StringIO) -> None:
    """On a terminal the same is told in words, masked as well."""
    set_up("info", "pretty")
    try:
        raise ValueError("13812345678")
    except ValueError:
        structlog.get_logger().exception("failed", phone="13812345678")
    assert "138****5678" in lines.getvalue()
    assert "13812345678" not in lines.getvalue()

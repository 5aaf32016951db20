"""Dead letters at the command line: seen by cause, looked into, redriven and given up by name."""

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from contracts.registry import decode
from services.cli.dlq import app
from services.kernel.event_store import Commit
from services.kernel.kafka.message import Message
from services.kernel.kafka.parking import BEHIND, DEAD, NEVER, WAITING, ParkedMessage, Parking
from services.kernel.migrations import migrate
from services.kernel.settings import load_settings
from services.kernel.stores import open_store

ROOT = Path(__file__).parents[2]
GROUP, TOPIC = "aftersales-liability", "aftersales.cases.v1"


def _headers(sequence: int) -> tuple[tuple[str, bytes], ...]:
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", f"e{sequence}".encode()),
        ("ce_type", b"case.opened"),
        ("ce_source", b"/aftersales/cases"),
        ("ce_time", b"2026-10-05T10:00:00+08:00"),
        ("ce_dataschema", b"urn:aftersales:event:case.opened:v1"),
        ("content-type", b"application/json"),
        ("ce_sequence", str(sequence).encode()),
        ("ce_partitionkey", b"TB1"),
    )


def _parked(sequence: int, **changes: Any) -> ParkedMessage:
    message = Message(TOPIC, 0, sequence + 6, b"TB1", b'{"case_id": "TB1-1"}', _headers(sequence), 0)
    fields: dict[str, Any] = {
        "consumer": GROUP,
        "message": message,
        "stream": "TB1",
        "sequence": sequence,
        "type": "case.opened",
        "source": "cases",
        "state": DEAD,
        "cause": "invalid_body",
        "error": "Unreadable: [odd]",
        "tries": 1,
        "parked_at": time.time() - 7200,
    }
    return ParkedMessage(**(fields | changes))


def _run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def _json(*arguments: str) -> Any:
    done = _run(*arguments, "--json")
    return msgspec.json.decode(done.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A liability service that left #1 and #2 of an order behind, and #3 behind them."""

    async def fill() -> None:
        store = open_store(url, decode)
        rows = [_parked(1), _parked(2), _parked(3, state=WAITING, cause=BEHIND, error="", due_at=NEVER)]
        [outcome] = await store.commit([Commit(statements=(Parking(GROUP, TOPIC, 0).park(rows),))])
        assert not isinstance(outcome, Exception)
        await store.close()

    url = load_settings({}, data_dir=str(tmp_path)).database_of("liability")
    migrate(url, ROOT / "services" / "liability" / "migrations")
    asyncio.run(fill())
    return tmp_path


def _options(folder: Path) -> tuple[str, ...]:
    return ("--service", "liability", "--data-dir", str(folder))


def test_listed_by_cause_and_one_by_one(folder: Path) -> None:
    """The list says why, how many and since when; with --all it names each."""
    [dead, behind] = _json("list", *_options(folder))["causes"]
    assert (dead["cause"], dead["messages"], dead["example"]["place"]) == ("invalid_body", 2, f"{TOPIC}/0/7")
    assert (behind["state"], behind["cause"]) == ("waiting", "behind")
    assert 7200 <= dead["oldest_seconds"] < 7300
    text = _run("list", *_options(folder)).stdout
    assert "invalid_body" in text
    assert "2.0 h" in text
    assert [one["sequence"] for one in _json("list", "--all", *_options(folder))["messages"]] == [1, 2, 3]
    assert "TB1" in _run("list", "--all", *_options(folder)).stdout


def test_shown_with_headers_and_body(folder: Path) -> None:
    """One message is shown whole, and whether this program could read it by now."""
    sheet = _json("show", f"{TOPIC}/0/7", *_options(folder))
    assert sheet["body"] == {"case_id": "TB1-1"}
    assert ["ce_sequence", "1"] in sheet["headers"]
    assert "missing required field" in sheet["readable"]
    text = _run("show", f"{TOPIC}/0/7", *_options(folder)).stdout
    assert '"case_id": "TB1-1"' in text
    assert "[odd]" in text


def test_redriving_says_first_what_it_would_do(folder: Path) -> None:
    """A dry run changes nothing and names what would still be unreadable; done, the owner is asked to try it, and who
    asked is kept."""
    options = ("redrive", "--by", "小李", "--all", *_options(folder))
    lines = _json(*options, "--dry-run")["messages"]
    assert [one["outcome"] for one in lines] == ["would_be_redriven"] * 2
    assert "invalid_body" in lines[0]["still_unreadable"]
    assert len(_json("list", *_options(folder))["causes"]) == 2
    assert [one["outcome"] for one in _json(*options, "--timeout", "0")["messages"]] == ["trying"] * 2
    sheet = _json("show", f"{TOPIC}/0/7", *_options(folder))
    assert (sheet["state"], sheet["resolved_by"]) == ("waiting", "小李")
    assert _json(*options)["messages"] == []


def test_given_up_in_order_and_with_a_reason(folder: Path) -> None:
    """Nothing is given up before what stands before it; who and why is kept."""
    options = ("discard", "--by", "小李", "--reason", "测试", *_options(folder))
    refused = _run(*options, f"{TOPIC}/0/8", "--json")
    assert refused.exit_code == 1
    assert "first redrive or discard" in refused.stdout
    assert [one["outcome"] for one in _json(*options, "--all", "--dry-run")["messages"]] == ["would_be_discarded"] * 2
    assert _run(*options, "--stream", "TB1").exit_code == 0
    sheet = _json("show", f"{TOPIC}/0/8", *_options(folder))
    assert (sheet["state"], sheet["resolved_by"], sheet["note"]) == ("discarded", "小李", "测试")


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "nowhere"),
        ("redrive", "--by", "x"),
        ("redrive", "--by", " ", "--all"),
        ("redrive", "--by", "x", f"{TOPIC}/0/9"),
        ("discard", "--by", "x", "--reason", " ", "--all"),
        ("show", f"{TOPIC}/0/99"),
    ],
)
def test_mistakes_are_told(folder: Path, arguments: tuple[str, ...]) -> None:
    """Whatever is asked for wrongly is said in both languages, and nothing happens."""
    done = _run(*arguments, *_options(folder))
    assert done.exit_code in (1, 2)
    assert any("一" <= letter <= "鿿" for letter in done.stderr)
    assert "Traceback" not in done.output


def test_unknown_service_is_told() -> None:
    """There are three services."""
    assert _json("list", "--service", "nobody")["error"]["code"] == "invalid"

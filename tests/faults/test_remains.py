"""What a failed soak leaves behind, so that the damage can still be looked at."""

import json
import subprocess
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from services.stack.postgres import postgres_programs
from tests.faults import soak
from tests.faults.checker import Unsound
from tests.faults.history import Message, read_log, read_topics
from tests.faults.remains import keep
from tests.faults.stage import SERVICES, Stage


class Lent:
    """The stage of all fault tests for a soak, which may neither open nor close it."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self._stage = stage
        self.folder = folder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)

    async def open(self) -> None: ...

    async def close(self) -> None:
        """The provider is good again, whatever the rounds told it."""
        await self.provider.behaves()


async def test_what_remains_is_all_there_was(stage: Stage, tmp_path: Path) -> None:
    """From the files alone every database can be restored and every message read byte by byte, even where a fault left
    the servers down."""
    stage.made_up.add("")
    await stage.brokers.send([Message("aftersales.cases.v1", 0, 0, None, (("ce_id", b"\xff"),), b"\xff\xfe")])
    async with stage.load() as load:
        await load.acknowledged(20)
    await stage.must_be_sound()
    stage.stack.postgres.kill()
    stage.stack.kafka.freeze(2)
    folder = tmp_path / "remains"
    assert await keep(stage, folder) == []
    for service in SERVICES:
        restored = await read_log(service, _restored(stage, folder / f"{service}.sql"))
        assert restored.events == (await read_log(service, stage.database(service))).events
    topics, dead = await read_topics(stage.stack.kafka.servers)
    for messages in filter(None, (*topics.values(), *dead.values())):
        assert _read(folder / f"{messages[0].topic}.jsonl") == messages
    told = [json.loads(line)["key"] for line in (folder / "acknowledged.jsonl").read_text().splitlines()]
    assert told == [one.key for one in stage.acknowledged]
    await stage.must_be_sound()


def _restored(stage: Stage, dump: Path) -> str:
    """The address of a new database from a dump."""
    stage.stack.postgres.create_database(f"restored_{dump.stem}")
    url = stage.database(dump.stem).rpartition("/")[0] + f"/restored_{dump.stem}"
    options = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={dump}", url)
    subprocess.run([postgres_programs() / "psql", *options], check=True, stdout=subprocess.DEVNULL)
    return url


def _read(file: Path) -> list[Message]:
    lines = map(json.loads, file.read_text().splitlines())
    return [
        Message(
            file.stem,
            line["partition"],
            line["offset"],
            _bytes(line["key"]),
            tuple((name, _bytes(raw) or b"") for name, raw in line["headers"]),
            _bytes(line["value"]),
        )
        for line in lines
    ]


def _bytes(told: Any) -> bytes | None:
    if isinstance(told, dict):
        return b64decode(told["base64"])
    return None if told is None else str(told).encode()


async def test_failed_soak_keeps_what_there_was_and_says_how_to_see_it_again(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder stays with databases and topics in it, and the command is told that plays the round again."""
    rounds: list[int] = []

    async def unsound(stage: Stage, faults: Sequence[soak.Fault], number: int) -> None:
        rounds.append(number)
        if number == 5:
            raise Unsound("a payout twice")

    folder = _lent(stage, tmp_path, monkeypatch)
    monkeypatch.setattr(soak, "play", unsound)
    with pytest.raises(Unsound):
        await soak.soak(stage.seed, 2.5, 4)
    assert rounds == [4, 5]
    complaint = capsys.readouterr().err
    assert f"--seed {stage.seed} --minutes 2.5 --from-round 5\n" in complaint
    assert str(folder / "remains") in complaint
    assert {"cases.sql", "aftersales.cases.v1.jsonl"} <= {one.name for one in (folder / "remains").iterdir()}


async def test_sound_soak_leaves_nothing(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody needs to look at is removed."""

    async def sound(stage: Stage, faults: Sequence[soak.Fault], number: int) -> None:
        assert stage.folder.exists()

    folder = _lent(stage, tmp_path, monkeypatch)
    monkeypatch.setattr(soak, "play", sound)
    await soak.soak(stage.seed, 0.001, 1)
    assert not folder.exists()


def _lent(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let a soak play on this stage; gives the folder that it believes to be its own."""
    folder = tmp_path / "soak"
    folder.mkdir()
    monkeypatch.setattr(soak, "Stage", lambda *_: Lent(stage, folder))
    return folder

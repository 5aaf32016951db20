"""What an unsound run leaves for people to look at: databases, topics, and what senders were told, as plain files."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Iterable, Mapping
from pathlib import Path
from typing import Any

from services.stack.postgres import postgres_programs
from tests.faults.history import Message, read_topics
from tests.faults.patience import PATIENCE_SECONDS
from tests.faults.stage import SERVICES, Stage


async def keep(stage: Stage, folder: Path) -> list[str]:
    """Write everything into a new folder; gives what could not be kept, and why.

    `<service>.sql`: a dump of its database, for `psql`. `<topic>.jsonl`: a message a line, by partition and offset;
    bytes that are no text are in Base64. `acknowledged.jsonl`: a command a line that was accepted, with its events.
    """
    await asyncio.to_thread(_begin, stage, folder)
    lost = [await _tried("the servers", _servers_up(stage))]
    # Topics first: a log may then hold more than its topic while things move, never less.
    lost.append(await _tried("the topics", _keep_topics(stage, folder)))
    lost += [await _tried(service, _keep_database(stage.database(service), folder, service)) for service in SERVICES]
    return [one for one in lost if one]


def _begin(stage: Stage, folder: Path) -> None:
    folder.mkdir()
    _write(folder / "acknowledged.jsonl", (one._asdict() for one in stage.acknowledged))


async def _tried(what: str, work: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await work
    except Exception as error:
        return f"{what}: {error!r}"
    return ""


async def _servers_up(stage: Stage) -> None:
    """What a fault left down or frozen answers again."""
    if not stage.stack.postgres.pid:
        await asyncio.to_thread(stage.stack.postgres.start)
    stage.stack.kafka.thaw_all()
    await asyncio.to_thread(stage.stack.kafka.start)


async def _keep_topics(stage: Stage, folder: Path) -> None:
    topics, dead = await read_topics(stage.stack.kafka.servers)
    for messages in (*topics.values(), *dead.values()):
        if messages:
            _write(folder / f"{messages[0].topic}.jsonl", map(_told, messages))


async def _keep_database(url: str, folder: Path, service: str) -> None:
    file = folder / f"{service}.sql"
    dump = await asyncio.create_subprocess_exec(
        *(str(postgres_programs() / "pg_dump"), "--no-owner", f"--file={file}", url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await dump.communicate()
    if dump.returncode:
        raise OSError(said.decode(errors="replace"))


def _told(message: Message) -> dict[str, Any]:
    return {
        "partition": message.partition,
        "offset": message.offset,
        "key": _text(message.key),
        "headers": [[name, _text(raw)] for name, raw in message.headers],
        "value": _text(message.value),
    }


def _text(raw: bytes | None) -> str | dict[str, str] | None:
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(raw).decode()}


def _write(file: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))

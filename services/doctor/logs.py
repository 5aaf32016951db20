"""Logs by themselves, and against the logs that they learned from."""

from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, Final

from contracts.policy import Text
from services.doctor import ways
from services.doctor.finding import Wrong
from services.doctor.look import Look, asked, pages
from services.kernel.proof import verify

_EXTENT = "SELECT count(*) AS n, coalesce(min(position), 1) AS first, coalesce(max(position), 0) AS last FROM events"
_POSITIONS = "SELECT position FROM events WHERE position > ? ORDER BY position LIMIT ?"
_SEQUENCES = """SELECT stream, count(*) AS n, min(sequence) AS first, max(sequence) AS last FROM events
WHERE source = ? GROUP BY stream HAVING count(*) <> max(sequence) OR min(sequence) <> 1 ORDER BY stream"""
_HEADS = """SELECT streams.stream, streams.sequence, own.last FROM streams
JOIN (SELECT stream, max(sequence) AS last FROM events WHERE source = ? GROUP BY stream) AS own
ON own.stream = streams.stream WHERE streams.sequence <> own.last ORDER BY streams.stream"""

#: What a learned event has in common with the one in the log of its source.
_SAME: Final = ("sequence", "type", "schema", "subject", "time", "data")
_LEARNED = f"""SELECT position, source, stream, version, id, {", ".join(_SAME)} FROM events
WHERE source <> ? AND position > ? ORDER BY position LIMIT ?"""
_ORIGINS = f"SELECT stream, id, {', '.join(_SAME)} FROM events WHERE source = ? AND id IN ({{}})"


async def chains(look: Look) -> AsyncIterator[Wrong]:
    """No record of a log was altered, removed, added or moved."""
    if broken := await verify(look.live):
        yield Wrong(
            f"{broken.stream}#{broken.version}",
            Text(zh=f"哈希链在此断开(第一处):{broken.zh}", en=f"the hash chain is broken here first: {broken.en}"),
            "",
            broken.kind,
            ways.restore(look.name),
        )


async def positions(look: Look) -> AsyncIterator[Wrong]:
    """Positions count every record of a log, sequences every own one of a stream."""
    [extent] = await look.reads.query(_EXTENT)
    if (extent["n"], extent["first"]) != (extent["last"], 1):
        async for wrong in _holes(look):
            yield wrong
    for row in await look.reads.query(_SEQUENCES, (look.name,)):
        yield Wrong(
            row["stream"],
            Text(zh="本服务事件的序号不连续", en="the numbers of its own events are not dense"),
            f"1–{row['n']}",
            f"{row['first']}–{row['last']}, {row['n']}",
            ways.restore(look.name),
        )
    for row in await look.reads.query(_HEADS, (look.name,)):
        yield Wrong(
            row["stream"],
            Text(
                zh="流的头部与最后一条事件的序号不符", en="the stream's head does not name the number of its last event"
            ),
            str(row["last"]),
            str(row["sequence"]),
            ways.restore(look.name),
        )


async def _holes(look: Look) -> AsyncIterator[Wrong]:
    expected = 1
    async for rows in pages(look.reads, _POSITIONS, key="position"):
        for row in rows:
            if row["position"] != expected:
                yield Wrong(
                    f"{expected}–{row['position'] - 1}",
                    Text(zh="日志位置缺失", en="positions of the log are missing"),
                    str(expected),
                    str(row["position"]),
                    ways.restore(look.name),
                )
            expected = row["position"] + 1


async def learned(look: Look) -> AsyncIterator[Wrong]:
    """What a service learned from others is, byte by byte, what stands in their logs."""
    seen = 0
    async for rows in pages(look.reads, _LEARNED, look.name, key="position"):
        by_source: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows:
            by_source[row["source"]].append(row)
        for source, events in by_source.items():
            if source in look.shop.stores:  # who sells has no log that could be asked
                for wrong in await _unlike(look, source, events):
                    yield wrong
        await look.seen(rows[-1]["position"] - seen)
        seen = rows[-1]["position"]


async def _unlike(look: Look, source: str, events: list[dict[str, Any]]) -> list[Wrong]:
    ids = [event["id"] for event in events]
    found = await asked(look.shop.stores[source], _ORIGINS, ids, source)
    origins = {(row["stream"], row["id"]): row for row in found}
    wrongs = []
    for event in events:
        origin = origins.get((event["stream"], event["id"]))
        names = [name for name in _SAME if origin is None or origin[name] != event[name]]
        if names:
            wrongs.append(_differs(look.name, source, event, origin, names))
    return wrongs


def _differs(
    service: str, source: str, event: dict[str, Any], origin: dict[str, Any] | None, names: list[str]
) -> Wrong:
    if origin is None:
        what = Text(zh=f"学到的事件在 {source} 的日志里没有", en=f"it was learned, but is not in the log of {source}")
    else:
        what = Text(
            zh=f"学到的事件与 {source} 日志里的不同({', '.join(names)})",
            en=f"it was learned, but is another in the log of {source} ({', '.join(names)})",
        )
    return Wrong(
        f"{event['stream']}#{event['version']}",
        what,
        "" if origin is None else _told(origin, names),
        _told(event, names),
        ways.restore(source, service),
    )


def _told(event: dict[str, Any], names: list[str]) -> str:
    texts = (
        value.decode(errors="replace") if isinstance(value := event[name], bytes) else str(value) for name in names
    )
    return " · ".join(texts)

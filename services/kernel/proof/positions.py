"""Positions of a log are dense from 1: none may be missing, none may be there twice."""

from services.kernel.event_store import Reads
from services.kernel.proof.chain import BrokenLink, Fault

PAGE_POSITIONS = 100_000

NO_RECORD = Fault("missing", "日志的这个位置没有记录", "no record stands at this position of the log")
TOO_MANY = Fault("added", "日志的这个位置多出一条记录", "a record was added at this position of the log")


async def first_hole(reads: Reads, first: int, last: int) -> BrokenLink | None:
    """The first position from `first` to `last` without a record, or with more than one. Databases count; only where
    the number is wrong are positions read."""
    while first <= last:
        upto = min(first + PAGE_POSITIONS - 1, last)
        sql = "SELECT count(*) AS found FROM events WHERE position BETWEEN ? AND ?"
        [row] = await reads.query(sql, (first, upto))
        if row["found"] != upto - first + 1:
            sql = "SELECT position FROM events WHERE position BETWEEN ? AND ? ORDER BY position"
            return _differing([row["position"] for row in await reads.query(sql, (first, upto))], first)
        first = upto + 1
    return None


def _differing(positions: list[int], first: int) -> BrokenLink:
    for expected, position in enumerate(positions, first):
        if position != expected:
            return TOO_MANY.at("", 0, position) if position < expected else NO_RECORD.at("", 0, expected)
    return NO_RECORD.at("", 0, first + len(positions))

"""Parts of a case's timeline, from its end backwards: as quick for a case of a thousand events as for one of ten."""

from typing import Final

from contracts.event import type_of
from contracts.events.cases import CaseOpened, PersonalDataErased
from services.kernel.event_store import Reads
from services.kernel.log import Record
from services.kernel.sql_reads import EVENTS, records

#: What is of a case: its own events, and that what people wrote about the order was erased.
_OF_CASE: Final = "stream = ? AND version <= ? AND (subject = ? OR type = ?)"
_BACKWARDS: Final = f"{EVENTS} WHERE {_OF_CASE} ORDER BY version DESC LIMIT ?"
_LATER: Final = f"SELECT count(*) AS n FROM events WHERE {_OF_CASE} AND version >= ?"
_ERASED: Final = type_of(PersonalDataErased)
_OPENED: Final = type_of(CaseOpened)


async def last_of(log: Reads, stream: str, case_id: str, upto: int, limit: int) -> list[Record]:
    """The last so many happenings of a case up to a version of its order's file, oldest first; none if `limit` is 0."""
    rows = await log.query(_BACKWARDS, (stream, upto, case_id, _ERASED, limit)) if limit else []
    found: list[Record] = []
    for record in records([tuple(row.values()) for row in rows], None):
        found.append(record)
        if record.type == _OPENED:  # an erasure before that is of other cases
            break
    return found[::-1]


async def count_since(log: Reads, stream: str, case_id: str, version: int, upto: int) -> int:
    """How many happenings a case has from one version of its order's file to another, both counted."""
    [row] = await log.query(_LATER, (stream, upto, case_id, _ERASED, version))
    return int(row["n"])

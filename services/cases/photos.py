"""Proof of the evidence files: what is stored must be what the events say was handed in, byte for byte.

The hash of a file stands in its event, the event in the chain of its order: with the chain proven, so is the file. What
it does not show: that a picture shows what it seems to show, and files that no event names.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from contracts.event import type_of
from contracts.events.cases import EvidenceSubmitted
from services.cases.media import DamagedFile, MediaAway, MediaStore, UnknownFile
from services.kernel.event_store import Decode, Reads
from services.kernel.long_work import Tell, told_nobody

WINDOW_POSITIONS: Final = 10_000
#: Files that are read at the same time; each is held in memory whole.
AT_ONCE: Final = 4
#: Files that are named; beyond, they are only counted: whoever lost a folder does not need every name.
NAMED: Final = 1000

_SUBMITTED = (
    "SELECT position, type, schema, data FROM events"
    " WHERE source = ? AND type = ? AND position > ? AND position <= ? ORDER BY position"
)


class DamagedPhoto(msgspec.Struct, frozen=True):
    """A file that is missing or altered, and the event (its `position` in the log) that names it."""

    case_id: str
    evidence: str
    sha256: str
    position: int
    kind: Literal["missing", "altered"]
    zh: str
    en: str


class Away(msgspec.Struct, frozen=True):
    """The place where files are kept cannot be reached, or does not let us in (`reason`)."""

    place: str
    reason: str


class PhotosProof(msgspec.Struct):
    """What came of it: how many files were checked, how many are damaged, and the first of those. `away`: the place
    could not be reached any more, so it ended there."""

    files: int = 0
    damaged: int = 0
    first: list[DamagedPhoto] = []
    away: Away | None = None

    @property
    def holds(self) -> bool:
        """Whether every file could be checked, and none is damaged."""
        return not self.damaged and self.away is None


async def prove_photos(reads: Reads, media: MediaStore, decode: Decode, tell: Tell = told_nobody) -> PhotosProof:
    """Read every file that an event names, and compare its hash. Memory stays flat; what is handed in meanwhile may be
    left out."""
    proof = PhotosProof()
    try:
        await _check_all(reads, media, decode, tell, proof)
    except MediaAway as away:  # the next file is not tried: each would be waited for
        proof.away = Away(away.place, away.reason)
    return proof


async def _check_all(reads: Reads, media: MediaStore, decode: Decode, tell: Tell, proof: PhotosProof) -> None:
    end = await reads.head_position()
    for after in range(0, end, WINDOW_POSITIONS):
        upto = min(after + WINDOW_POSITIONS, end)
        rows = await reads.query(_SUBMITTED, ("cases", type_of(EvidenceSubmitted), after, upto))
        for start in range(0, len(rows), AT_ONCE):
            await _check(rows[start : start + AT_ONCE], media, decode, proof)
        await tell(upto, end)


async def _check(rows: Sequence[dict[str, Any]], media: MediaStore, decode: Decode, proof: PhotosProof) -> None:
    for damaged in await asyncio.gather(*(_damage(row, media, decode) for row in rows)):
        proof.files += 1
        if damaged:
            proof.damaged += 1
            if len(proof.first) < NAMED:
                proof.first.append(damaged)


async def _damage(row: dict[str, Any], media: MediaStore, decode: Decode) -> DamagedPhoto | None:
    event: EvidenceSubmitted = decode(row["type"], row["schema"], row["data"])
    place = (event.case_id, event.evidence, event.sha256, row["position"])
    try:
        await media.open(event.sha256)
    except UnknownFile:
        return DamagedPhoto(*place, "missing", "文件缺失", "the file is missing")
    except DamagedFile:
        return DamagedPhoto(
            *place, "altered", "文件内容与事件中的哈希不符", "the file is not the one that was handed in"
        )
    return None

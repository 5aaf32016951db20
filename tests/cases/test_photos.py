"""Proof of the evidence files against the hashes that events hold."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.event import Event
from contracts.events.cases import EvidenceAccepted, EvidenceSubmitted
from contracts.registry import decode
from services.cases.media import MediaStore
from services.cases.photos import PhotosProof, prove_photos
from services.kernel.event_store import Append, Commit, EventStore
from services.kernel.sqlite_store import SqliteStore
from services.scenarios.media import generate_photo
from tests.kernel.toy import toy_record, url_of

PHOTOS = 9


def submitted(n: int, sha256: str) -> EvidenceSubmitted:
    return EvidenceSubmitted(
        case_id="TB1-1", evidence=f"E{n}", kind="photo", sha256=sha256, media_type="image/png", size_bytes=1
    )


async def record(store: EventStore, stream: str, source: str, events: list[Event]) -> None:
    """Events as they stand in a log."""
    head = await store.head(stream)
    sequences = [0 if source == "cases" else n for n in range(1, len(events) + 1)]
    records = [
        toy_record(f"{stream}-{n}", event, source=source, sequence=sequence)
        for n, (event, sequence) in enumerate(zip(events, sequences, strict=True))
    ]
    [outcome] = await store.commit([Commit(appends=(Append(stream, head.version if head else 0, records),))])
    assert not isinstance(outcome, Exception)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EventStore]:
    store = SqliteStore(url_of(tmp_path / "cases.db"), decode)
    yield store
    await store.close()


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    return MediaStore(tmp_path / "files")


async def test_every_file_is_compared(
    store: EventStore, media: MediaStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is gone or altered is named with its case and evidence; what else stands in the log is passed by."""
    monkeypatch.setattr("services.cases.photos.WINDOW_POSITIONS", 4)
    files = [(await media.put(generate_photo(n))).sha256 for n in range(PHOTOS)]
    events = [
        event
        for n, sha256 in enumerate(files)
        for event in (submitted(n, sha256), EvidenceAccepted(case_id="TB1-1", evidence=f"E{n}"))
    ]
    await record(store, "TB1", "cases", list(events))
    await record(store, "TB2", "elsewhere", [submitted(0, "ab" * 32)])
    told = []

    async def tell(done: int, total: int) -> None:
        told.append((done, total))

    end = await store.head_position()
    assert await prove_photos(store, media, decode, tell) == PhotosProof(files=PHOTOS)
    assert told == [(done, end) for done in (4, 8, 12, 16, end)]

    def stored(n: int) -> Path:
        return tmp_path / "files" / files[n][:2] / files[n]

    stored(2).write_bytes(stored(2).read_bytes()[:-1] + b"x")
    stored(3).unlink()
    stored(5).with_suffix(".json").unlink()
    proof = await prove_photos(store, media, decode)
    assert (proof.files, proof.damaged) == (PHOTOS, 3)
    assert [(one.case_id, one.evidence, one.sha256, one.position, one.kind) for one in proof.first] == [
        ("TB1-1", "E2", files[2], 5, "altered"),
        ("TB1-1", "E3", files[3], 7, "altered"),
        ("TB1-1", "E5", files[5], 11, "missing"),
    ]
    monkeypatch.setattr("services.cases.photos.NAMED", 1)
    proof = await prove_photos(store, media, decode)
    assert (proof.damaged, len(proof.first)) == (3, 1)

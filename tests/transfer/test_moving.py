"""A history moves to another installation and is the same there; a file that is not whole moves nothing."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.kernel.event_store import EventStore
from services.kernel.log import NoSuchRange
from services.kernel.long_work import CalledOff
from services.kernel.proof import root, verify
from services.transfer import selection as selecting
from services.transfer.exporting import LogDamaged, NothingChosen, export
from services.transfer.files import OpenFile
from services.transfer.formats import FileAltered, FileCut, FileRefused, Format, NoFileOfEvents
from services.transfer.importing import AtWork, DoesNotFit, NotWhole, UnknownTypes, check, import_events
from services.transfer.lines import Digest, Heading, Manifest, line_of, row_of
from services.transfer.selection import Selection
from tests.transfer.conftest import NewLog
from tests.transfer.history import ODD, decode, everything, grow, inbox

EVENTS = 60
NAMES = ("all.jsonl", "all.jsonl.gz", "all.parquet")


def format_of(name: str) -> Format:
    return "parquet" if name.endswith(".parquet") else "jsonl"


async def exported(store: EventStore, place: Path, **asked: Any) -> Manifest:
    return await export(store, "cases", Selection(**asked), place, format_of(place.name))


async def unchanged(store: EventStore, error: type[Exception], path: Path) -> Any:
    """A file is refused, looked at or imported, and nothing of it was written; gives the error."""
    before = (await everything(store), await inbox(store))
    with pytest.raises(error):
        await check(path, store, decode)
    with pytest.raises(error) as raised:
        await import_events(path, store, decode)
    assert (await everything(store), await inbox(store)) == before
    return raised.value


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several pages of everything, so that what holds across them is seen."""
    monkeypatch.setattr(selecting, "PAGE_RECORDS", 16)
    monkeypatch.setattr("services.transfer.json_lines.PAGE_RECORDS", 7)
    monkeypatch.setattr("services.transfer.parquet.PAGE_RECORDS", 7)
    monkeypatch.setattr("services.transfer.parquet.GROUP_ROWS", 20)
    monkeypatch.setattr("services.transfer.chains.PAGE_RECORDS", 3)
    monkeypatch.setattr("services.kernel.heard.PAGE_RECORDS", 3)


async def is_same(there: EventStore, here: EventStore) -> None:
    assert await everything(there) == await everything(here)
    assert await inbox(there) == await inbox(here)
    assert await there.streams() == await here.streams()
    assert await root(there) == await root(here)
    assert await verify(there) is None


@pytest.mark.parametrize("name", NAMES)
async def test_a_history_moves(new_log: NewLog, tmp_path: Path, name: str) -> None:
    """Records, positions, hashes, heads, root and what was heard of others are the same in the other installation, odd
    bytes included, and it goes on from there as the first one would."""
    here, there = await new_log("here", EVENTS), await new_log("there")
    for number, data in enumerate(ODD, EVENTS + 1):
        await grow(here, number, number, data=data)
    manifest = await exported(here, tmp_path / name)
    assert manifest.root == (await root(here)).hex()
    assert (manifest.complete, manifest.events, manifest.first, manifest.last) == (True, 66, 1, 66)
    looked = await check(tmp_path / name, there, decode)
    assert (looked.already, looked.added, await everything(there)) == (0, 66, [])
    done = await import_events(tmp_path / name, there, decode)
    assert (done.already, done.added, done.root) == (0, 66, manifest.root)
    await is_same(there, here)
    for store in (here, there):
        await grow(store, 67, 80)
    await is_same(there, here)


async def test_between_databases(new_log: NewLog, postgres_log: EventStore, tmp_path: Path) -> None:
    """From SQLite to PostgreSQL and back nothing is lost."""
    here, back = await new_log("here", EVENTS), await new_log("back")
    await exported(here, tmp_path / "there.jsonl")
    await import_events(tmp_path / "there.jsonl", postgres_log, decode)
    await is_same(postgres_log, here)
    await grow(postgres_log, EVENTS + 1, EVENTS + 9)
    await exported(postgres_log, tmp_path / "back.parquet")
    await import_events(tmp_path / "back.parquet", back, decode)
    await is_same(back, postgres_log)


async def test_formats_hold_the_same(new_log: NewLog, tmp_path: Path) -> None:
    """The digest is over what is said, not how it is packed, and the same events make the same file."""
    here = await new_log("here", EVENTS)
    made = [await exported(here, tmp_path / name) for name in NAMES]
    parts = [[part for part in OpenFile(tmp_path / name).parts() if isinstance(part, list)] for name in NAMES]
    rows = [[row for part in each for row in part] for each in parts]
    assert rows[0] == rows[1] == rows[2]
    assert len({one.root for one in made}) == 1
    assert (
        gzip.decompress((tmp_path / NAMES[1]).read_bytes()).splitlines()[1:-1]
        == ((tmp_path / NAMES[0]).read_bytes().splitlines()[1:-1])
    )


async def test_in_parts(new_log: NewLog, tmp_path: Path) -> None:
    """A history that moves in parts, overlapping ones too, is the same in the end; a part that was imported is passed
    over, and only the last tells how far others were heard."""
    here, there = await new_log("here", EVENTS), await new_log("there")
    parts = ((1, 20), (21, 40), (35, 0))
    for first, last in parts:
        manifest = await exported(here, tmp_path / f"{first}.jsonl", first=first, last=last)
        assert manifest.complete == (last == 0)
        done = await import_events(tmp_path / f"{first}.jsonl", there, decode)
        assert (await inbox(there) == []) == (last != 0)
    assert (done.already, done.added) == (6, 20)
    again = await import_events(tmp_path / "1.jsonl", there, decode)
    assert (again.already, again.added) == (20, 0)
    await is_same(there, here)


async def test_called_off_and_done_again(new_log: NewLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import that ended in the middle is done by importing the same file again."""
    here, there = await new_log("here", EVENTS), await new_log("there")
    await exported(here, tmp_path / "all.jsonl")
    pages = 0

    async def tell(done: int, total: int) -> None:
        nonlocal pages
        assert done <= total == EVENTS
        pages += 1
        if pages == 12:  # nine to look, then the third that is written
            raise CalledOff

    with pytest.raises(CalledOff):
        await import_events(tmp_path / "all.jsonl", there, decode, tell)
    written = len(await everything(there))
    assert 0 < written < EVENTS
    done = await import_events(tmp_path / "all.jsonl", there, decode)
    assert (done.already, done.added) == (written, EVENTS - written)
    await is_same(there, here)


async def test_another_history_is_refused(new_log: NewLog, tmp_path: Path) -> None:
    """What does not fit what is there is refused: another history, and one that begins later."""
    here, there = await new_log("here", EVENTS), await new_log("there")
    await exported(here, tmp_path / "all.jsonl")
    await exported(here, tmp_path / "later.jsonl", first=11)
    await grow(there, 1, 4)
    later = await unchanged(there, DoesNotFit, tmp_path / "later.jsonl")
    assert (later.position, later.head, later.missing) == (11, 4, True)
    await grow(there, 5, 5, actor="agent/somebody else")
    other = await unchanged(there, DoesNotFit, tmp_path / "all.jsonl")
    assert (other.position, other.missing) == (5, False)


async def test_a_selection_is_no_history(new_log: NewLog, tmp_path: Path) -> None:
    """Some events of a log make no log: they can be read, and are refused before anything else."""
    here, there = await new_log("here", EVENTS), await new_log("there")
    manifest = await exported(here, tmp_path / "some.jsonl", order="TB1")
    assert (manifest.complete, manifest.heard, manifest.events) == (False, 0, 9)
    assert manifest.heading.selection == {"order": "TB1"}
    assert await unchanged(there, NotWhole, tmp_path / "some.jsonl")


@pytest.mark.parametrize("name", NAMES)
async def test_a_file_cut_short(new_log: NewLog, tmp_path: Path, name: str) -> None:
    """Wherever a file was cut, between lines too, it is refused and nothing of it is written."""
    there = await new_log("there")
    await exported(await new_log("here", EVENTS), tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    ends = {len(whole) * tenth // 10 for tenth in range(3, 10)} | {len(whole) - 1, len(whole) - 9}
    ends |= {whole.rindex(b"\n", 0, -1) + 1} if name.endswith("jsonl") else set()
    cut = tmp_path / f"cut-{name}"
    for end in ends:
        cut.write_bytes(whole[:end])
        await unchanged(there, FileCut, cut)


@pytest.mark.parametrize("name", NAMES)
async def test_an_altered_file(new_log: NewLog, tmp_path: Path, name: str) -> None:
    """One byte that is another anywhere in a file is noticed, but where it says nothing (Parquet's figures about its
    columns): then all that is read is what was written."""
    await exported(await new_log("here", EVENTS), tmp_path / name)
    parts = [*OpenFile(tmp_path / name).parts()]
    whole = (tmp_path / name).read_bytes()
    altered = tmp_path / f"altered-{name}"
    refused = 0
    for place in range(12, len(whole) - 8, max(1, len(whole) // 60)):
        changed = bytes([whole[place] ^ 1])
        altered.write_bytes(whole[:place] + changed + whole[place + 1 :])
        try:
            assert [*OpenFile(altered).parts()] == parts
            assert name.endswith(".parquet")
        except FileRefused:
            refused += 1
    assert refused > (20 if name.endswith(".parquet") else 50)


def rewritten(path: Path, change: Callable[[list[Any]], list[Any]]) -> Path:
    """A file whose rows somebody changed who knows the format, and made its manifest fit."""
    heading, *rows, manifest = (row_of(line) for line in path.read_bytes().splitlines(keepends=True))
    assert isinstance(heading, Heading)
    assert isinstance(manifest, Manifest)
    rows = change(rows)
    digest = Digest()
    for row in (heading, *rows):
        digest.add(line_of(row))
    events = len([row for row in rows if hasattr(row, "position")])
    manifest = msgspec.structs.replace(manifest, events=events, sha256="")
    sealed = msgspec.structs.replace(manifest, sha256=digest.of(manifest))
    forged = path.with_name("forged.jsonl")
    forged.write_bytes(b"".join(map(line_of, (heading, *rows, sealed))))
    return forged


@pytest.mark.parametrize(
    ("change", "behind"),
    [
        (lambda rows: [*rows[:9], msgspec.structs.replace(rows[9], data=b"{}"), *rows[10:]], 9),
        (lambda rows: [*rows[:9], *rows[10:]], 9),
        (lambda rows: [*rows[:9], rows[10], rows[9], *rows[11:]], 9),
        (lambda rows: [*rows[:9], msgspec.structs.replace(rows[9], stream="TB9"), *rows[10:]], 9),
        (lambda rows: [*rows[:9], msgspec.structs.replace(rows[9], sequence=9), *rows[10:]], 9),
    ],
    ids=["altered", "left out", "swapped", "moved", "renumbered"],
)
async def test_a_forged_file(
    new_log: NewLog, tmp_path: Path, change: Callable[[list[Any]], list[Any]], behind: int
) -> None:
    """Whoever changes a record and makes the manifest fit is found out by the chain of hashes, at the record."""
    there = await new_log("there")
    await exported(await new_log("here", EVENTS), tmp_path / "all.jsonl")
    forged = rewritten(tmp_path / "all.jsonl", change)
    assert (await unchanged(there, FileAltered, forged)).position == behind


async def test_a_forged_root(new_log: NewLog, tmp_path: Path) -> None:
    """Records that were left out at the end break no chain, but the root in the manifest is then another one."""
    await exported(await new_log("here", EVENTS), tmp_path / "all.jsonl")
    forged = rewritten(tmp_path / "all.jsonl", lambda rows: [row for row in rows if getattr(row, "position", 0) < 60])
    await unchanged(await new_log("there"), FileAltered, forged)


@pytest.mark.parametrize("content", [b"", b"hello\n", b'{"a":1}\n', b"PAR1 and no more", bytes(100)])
async def test_some_other_file(new_log: NewLog, tmp_path: Path, content: bytes) -> None:
    """Whatever else a file may be, it is said to be none of ours."""
    (tmp_path / "other").write_bytes(content)
    expected = FileCut if content.startswith(b"PAR1") else FileRefused
    await unchanged(await new_log("there"), expected, tmp_path / "other")
    if content == b"hello\n":
        await unchanged(await new_log("there"), NoFileOfEvents, tmp_path / "other")


async def test_events_of_a_later_release(new_log: NewLog, tmp_path: Path) -> None:
    """An event that this release cannot read would stop the service for good: it is refused before it is there."""
    here = await new_log("here", 5)
    await grow(here, 7, 7, type="case.unheard_of")
    await exported(here, tmp_path / "all.jsonl")
    error = await unchanged(await new_log("there"), UnknownTypes, tmp_path / "all.jsonl")
    assert (error.position, error.type) == (6, "case.unheard_of")


async def test_not_while_the_service_works(new_log: NewLog, tmp_path: Path) -> None:
    """While a process of the service works on the log nothing is imported; and none begins while it is."""
    there = await new_log("there")
    await exported(await new_log("here", EVENTS), tmp_path / "all.jsonl")
    assert await there.hold("steward", "a process", 60)
    with pytest.raises(AtWork):
        await import_events(tmp_path / "all.jsonl", there, decode)
    assert await everything(there) == []
    await there.let_go("steward", "a process")

    async def tell(done: int, total: int) -> None:
        held.append(await there.hold("relay", "a process", 1))
        if held[-1]:  # while the file was only checked
            await there.let_go("relay", "a process")

    held: list[bool] = []
    await import_events(tmp_path / "all.jsonl", there, decode, tell)
    assert held[-1] is False
    assert await there.hold("relay", "a process", 1)


async def test_somebody_writes_meanwhile(new_log: NewLog, tmp_path: Path) -> None:
    """A command that is taken in the middle of an import ends it: positions would no longer be the same."""
    there = await new_log("there")
    await exported(await new_log("here", EVENTS), tmp_path / "all.jsonl")

    async def tell(done: int, total: int) -> None:
        if len(await everything(there)) == 7:
            await grow(there, 100, 100)

    with pytest.raises(AtWork) as raised:
        await import_events(tmp_path / "all.jsonl", there, decode, tell)
    assert raised.value.position == 8
    await unchanged(there, DoesNotFit, tmp_path / "all.jsonl")


async def test_a_damaged_log_is_not_exported(new_log: NewLog, tmp_path: Path) -> None:
    """A hole, or a record that was altered, is found on the way out, and no file is left that seems to be one."""
    for damage, position in (
        ("DELETE FROM events WHERE position = 20", 20),
        ("UPDATE events SET actor = 'agent/x' WHERE position = 30", 30),
    ):
        store = await new_log(f"damaged-{position}", EVENTS)
        writer: Any = store
        for trigger in ("events_keep_delete", "events_keep_update"):
            await writer._written(f"DROP TRIGGER IF EXISTS {trigger}", ())
        await writer._written(damage, ())
        with pytest.raises(LogDamaged) as raised:
            await exported(store, tmp_path / "all.jsonl")
        assert raised.value.position == position
    assert not [name for name in os.listdir(tmp_path) if "all" in name]


async def test_nothing_is_overwritten(new_log: NewLog, tmp_path: Path) -> None:
    """A file that is there stays; where there is nothing to write, or it was called off, none comes into being."""
    here = await new_log("here", 5)
    (tmp_path / "there.jsonl").write_text("mine")
    with pytest.raises(FileExistsError):
        await exported(here, tmp_path / "there.jsonl")
    for error, asked in ((NothingChosen, {"order": "nobody"}), (NoSuchRange, {"first": 6})):
        with pytest.raises(error):
            await exported(here, tmp_path / "none.jsonl", **asked)
    with pytest.raises(NothingChosen):
        await exported(await new_log("empty"), tmp_path / "none.jsonl")

    async def tell(done: int, total: int) -> None:
        raise CalledOff

    with pytest.raises(CalledOff):
        await export(here, "cases", Selection(), tmp_path / "none.parquet", "parquet", tell)
    assert (tmp_path / "there.jsonl").read_text() == "mine"
    assert not [name for name in os.listdir(tmp_path) if "none" in name]


async def test_live_data_may_go_on(new_log: NewLog, tmp_path: Path) -> None:
    """What is committed while a file is written is left out, also of what was heard: the file is of one moment."""
    here, there = await new_log("here", EVENTS), await new_log("there")
    before = await inbox(here)

    async def tell(done: int, total: int) -> None:
        head = await here.head_position()
        await grow(here, head + 1, head + 3)

    manifest = await export(here, "cases", Selection(), tmp_path / "all.jsonl", "jsonl", tell)
    await import_events(tmp_path / "all.jsonl", there, decode)
    assert (manifest.last, await inbox(there)) == (EVENTS, before)

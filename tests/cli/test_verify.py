"""`aftersales verify`, as an operator and an auditor use it."""

import asyncio
import shutil
import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from contracts.events.cases import EvidenceSubmitted
from contracts.registry import decode
from services.catalogue import SERVICES
from services.kernel.event_store import Append, Commit
from services.kernel.settings import load_settings
from services.kernel.stores import open_store
from services.stack.databases import Databases
from services.stack.postgres import PostgresCluster
from tests.cli.parked import migrated
from tests.cli.terminal import Server, Told, aftersales
from tests.kernel.store_contract import append
from tests.kernel.toy import toy_record
from tests.transfer.receiver import SECRET
from tests.unreachable import PLACE, nobody_answers


def written(folder: Path, service: str, commits: Sequence[Commit]) -> None:
    """Append to a service's log in a data folder."""
    grown(load_settings({}, data_dir=str(folder)).database_of(service), commits)


def grown(database_url: str, commits: Sequence[Commit]) -> None:
    """Append to the log of a database."""

    async def write() -> None:
        store = open_store(database_url, decode)
        outcomes = await store.commit(commits)
        assert not [one for one in outcomes if isinstance(one, Exception)]
        await store.close()

    asyncio.run(write())


def tampered(folder: Path, sql: str, service: str = "cases") -> None:
    """As the owner of a database may."""
    with closing(sqlite3.connect(folder / f"{service}.db", isolation_level=None)) as database:
        database.execute("DROP TRIGGER IF EXISTS events_keep_update")
        database.execute("DROP TRIGGER IF EXISTS events_keep_delete")
        database.execute(sql)


@pytest.fixture
def data(folder: Path) -> Path:
    """Logs with ten orders of three events in cases, and one in refunds."""
    folder.mkdir()
    migrated(folder)
    written(folder, "cases", [append(f"TB{n}", 0, *"abc") for n in range(10)])
    written(folder, "refunds", [append("TB0", 0, "a")])
    return folder


def verified(folder: Path, *arguments: str) -> Told:
    return aftersales("verify", *arguments, "--data-dir", str(folder), "--lang", "en")


def test_a_live_shop(shop: Server) -> None:
    """All logs, an order and the photos are proven while the service runs."""
    told = verified(shop.data_dir, "--photos", "--json")
    assert told.status == 0, told.err
    assert told.json["holds"]
    assert [one["service"] for one in told.json["services"]] == list(SERVICES)
    assert all(one["records"] == one["position"] > 0 for one in told.json["services"])
    assert told.json["services"][0]["photos"] == {"files": 0, "damaged": 0, "first": [], "away": None}
    assert [one["broken"] for one in verified(shop.data_dir, "--order", "TB1001", "--json").json["services"]] == [
        *(None, None, None, None)
    ]


def test_it_is_told_in_words(data: Path) -> None:
    """What was checked and up to where, in the reader's language."""
    told = verified(data)
    assert told.status == 0
    assert "✓ cases up to position 30: 30 events of 10 streams as written" in told.out
    assert "✓ refunds up to position 1: 1 event of 1 stream as written" in told.out
    told = aftersales("verify", "cases", "--data-dir", str(data), "--lang", "zh")
    assert "✓ cases 至位置 30,10 个流的 30 条事件与写入时一致" in told.out
    assert "refunds" not in told.out


def test_what_was_altered_is_named(data: Path) -> None:
    """Stream, version, position, the reason in both languages, and what to do; the status says so too."""
    tampered(data, "UPDATE events SET actor = 'agent/other' WHERE position = 8")
    told = verified(data)
    assert told.status == 1
    assert "✗ cases stream TB2 version 2 (position 8): record does not fit its hash" in told.out
    assert "restore a backup" in told.out
    assert "✓ refunds" in told.out
    told = verified(data, "cases", "--json")
    assert (told.status, told.json["holds"]) == (1, False)
    broken = told.json["services"][0]["broken"]
    assert (broken["stream"], broken["version"], broken["position"], broken["kind"]) == ("TB2", 2, 8, "altered")
    assert broken["zh"]
    assert verified(data, "--order", "TB2").status == 1
    assert verified(data, "--order", "TB3").status == 0
    assert verified(data, "cases", "--from", "9", "--to", "9").status == 1
    assert verified(data, "cases", "--from", "10", "--to", "12").status == 0
    assert verified(data, "cases", "--to", "7").status == 0


def test_a_missing_event_is_named(data: Path) -> None:
    """An order that was taken out whole is missed by its positions."""
    tampered(data, "DELETE FROM events WHERE stream = 'TB2'")
    tampered(data, "DELETE FROM streams WHERE stream = 'TB2'")
    told = verified(data, "cases")
    assert told.status == 1
    assert "✗ cases position 7: no record stands at this position" in told.out


def test_a_log_with_a_hole_is_neither_exported_nor_sent(data: Path, tmp_path: Path) -> None:
    """It is said where an event is missing and how to find out more; no file comes into being."""
    tampered(data, "DELETE FROM events WHERE position = 8")
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    for command in (
        ("export", "cases", str(tmp_path / "cases.jsonl")),
        ("resend", "cases", "--all", "--dry-run", "--url", "http://127.0.0.1:1", "--secret-file", str(secret)),
    ):
        told = aftersales("events", *command, "--data-dir", str(data))
        told.must_fail(1, "damaged at #8", "Nothing was written or sent", "aftersales verify cases")
    assert list(tmp_path.glob("cases*")) == []


def test_several_processes(data: Path) -> None:
    """They say what one says."""
    one, two = (verified(data, "cases", "--workers", number, "--json") for number in ("1", "2"))
    assert (two.status, two.json) == (0, one.json)


def test_a_checkpoint_is_checked_later(data: Path, tmp_path: Path) -> None:
    """Kept outside, it holds while the log grows, with the public key alone; it shows an order that was taken out and
    the positions closed up, and a log that was cut short."""
    outside = tmp_path / "outside"
    told = verified(data, "--checkpoint", str(outside), "--json")
    assert told.status == 0
    [file] = outside.glob("cases-*-30.json")
    assert str(file) in {one["checkpoint"] for one in told.json["services"]}
    assert len([*outside.iterdir()]) == len(SERVICES) + 1
    written(data, "cases", [append("TB3", 3, "d"), append("TB99", 0, *"abc")])
    (data / "proof.key").unlink()
    against = ("--against", str(file), "--public-key", str(outside / "public.pem"))
    told = verified(data, *against, "--json")
    assert (told.status, [one["service"] for one in told.json["services"]]) == (0, ["cases"])
    assert told.json["services"][0]["position"] == 34
    before = shutil.copytree(data, tmp_path / "before")
    for table in ("events", "streams"):
        tampered(data, f"DELETE FROM {table} WHERE stream = 'TB2'")
    tampered(data, "UPDATE events SET position = position - 3 WHERE position > 9")
    assert verified(data, "cases").status == 0
    told = verified(data, *against)
    assert told.status == 1
    assert "position 30: the streams as of this position are not those of the checkpoint" in told.out
    tampered(before, "DELETE FROM events WHERE stream >= 'TB2'")
    tampered(before, "DELETE FROM streams WHERE stream >= 'TB2'")
    told = verified(before, *against)
    assert told.status == 1
    assert "position 7: the log ends before the checkpoint" in told.out


def test_nothing_broken_is_signed(data: Path, tmp_path: Path) -> None:
    """A log that does not hold gets no checkpoint."""
    tampered(data, "UPDATE events SET actor = 'agent/other' WHERE position = 8")
    told = verified(data, "--checkpoint", str(tmp_path / "outside"))
    assert told.status == 1
    assert not [*(tmp_path / "outside").glob("cases*")]


def test_it_goes_on_where_it_was_left(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was proven before a break is not read again once that is mended; the last run leaves nothing behind."""
    monkeypatch.setattr("services.kernel.proof.proving.SPAN_STREAMS", 2)
    state = tmp_path / "state"
    original = data / "cases.db"
    kept = shutil.copy(original, tmp_path / "kept.db")
    tampered(data, "UPDATE events SET actor = 'agent/other' WHERE stream = 'TB5'")
    assert verified(data, "cases", "--resume", str(state)).status == 1
    assert [one.name for one in state.iterdir()] == ["cases.proof"]
    verified(data, "cases", "--resume", str(state), "--to", "20").must_fail(2, "cases.proof", "30", "begin anew")
    shutil.copy(kept, original)
    told = verified(data, "cases", "--resume", str(state), "--json")
    assert (told.status, told.json["services"][0]["records"]) == (0, 30)
    assert told.json["services"][0]["root"] == verified(data, "cases", "--json").json["services"][0]["root"]
    assert not [*state.iterdir()]
    (state / "cases.proof").write_text("forged")
    verified(data, "cases", "--resume", str(state)).must_fail(2, "cases.proof", "--resume")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cases", "--from", "9", "--to", "8"), "positions 1 to 30"),
        (("cases", "--from", "31"), "positions 1 to 30"),
        (("cases", "--to", "31"), "positions 1 to 30"),
        (("cases", "--from", "0"), "positions 1 to 30"),
        (("cases", "--to", "0"), "positions 1 to 30"),
        (("--from", "3"), "one named"),
        (("cases", "refunds", "--to", "3"), "one named"),
        (("--order", "TB1", "--from", "3"), "--order, --from do not go together"),
        (("--order", "TB1", "--checkpoint", "x"), "--order, --checkpoint do not go together"),
        (("--order", "TB1", "--photos"), "--photos, --order do not go together"),
        (("refunds", "--photos"), "--photos, refunds do not go together"),
        (("cases", "--from", "1", "--resume", "x"), "--from, --resume do not go together"),
        (("nowhere",), "cases, refunds, liability"),
        (("--against", "nowhere.json"), "proof.key: No such file"),
    ],
)
def test_what_cannot_be_asked(data: Path, arguments: Sequence[str], said: str) -> None:
    """It is told which option is wrong and what there is; nothing is made."""
    before = sorted(data.iterdir())
    verified(data, *arguments).must_fail(2, said)
    assert sorted(data.iterdir()) == before
    assert not Path("x").exists()


def test_an_order_that_is_not_there(data: Path) -> None:
    """Nobody takes an order number with a slip of the pen for proven."""
    verified(data, "--order", "TB77").must_fail(2, "There is no order TB77 in cases, refunds, liability")


def test_a_checkpoint_that_was_altered(data: Path, tmp_path: Path) -> None:
    """The file is named, and how to name another key; a checkpoint of another service is not passed over."""
    assert verified(data, "--checkpoint", str(tmp_path)).status == 0
    [file] = tmp_path.glob("cases-*.json")
    verified(data, "refunds", "--against", str(file)).must_fail(2, "--against, cases, refunds do not go together")
    document = msgspec.json.decode(file.read_bytes())
    file.write_bytes(msgspec.json.encode(document | {"position": 29}))
    verified(data, "--against", str(file)).must_fail(2, str(file), "--public-key")
    (data / "proof.key").write_text("scribble")
    verified(data, "--against", str(file)).must_fail(2, "proof.key", "public key")
    verified(data, "--checkpoint", str(tmp_path)).must_fail(2, "proof.key", "private key")


def test_on_postgresql(postgres: PostgresCluster, tmp_path: Path) -> None:
    """Databases of a server are proven too, by several processes, and against a checkpoint that was kept outside; what
    their owner altered is named, also where positions were numbered anew. The data folder holds nothing but the key.
    """
    databases = Databases(postgres.url(), f"{uuid.uuid4().hex[:8]}_")
    environ = {"DATABASE_URL": databases.url, "DATA_DIR": str(tmp_path / "data"), "LANG": "en"}

    async def prepare() -> None:
        await databases.make()
        await databases.migrate(tmp_path)

    asyncio.run(prepare())
    try:
        log = databases.url.replace("{service}", "cases")
        grown(log, [append(f"TB{n}", 0, *"abc") for n in range(10)])
        told = aftersales("verify", "--workers", "2", "--checkpoint", str(tmp_path / "kept"), "--lang", "en", **environ)
        assert told.status == 0, told.err
        assert "✓ cases up to position 30: 30 events of 10 streams as written" in told.out
        assert "✓ liability up to position 0" in told.out
        assert [one.name for one in (tmp_path / "data").iterdir()] == ["proof.key"]
        grown(log, [append("TB1", 3, "d")])
        [kept] = (tmp_path / "kept").glob("cases-*.json")
        assert aftersales("verify", "--against", str(kept), **environ).status == 0
        database = databases.name_of("cases")
        postgres.execute("DROP TRIGGER events_keep ON events", database)
        postgres.execute("UPDATE events SET actor = 'agent/other' WHERE position = 8", database)
        told = aftersales("verify", "cases", "--json", **environ)
        assert (told.status, told.json["services"][0]["broken"]["position"]) == (1, 8)
        assert aftersales("verify", "cases", "--order", "TB2", **environ).status == 1
        assert aftersales("verify", "cases", "--order", "TB3", **environ).status == 0
        postgres.execute("DELETE FROM events WHERE stream = 'TB2'", database)
        postgres.execute("DELETE FROM streams WHERE stream = 'TB2'", database)
        told = aftersales("verify", "cases", "--lang", "en", **environ)
        assert "✗ cases position 7: no record stands at this position" in told.out
        postgres.execute("UPDATE events SET position = position - 3 WHERE position > 9", database)
        assert aftersales("verify", "cases", **environ).status == 0, "nothing but a checkpoint shows this"
        told = aftersales("verify", "--against", str(kept), "--lang", "en", **environ)
        assert told.status == 1
        assert "the log ends before the checkpoint" in told.out
    finally:
        asyncio.run(databases.drop())


@pytest.fixture
def photo(data: Path) -> None:
    """An event that names a photo, which is nowhere."""
    event = EvidenceSubmitted(
        case_id="TB1-1", evidence="E1", kind="photo", sha256="ab" * 32, media_type="image/png", size_bytes=1
    )
    written(data, "cases", [Commit(appends=(Append("TB1", 3, [toy_record("e1", event, source="cases")]),))])


@pytest.mark.usefixtures("photo")
def test_photos_that_cannot_be_reached(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object store that does not answer is named with the reason, and is no proof; the log is proven all the same.
    A place that is none is told before anything is walked."""
    nobody_answers(monkeypatch)
    place = {"MEDIA_URL": PLACE}
    told = aftersales("verify", "cases", "--photos", "--data-dir", str(data), "--lang", "en", **place)
    assert told.status == 1
    assert "✓ cases up to position 31" in told.out
    assert "✗ 0 evidence files, 0 damaged" in told.out
    assert "s3://evidence/files, where evidence files are kept, cannot be reached" in told.out
    assert "AFTERSALES_MEDIA_URL" in told.out
    told = aftersales("verify", "cases", "--photos", "--data-dir", str(data), "--json", **place)
    assert (told.status, told.json["holds"]) == (1, False)
    assert told.json["services"][0]["photos"]["away"]["place"] == "s3://evidence/files"
    aftersales("verify", "cases", "--photos", "--data-dir", str(data), MEDIA_URL="ftp://there").must_fail(
        2, "ftp://there", "AFTERSALES_MEDIA_URL"
    )


@pytest.mark.usefixtures("photo")
def test_a_photo_that_is_gone(data: Path) -> None:
    """It is named with its case and evidence; the status says so too."""
    told = verified(data, "cases", "--photos")
    assert told.status == 1
    assert "✗ 1 evidence file, 1 damaged" in told.out
    assert f"TB1-1 E1 {'ab' * 32} the file is missing" in told.out
    told = verified(data, "cases", "--photos", "--json")
    assert (told.status, told.json["holds"], told.json["services"][0]["photos"]["damaged"]) == (1, False, 1)

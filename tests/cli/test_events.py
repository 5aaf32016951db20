"""`aftersales events`: looking at events, following them, moving them and sending them again."""

import asyncio
import gzip
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.catalogue import SERVICES
from services.cli.failure import NOT_LIKE_THIS, NOT_SO
from services.kernel.kafka.connection import Connection
from services.stack.kafka import KafkaCluster
from services.stack.postgres import PostgresCluster
from tests.cli.terminal import ROOT, Server, Told, aftersales
from tests.kernel.kafka import messages_in
from tests.transfer.receiver import SECRET, Receiver, receiving

WHO = ("--by", "小李", "--reason", "drill")


@pytest.fixture(scope="module")
def data(shop: Server) -> Path:
    """The data folder of a running server: one case, 20 yuan paid, and the supplier late."""
    return shop.data_dir


@pytest.fixture
def moved(data: Path, tmp_path: Path) -> Path:
    """A file with the log of cases."""
    aftersales("events", "export", "cases", str(tmp_path / "cases.jsonl"), "--data-dir", str(data), "--json")
    return tmp_path / "cases.jsonl"


def lines(told: Told) -> list[dict[str, Any]]:
    assert told.status == 0, told.err
    return [msgspec.json.decode(line) for line in told.out.splitlines()]


def listed(data: Path, *asked: str) -> list[dict[str, Any]]:
    return lines(aftersales("events", "list", *asked, "--data-dir", str(data), "--json"))


def test_list(data: Path) -> None:
    """Events are shown once each, as CloudEvents, in the order in which they happened, by what they are."""
    everything = listed(data)
    assert [one["time"] for one in everything] == sorted(one["time"] for one in everything)
    assert {one["service"] for one in everything} >= {"cases", "liability"}
    assert len({one["id"] for one in everything}) == len(everything)
    paid = listed(data, "--type", "compensation.paid", "--order", "TB1001")
    assert [(one["subject"], one["data"]["amount_fen"]) for one in paid] == [("TB1001-1", 2000)]
    assert listed(data, "cases", "--limit", "2") == [one for one in everything if one["service"] == "cases"][-2:]
    assert listed(data, "--case", "TB1001-1", "--party", "purchasing")
    assert listed(data, "--order", "nobody") == []
    assert len(listed(data, "cases", "--learned")) > len(listed(data, "cases"))
    assert [one["place"] for one in listed(data, "cases", "--from", "1", "--to", "1")] == ["#1"]
    assert listed(data, "--to", "2001-01-01") == []
    everything = listed(data, "cases")
    times = sorted(one["time"] for one in everything)
    assert listed(data, "cases", "--from", times[0][:10], "--to", times[-1][:10]) == everything
    first = [one for one in everything if one["time"] == times[0]]
    assert listed(data, "cases", "--from", times[0], "--to", times[0]) == first


def test_list_for_people(data: Path) -> None:
    """A person reads when, where, what and who in their language."""
    told = aftersales("events", "list", "--type", "compensation.paid", "--data-dir", str(data), "--lang", "zh")
    assert "TB1001-1" in told.out
    assert "客服 小李" in told.out
    assert "20.00" in told.out
    opened = aftersales("events", "list", "--type", "case.opened", "--data-dir", str(data), "--lang", "en")
    assert "[sealed]" in opened.out
    assert "sealed:1:" not in opened.out
    assert "sealed:1:" in msgspec.json.encode(listed(data, "--type", "case.opened")).decode()
    nothing = aftersales("events", "list", "--order", "nobody", "--data-dir", str(data), "--lang", "en")
    assert (nothing.out, nothing.err) == ("", "No event is like that.\n")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("list", "nobody"), "There is no service nobody"),
        (("list", "--type", "case.opend"), "case.opened"),
        (("list", "cases", "--from", "yesterday"), "--from"),
        (("list", "cases", "--from", "0"), "--from"),
        (("list", "cases", "--to", "99999999999999999999999"), "past the end"),
        (("list", "cases", "--from", "2026-10-05T10:00:00"), "+08:00"),
        (("list", "cases", "--from", "9", "--to", "3"), "turn them round"),
        (("list", "cases", "--from", "2026-10-05", "--to", "2026-10-01"), "turn them round"),
        (("list", "cases", "--to", "100000"), "past the end"),
        (("list", "--from", "3"), "SERVICE"),
        (("listen", "--via", "kafka"), "AFTERSALES_KAFKA_SERVERS"),
        (("listen", "--via", "kafka", "--from", "2026-10-05"), "--from"),
        (("listen", "--from", "3"), "SERVICE"),
        (("listen", "cases", "--from", "100000"), "past the end"),
        (("export", "cases", "x.jsonl", "--from", "100000"), "past the end"),
        (("export", "cases", "x.jsonl", "--order", "nobody"), "No event is like that"),
        (("export", "cases", "/nowhere/x.jsonl"), "/nowhere"),
        (("import", "/nowhere/x.jsonl", *WHO), "/nowhere"),
        (("resend", "cases"), "--all"),
        (("resend", "cases", "--all"), "--by"),
        (("resend", "cases", "--all", "--by", "小李"), "--reason"),
        (("resend", "cases", "--all", *WHO), "--topic or --url"),
        (("resend", "cases", "--all", *WHO, "--topic", "a", "--url", "http://b"), "--topic or --url"),
        (("resend", "cases", "--all", *WHO, "--topic", "a"), "AFTERSALES_KAFKA_SERVERS"),
        (("resend", "cases", "--all", *WHO, "--url", "ftp://b"), "http(s)"),
        (("resend", "cases", "--all", *WHO, "--url", "http://b"), "--secret-file"),
        (("resend", "cases", "--all", *WHO, "--url", "http://b", "--secret-file", "/etc/hostname"), "--secret-file"),
        (("resend", "cases", "--from", "100000", "--dry-run", "--url", "http://b"), "--secret-file"),
    ],
)
def test_bad_input(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, ...], said: str
) -> None:
    """Whatever is wrong is told in both languages, names what it is about, and no file comes into being."""
    monkeypatch.chdir(tmp_path)
    told = aftersales("events", *asked, "--data-dir", str(data))
    assert told.status in (NOT_SO, NOT_LIKE_THIS)
    told.must_fail(told.status, said)
    assert os.listdir(tmp_path) == []


def _listening(shop: Server, *asked: str) -> "subprocess.Popen[str]":
    command = (sys.executable, "-m", "services.cli", "events", "listen", *asked, "--data-dir", str(shop.data_dir))
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_listen(shop: Server) -> None:
    """What happens is shown as it happens, by filter, and Ctrl-C ends it without a word of complaint."""
    listening = _listening(shop, "--type", "case.assigned", "--lang", "en")
    assert listening.stderr
    assert "listening" in listening.stderr.readline()
    shop.call("/v1/cases/TB1001-1/trace-parcel", {}, "agent")
    assert "events" in shop.call("/v1/cases/TB1001-1/assign-case", {"to": "agent/小王"}, "team_lead")
    assert listening.stdout
    heard = listening.stdout.readline()
    assert "TB1001-1" in heard
    assert "小王" in heard
    listening.send_signal(signal.SIGINT)
    out, err = listening.communicate(timeout=30)
    assert (listening.returncode, out, err) == (0, "", "")


def test_listen_from_a_moment_on(shop: Server, data: Path) -> None:
    """What happened since a position or a day is shown first, each event once, and then what happens."""
    happened = listed(data, "cases", "--type", "case.assigned")
    everything = listed(data, "cases")
    third = everything[2]["place"].removeprefix("#")
    for begin, expected in ((third, everything[2:]), (everything[0]["time"][:10], everything)):
        listening = _listening(shop, "cases", "--from", begin, "--json")
        assert listening.stdout
        assert [msgspec.json.decode(listening.stdout.readline()) for _ in expected] == expected
        shop.call("/v1/cases/TB1001-1/assign-case", {"to": f"agent/小{begin}"}, "team_lead")
        [assigned] = listed(data, "cases", "--limit", "1")
        assert msgspec.json.decode(listening.stdout.readline()) == assigned
        assert assigned not in happened
        everything.append(assigned)
        listening.send_signal(signal.SIGINT)
        listening.communicate(timeout=30)


def test_move(data: Path, moved: Path, folder: Path) -> None:
    """A log is exported while its server runs, looked at, imported into an empty folder and verified there."""
    told = aftersales("events", "import", str(moved), "--dry-run", "--data-dir", str(folder), "--json")
    assert (told.status, told.json["added"] > 0, folder.exists()) == (0, True, False)
    done = aftersales("events", "import", str(moved), *WHO, "--data-dir", str(folder), "--json")
    assert done.json["root"] == done.json["manifest"]["root"]
    assert done.err == ""
    assert listed(folder, "cases", "--learned") == listed(data, "cases", "--learned")
    assert aftersales("verify", "cases", "--data-dir", str(folder)).status == 0
    again = aftersales("events", "import", str(moved), *WHO, "--data-dir", str(folder))
    assert "0" in again.out.split("imported")[1]
    assert "drill" in again.err


def test_move_for_people(data: Path, tmp_path: Path, folder: Path) -> None:
    """A person is told what is in a file, and that a part of a history is not all of it."""
    file = tmp_path / "part.parquet"
    told = aftersales("events", "export", "cases", str(file), "--to", "3", "--data-dir", str(data))
    assert "1–3" in told.out
    looked = aftersales("events", "import", str(file), "--dry-run", "--data-dir", str(folder))
    assert "nothing was changed" in looked.out
    done = aftersales("events", "import", str(file), *WHO, "--data-dir", str(folder))
    assert "do not start the service" in done.out
    later = tmp_path / "later.jsonl"
    aftersales("events", "export", "cases", str(later), "--from", "6", "--data-dir", str(data))
    refused = aftersales("events", "import", str(later), *WHO, "--data-dir", str(folder))
    refused.must_fail(NOT_SO, "Import 4 to 5 first")


def test_files_that_are_refused(data: Path, moved: Path, tmp_path: Path, folder: Path) -> None:
    """A file that was cut, altered, overwritten or is another's is refused, and there is no data folder then."""
    content = moved.read_bytes()
    (tmp_path / "cut.jsonl").write_bytes(content[: len(content) // 2])
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(content)[:-20])
    (tmp_path / "altered.jsonl").write_bytes(content.replace(b"2000", b"9000"))
    (tmp_path / "other.jsonl").write_bytes(b"hello\n")
    aftersales("events", "export", "cases", str(tmp_path / "some.jsonl"), "--order", "TB1001", "--data-dir", str(data))
    (tmp_path / "nobody.jsonl").write_bytes(content.replace(b'"service":"cases"', b'"service":"nobody"'))
    for name, said in (
        ("cut.jsonl", "was cut short"),
        ("cut.jsonl.gz", "was cut short"),
        ("altered.jsonl", "was altered"),
        ("other.jsonl", "was not made by"),
        ("some.jsonl", "holds a selection"),
        ("nobody.jsonl", "no such service"),
    ):
        for how in (("--dry-run",), WHO):
            told = aftersales("events", "import", str(tmp_path / name), *how, "--data-dir", str(folder))
            told.must_fail(told.status, said)
            assert told.status in (NOT_SO, NOT_LIKE_THIS)
    assert not (folder / "cases.db").exists() or listed(folder, "cases") == []
    overwritten = aftersales("events", "export", "cases", str(moved), "--data-dir", str(data))
    overwritten.must_fail(NOT_LIKE_THIS, "not overwritten")
    assert moved.read_bytes() == content


def test_import_where_it_does_not_belong(shop: Server, moved: Path, tmp_path: Path) -> None:
    """Nothing is imported into a folder that is served, nor into another history; nobody does it without a name."""
    served = aftersales("events", "import", str(moved), *WHO, "--data-dir", str(shop.data_dir))
    served.must_fail(NOT_LIKE_THIS, "serves cases")
    nobody = aftersales("events", "import", str(moved), "--reason", "drill", "--data-dir", str(tmp_path))
    nobody.must_fail(NOT_LIKE_THIS, "--by")
    with Server(tmp_path / "another", DRAIN_SECONDS="0") as another:
        another.call("/v1/stock/LOCK-A1", {"quantity": 3}, "warehouse")
        another.stop()
    other = aftersales("events", "import", str(moved), *WHO, "--data-dir", str(tmp_path / "another"))
    other.must_fail(NOT_SO, "another history")


def test_parquet_is_an_extra(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Parquet was not installed it is said how to, and everything else works."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "services.transfer.parquet", raising=False)
    told = aftersales("events", "export", "cases", str(tmp_path / "a.parquet"), "--data-dir", str(data))
    told.must_fail(NOT_LIKE_THIS, "aftersales[parquet]")
    assert os.listdir(tmp_path) == []


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An endpoint that takes events, in a thread of its own."""
    ready, over = threading.Event(), asyncio.Event()
    held: list[Any] = []

    async def serve() -> None:
        async with receiving() as one:
            held.extend((one, asyncio.get_running_loop()))
            ready.set()
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    yield held[0]
    held[1].call_soon_threadsafe(over.set)
    thread.join()


def test_resend_to_an_endpoint(data: Path, tmp_path: Path, receiver: Receiver) -> None:
    """A dry run says how many and which, then they are sent, marked with an operation that the log names too."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    asked = ("events", "resend", "cases", "--case", "TB1001-1", "--url", receiver.url, "--secret-file", str(secret))
    looked = aftersales(*asked, "--dry-run", "--data-dir", str(data), "--json").json
    assert (receiver.taken, looked["dry_run"], looked["events"] > 3) == ([], True, True)
    told = aftersales(*asked, *WHO, "--data-dir", str(data), "--json")
    sent = told.json
    assert {**sent, "replay": ""} == {**looked, "dry_run": False}
    assert [one["id"] for one in receiver.taken] == [one["id"] for one in listed(data, "cases", "--case", "TB1001-1")]
    assert {one["replay"] for one in receiver.taken} == {sent["replay"]}
    assert "resent" in told.err
    assert sent["replay"] in told.err
    receiver.answers = [410]
    refused = aftersales(*asked, *WHO, "--data-dir", str(data))
    refused.must_fail(NOT_SO, "410")
    people = aftersales(*asked, *WHO, "--data-dir", str(data))
    assert "ce_replay" in people.out


def test_resend_to_topics(moved: Path, postgres: PostgresCluster, kafka: KafkaCluster) -> None:
    """A live topic needs the explicit word and takes nothing that was not published; another's takes nothing at all."""
    for service in SERVICES:
        postgres.create_database(f"events_{service}")
    environ = {
        "DATABASE_URL": postgres.url("events_cases").replace("events_cases", "events_{service}"),
        "KAFKA_SERVERS": kafka.servers,
        "KAFKA_PREFIX": "events-",
    }
    unready = aftersales("events", "import", str(moved), *WHO, **environ)
    unready.must_fail(NOT_LIKE_THIS, "aftersales migrate cases")
    assert aftersales("migrate", "cases", **environ).status == 0
    assert aftersales("events", "import", str(moved), *WHO, **environ).status == 0
    assert aftersales("topics", "ensure", **environ).status == 0
    resend = ("events", "resend", "cases", "--all", *WHO, "--topic")
    aftersales(*resend, "events-aftersales.cases.v1", **environ).must_fail(NOT_LIKE_THIS, "--into-live-topic")
    live = aftersales(*resend, "events-aftersales.cases.v1", "--into-live-topic", **environ)
    live.must_fail(NOT_LIKE_THIS, "--to 0")
    aftersales(*resend, "events-aftersales.refunds.v1", **environ).must_fail(NOT_LIKE_THIS, "topic of refunds")
    aftersales(*resend, "events-nowhere", **environ).must_fail(NOT_LIKE_THIS, "no topic events-nowhere")
    connection = Connection(servers=kafka.servers, prefix="events-")
    for service in ("cases", "refunds"):
        assert asyncio.run(messages_in(connection, f"events-aftersales.{service}.v1")) == []


def test_no_data(folder: Path) -> None:
    """Where there is no data it is said where it is looked for."""
    for asked in (("list",), ("listen",), ("export", "cases", "x.jsonl")):
        told = aftersales("events", *asked, "--data-dir", str(folder))
        told.must_fail(NOT_LIKE_THIS, "--data-dir")

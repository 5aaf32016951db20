"""Long work at the command line: what is told of it, and steering what runs elsewhere."""

import asyncio
import re
import shutil
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.registry import decode
from services.catalogue import SERVICES
from services.kernel.clock import SystemClock
from services.kernel.naming import stream_of_operation
from services.kernel.operations import Desk, Operation, Ticket, new_operation_id
from services.kernel.settings import load_settings
from services.kernel.shop_time import SHOP_TIME
from services.kernel.stores import open_store
from services.transfer import replay
from tests.cli.terminal import Server, Told, aftersales, until
from tests.transfer.receiver import SECRET, receiving

BY = ("--by", "王敏", "--reason", "a test")


class Books:
    """A data folder at rest, and the operations on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = load_settings({}, data_dir=folder)

    def run(self, *arguments: str) -> Told:
        return aftersales(*arguments, "--data-dir", str(self.folder))

    def operations(self, *arguments: str) -> Told:
        return self.run("operations", *arguments)

    def at_desk(self, work: Callable[[Desk], Awaitable[Any]], service: str = "cases") -> Any:
        async def run() -> Any:
            store = open_store(self.settings.database_of(service), decode, readers=1)
            try:
                return await work(Desk(store, service, SystemClock()))
            finally:
                await store.close()

        return asyncio.run(run())

    def started(self, kind: str = "verify", **options: Any) -> Ticket:
        """An operation that somebody is at work on, it seems."""
        return self.at_desk(lambda desk: desk.start(kind, options, "operator/李雷", "month's end"))  # type: ignore[no-any-return]

    def let_go(self, ticket: Ticket) -> None:
        self.at_desk(lambda desk: desk.let_go(ticket))

    def known(self, operation: str) -> Operation:
        return self.at_desk(lambda desk: desk.show(operation))  # type: ignore[no-any-return]

    def types(self, operation: str) -> list[str]:
        records = self.at_desk(lambda desk: desk.store.read_stream(stream_of_operation(operation)))
        return [record.type.removeprefix("operation.") for record in records]

    def newest(self, service: str = "cases") -> Operation:
        [name] = self.at_desk(lambda desk: desk.names(limit=1), service)
        return self.at_desk(lambda desk: desk.show(name), service)  # type: ignore[no-any-return]


@pytest.fixture
def books(shop: Server, tmp_path: Path) -> Books:
    """A copy of the shop's data folder."""
    return Books(shutil.copytree(shop.data_dir, tmp_path / "data"))


def test_operations_of_all_services_are_listed(books: Books) -> None:
    """Newest first; people read states and reasons in their language, machines get every field."""
    assert "没有运维操作" in books.operations("list", "--lang", "zh").out
    first = books.started()
    second = books.at_desk(lambda desk: desk.done("rewind", {}, "operator/王敏", "read again", {}), "refunds")
    told = books.operations("list", "--json").json["operations"]
    assert [one["id"] for one in told] == [second, first.operation]
    assert [(one["state"], one["by"], one["reason"]) for one in told] == [
        ("finished", "operator/王敏", "read again"),
        ("running", "operator/李雷", "month's end"),
    ]
    out = books.operations("list", "--lang", "en").out
    assert "running" in out
    assert "operator 李雷" in out
    assert "进行中" in books.operations("list", "--lang", "zh").out
    assert len(books.operations("list", "--json", "--kind", "rewind").json["operations"]) == 1
    assert len(books.operations("list", "--json", "--state", "running", "--service", "cases").json["operations"]) == 1
    assert not books.operations("list", "--json", "--service", "liability").json["operations"]


def test_a_list_says_when_and_what(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its time at the shop; what dropped a rebuild is not taken for one that built."""
    books.at_desk(
        lambda desk: desk.done("rebuild", {"tables": ["case_view"], "discard": True}, "operator/王敏", "x", {})
    )
    known = books.newest()
    monkeypatch.setenv("COLUMNS", "200")
    told = books.run("operations", "list", "--lang", "en").out
    assert "rebuild (discard)" in told
    assert known.started_at.astimezone(SHOP_TIME).strftime("%Y-%m-%d %H:%M:%S") in told
    assert "rebuild (丢弃) · cases" in books.operations("show", known.id, "--lang", "zh").out


def test_why_it_went_on_is_kept_to_its_end(books: Books) -> None:
    """What ended by itself has no reason of its own: the last one that somebody gave is shown."""
    ticket = books.started()
    books.let_go(ticket)
    told = books.operations("resume", ticket.operation, "--by", "王敏", "--reason", "go", "--lang", "en").out
    assert "last  operator 王敏 go" in told
    assert books.known(ticket.operation).state == "finished"


def test_a_what_if_that_goes_on_reports_as_it_would_have(books: Books) -> None:
    """Whoever resumes it reads the report, and where the file is, not a dump of its figures."""
    ticket = books.started("what_if", policy={})
    books.let_go(ticket)
    told = books.operations("resume", ticket.operation, *BY, "--lang", "en").out
    assert "nothing would differ" in told
    assert f'file="{ticket.operation}.json"' in told
    assert "difference_fen" not in told
    file = books.folder / "operations" / f"{ticket.operation}.json"
    file.write_bytes(b"{}")
    assert books.operations("show", ticket.operation).status == 0


def test_an_operation_is_held_up_and_called_off(books: Books) -> None:
    """From the command line, whoever is at work: each change is told with its name and reason."""
    operation = books.started().operation
    assert books.operations("pause", operation, *BY).status == 0
    assert "已暂停" in books.operations("show", operation, "--lang", "zh").out
    told = books.operations("resume", operation, *BY, "--json").json
    assert (told["state"], told["by_last"], told["reason_last"]) == ("running", "operator/王敏", "a test")
    assert books.operations("cancel", operation, *BY, "--json").json["state"] == "cancelled"
    assert books.types(operation) == ["started", "paused", "resumed", "cancelled"]


def test_what_was_interrupted_goes_on_here(books: Books) -> None:
    """Whoever resumes it does the work in front of them, by the options that were given at first."""
    ticket = books.started(photos=True)
    books.let_go(ticket)
    assert books.known(ticket.operation).state == "interrupted"
    told = books.operations("resume", ticket.operation, *BY, "--json")
    assert told.status == 0, told.out
    assert (told.json["state"], told.json["outcome"]["holds"]) == ("finished", True)
    assert told.json["outcome"]["photos"] == {"files": 0, "damaged": 0}
    assert books.types(ticket.operation) == ["started", "resumed", "finished"]


def test_what_fails_when_it_goes_on_says_so(books: Books) -> None:
    """Status 1, and the reason in words."""
    ticket = books.started(last=10_000)
    books.let_go(ticket)
    told = books.operations("resume", ticket.operation, *BY, "--lang", "en")
    assert told.status == 1
    assert "The log has positions 1 to" in told.out


def test_what_cannot_go_on_is_left_as_it_is(books: Books) -> None:
    """Options of a command that only it knows are named, and nothing is written."""
    ticket = books.started(against=["x.json"])
    books.let_go(ticket)
    books.operations("resume", ticket.operation, *BY).must_fail(1, "verify (against)", "Give that command again.")
    other = books.started("juggle")
    books.let_go(other)
    books.operations("resume", other.operation, *BY).must_fail(1, "juggle")
    to_topic = books.started("resend", topic="copy", everything=True)
    books.let_go(to_topic)
    books.operations("resume", to_topic.operation, *BY).must_fail(2, "AFTERSALES_KAFKA_SERVERS")
    assert books.types(ticket.operation) == books.types(other.operation) == ["started"]


def test_bad_input_is_refused(books: Books) -> None:
    """Nobody named, no reason, no such operation, a state that does not allow it: each says what to do."""
    operation = books.started().operation
    books.operations("pause", operation, "--reason", "x").must_fail(2, "--by")
    books.operations("pause", operation, "--by", "王敏").must_fail(2, "--reason")
    books.operations("pause", operation, "--by", "a\nb", "--reason", "x").must_fail(2, "--by")
    books.operations("resume", operation, *BY).must_fail(1, "running")
    for unknown in (new_operation_id("cases", "verify"), "TB1001"):
        books.operations("show", unknown).must_fail(1, unknown)
        books.operations("cancel", unknown, *BY).must_fail(1, unknown)
    books.operations("list", "--state", "asleep").must_fail(2, "--state", "paused")
    books.operations("list", "--service", "orders").must_fail(2, "orders")
    assert books.operations("show", "x", "--json").json["error"]["code"] == "unknown_operation"
    assert books.types(operation) == ["started"]


# -- commands that exist already


def test_whoever_verifies_and_examines_is_told_of(books: Books) -> None:
    """With a name, reading commands leave who looked, at what, why, and what they found, in the log they read."""
    told = books.run("verify", "cases", "liability", "--photos", *BY, "--json")
    assert told.status == 0, told.err
    for service, options in (("cases", {"photos": True}), ("liability", {})):
        known = books.newest(service)
        assert (known.kind, known.options, known.by, known.reason) == ("verify", options, "operator/王敏", "a test")
        assert (known.state, known.outcome["holds"]) == ("finished", True)
    assert books.run("doctor", "--check", "chains", *BY).status == 0
    known = books.newest()
    assert (known.kind, known.options) == ("doctor", {"checks": ["chains"], "services": [*SERVICES]})
    assert known.outcome["sound"]
    assert books.run("doctor").status == 0  # what was told changes nothing


def test_whoever_exports_is_told_of(books: Books, tmp_path: Path) -> None:
    """Events that left the installation: who took which, and what the file's digest is."""
    file = tmp_path / "out.jsonl"
    told = books.run("events", "export", "cases", str(file), "--order", "TB1001", *BY, "--json")
    assert told.status == 0, told.err
    known = books.newest()
    assert known.options == {"order": "TB1001", "format": "jsonl", "file": str(file)}
    assert known.outcome["sha256"] == told.json["manifest"]["sha256"]
    assert books.run("events", "export", "cases", str(file), *BY).status == 2
    known = books.newest()
    assert (known.state, known.trouble and known.trouble.code) == ("failed", "file_exists")


def test_whoever_resends_is_told_of(books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be sent says how far it came; the address is told, the secret is not."""
    monkeypatch.setattr(replay, "PAUSES", ())
    secret = tmp_path / "secret"
    secret.write_text(f"whsec_{'A' * 32}", encoding="ascii")
    to = ("--url", "http://me:hush@127.0.0.1:9/hook", "--secret-file", str(secret))
    assert books.run("events", "resend", "cases", "--all", *to, *BY).status == 1
    known = books.newest()
    assert (known.kind, known.state) == ("resend", "failed")
    assert known.options["everything"]
    told = msgspec.json.encode(known).decode()
    assert "127.0.0.1:9" in told
    assert "hush" not in told
    assert "AAAA" not in told
    books.run("events", "resend", "cases", "--all", *to, "--dry-run")
    assert books.newest().id == known.id


def test_an_order_that_is_not_there_is_not_resent(books: Books, tmp_path: Path) -> None:
    """A slip of the pen is refused and leaves no trace; events that are simply not there are remarked on."""
    secret = tmp_path / "secret"
    secret.write_text(f"whsec_{'A' * 32}", encoding="ascii")
    to = ("--url", "http://127.0.0.1:9/hook", "--secret-file", str(secret))
    for option, name in (("--order", "NOPE"), ("--case", "TB1001-9")):
        for how in (BY, ("--dry-run",)):
            books.run("events", "resend", "cases", option, name, *to, *how).must_fail(1, f"{name} in cases")
    assert not books.at_desk(lambda desk: desk.names())
    told = books.run("events", "resend", "cases", "--type", "case.closed", *to, *BY)
    assert told.status == 0, told.err
    assert "cases has no event of its own like that" in told.out


async def test_a_resending_that_is_broken_off_says_where_it_begins_anew(books: Books, tmp_path: Path) -> None:
    """Ctrl-C names the position from which nothing is left out, and no command that would be refused."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET, encoding="ascii")
    async with receiving() as receiver:
        to = ("--url", receiver.url, "--secret-file", str(secret), "--rate", "1")
        command = ("-m", "services.cli", "events", "resend", "cases", "--all", *to, *BY)
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, "--data-dir", str(books.folder), stdout=PIPE, stderr=PIPE
        )
        async with asyncio.timeout(60):
            while len(receiver.taken) < 2:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)  # the answer to the last one has arrived, and the next is not due
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        sent = len(receiver.taken)
        said = err.decode()
        assert "operations resume" not in said
        again = re.search(r"Give that command again with --from (\d+)", said)
        assert again, said

        def counted(*which: str) -> int:
            return int(books.run("events", "resend", "cases", *which, *to, "--dry-run", "--json").json["events"])

        assert sent + await asyncio.to_thread(counted, "--from", again[1]) == await asyncio.to_thread(counted, "--all")
        operation = (await asyncio.to_thread(books.newest)).id
        resumed = await asyncio.to_thread(books.operations, "resume", operation, *BY)
        resumed.must_fail(1, "resend (url)", f"--from {again[1]}")


def test_whoever_moves_a_checkpoint_is_told_of(books: Books) -> None:
    """At once, from where to where; a dry run and what moved nothing leave no trace."""
    rewind = ("rewind", "cases", "cases-hears-liability")
    assert books.run(*rewind, "--dry-run").status == 0
    assert not books.at_desk(lambda desk: desk.names())
    assert books.run(*rewind, *BY).status == 0
    known = books.newest()
    assert (known.kind, known.state, known.reason) == ("rewind", "finished", "a test")
    assert known.options == {"consumer": "cases-hears-liability", "to": 0}
    [move] = known.outcome["moves"]
    assert move["to"] == 0 < move["position"]
    books.run(*rewind, *BY)
    assert books.newest().id == known.id


def test_looking_without_a_name_leaves_no_trace(books: Books, tmp_path: Path) -> None:
    """Reading commands write nothing where nobody asks for it."""
    for command in (("verify",), ("doctor",), ("events", "export", "cases", str(tmp_path / "out.jsonl"))):
        assert books.run(*command).status == 0
    for service in SERVICES:
        assert not books.at_desk(lambda desk: desk.names(), service)


# -- commands that work long


@pytest.fixture
def begin(books: Books) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Begins a command that works long, and waits until it does."""
    begun: list[subprocess.Popen[str]] = []

    def run(by: str = "王敏") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.operations.commanded", str(books.folder), by]
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        assert begun[-1].stdout
        assert begun[-1].stdout.readline() == "counting\n"
        return begun[-1]

    yield run
    for one in begun:
        if one.poll() is None:
            one.kill()
        one.communicate()


def test_breaking_off_tells_how_to_go_on(books: Books, begin: Callable[..., subprocess.Popen[str]]) -> None:
    """Ctrl-C leaves an operation that is interrupted at once, and says which command takes it up."""
    process = begin()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    operation = books.newest()
    assert operation.state == "interrupted"
    assert f"aftersales operations resume {operation.id}" in said
    assert "已中断" in said
    assert books.operations("resume", operation.id, *BY, "--json").json["state"] == "finished"


def test_a_command_heeds_who_steers_it(books: Books, begin: Callable[..., subprocess.Popen[str]]) -> None:
    """What runs at one terminal is paused and called off from another."""
    process = begin()
    operation = books.newest().id
    assert books.operations("pause", operation, *BY).status == 0
    until(lambda: (one := books.known(operation).progress) and one.seconds_left is None, "it stands still")
    assert process.poll() is None
    assert books.operations("cancel", operation, *BY).status == 0
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "已被 operator/王敏 取消(a test)" in said
    assert "was cancelled by" in said
    assert books.types(operation) == ["started", "paused", "cancelled"]


def test_two_commands_do_not_do_the_same(books: Books, begin: Callable[..., subprocess.Popen[str]]) -> None:
    """The second is refused, and learns which operation is at work."""
    begin()
    operation = books.newest().id
    second = subprocess.run(
        [sys.executable, "-m", "tests.operations.commanded", str(books.folder), "李雷"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert operation in second.stderr
    assert books.newest().id == operation


def test_what_nobody_puts_a_name_to_is_no_operation(books: Books, begin: Callable[..., subprocess.Popen[str]]) -> None:
    """Looking costs no event: without --by the log stays as it is."""
    begin(by="")
    assert not books.at_desk(lambda desk: desk.names())


# -- a server's operations


@pytest.fixture
def serving(books: Books) -> Iterator[Server]:
    """A server, as a process of its own, on the copy."""
    with Server(books.folder, DRAIN_SECONDS="0") as server:
        yield server


def _started(server: Server, **changed: str) -> str:
    body = {"kind": "verify", "service": "cases", "reason": "a test", **changed}
    return str(server.call("/v1/operations", body)["id"])


def test_a_server_runs_what_is_steered_here(books: Books, serving: Server) -> None:
    """What was started over HTTP is seen, and steered, at the command line; Ctrl-C there leaves it to be resumed."""
    operation = _started(serving)
    until(lambda: books.known(operation).state == "finished", "it ends")
    operation = _started(serving, kind="doctor")
    assert books.operations("pause", operation, *BY).status == 0
    status, logged = serving.stop()
    assert (status, "Traceback" in logged) == (0, False)
    assert books.known(operation).state == "interrupted"
    assert books.operations("resume", operation, *BY, "--json").json["state"] == "finished"


def test_nothing_goes_on_when_a_server_is_killed(books: Books, serving: Server) -> None:
    """What it ran ends with it, and can be taken up at once."""
    operation = _started(serving)
    assert books.operations("pause", operation, *BY).status == 0
    serving.process.send_signal(signal.SIGKILL)
    serving.process.wait()
    until(lambda: books.known(operation).state == "interrupted", "nobody is at work on it")
    assert books.operations("resume", operation, *BY, "--json").json["state"] == "finished"

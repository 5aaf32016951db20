"""Dead letters at the command line: seen by cause, looked into, redriven and given up by name."""

from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from typer.testing import CliRunner

from services.cli.dlq import app
from services.kernel.kafka.message import Cause
from services.kernel.kafka.parking import BEHIND, DEAD, DISCARDED, FAILED, GAP, REDRIVEN, WAITING
from services.wording.dead_letters import CAUSES, STATES
from tests.cli.parked import ROOT, TOPIC, behind, early, left_behind, migrated, parked
from tests.cli.terminal import aftersales

EXAMPLE = ROOT / "contracts" / "examples" / "case.opened.v1.json"


def _run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def _json(*arguments: str) -> Any:
    done = _run(*arguments, "--json")
    return msgspec.json.decode(done.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A liability service that left #1 and #2 of an order behind, and #3 behind them."""
    left_behind(migrated(tmp_path, ["liability"]), parked(1), parked(2), behind(3))
    return tmp_path


def _options(folder: Path) -> tuple[str, ...]:
    return ("--service", "liability", "--data-dir", str(folder))


def test_listed_by_cause_and_one_by_one(folder: Path) -> None:
    """The list says why, how many and since when; with --all it names each."""
    [dead, behind] = _json("list", *_options(folder))["causes"]
    assert (dead["cause"], dead["messages"], dead["example"]["place"]) == ("invalid_body", 2, f"{TOPIC}/0/7")
    assert (behind["state"], behind["cause"]) == ("waiting", "behind")
    assert 7200 <= dead["oldest_seconds"] < 7300
    text = _run("list", *_options(folder)).stdout
    assert "invalid_body" in text
    assert "2.0 h" in text
    assert [one["sequence"] for one in _json("list", "--all", *_options(folder))["messages"]] == [1, 2, 3]
    assert "TB1" in _run("list", "--all", *_options(folder)).stdout


def test_shown_with_headers_and_body(folder: Path) -> None:
    """One message is shown whole, and whether this program could read it by now."""
    sheet = _json("show", f"{TOPIC}/0/7", *_options(folder))
    assert sheet["body"] == {"case_id": "TB1-1"}
    assert ["ce_sequence", "1"] in sheet["headers"]
    assert "missing required field" in sheet["readable"]
    text = _run("show", f"{TOPIC}/0/7", *_options(folder)).stdout
    assert '"case_id": "TB1-1"' in text
    assert "[odd]" in text


def test_redriving_says_first_what_it_would_do(folder: Path) -> None:
    """A dry run changes nothing and really tries them: it names what would still be unreadable, and what would wait for
    it; done, the owner is asked to try it, and who asked is kept."""
    options = ("redrive", "--by", "小李", "--all", *_options(folder))
    lines = _json(*options, "--dry-run")["messages"]
    assert [one["outcome"] for one in lines] == ["would_be_dead", "would_wait"]
    assert "invalid_body" in lines[0]["trouble"]
    assert len(_json("list", *_options(folder))["causes"]) == 2
    assert [one["outcome"] for one in _json(*options, "--timeout", "0")["messages"]] == ["trying"] * 2
    sheet = _json("show", f"{TOPIC}/0/7", *_options(folder))
    assert (sheet["state"], sheet["resolved_by"]) == ("waiting", "operator/小李")
    assert _json(*options)["messages"] == []


def test_given_up_in_order_and_with_a_reason(folder: Path) -> None:
    """Nothing is given up before what stands before it; who and why is kept."""
    options = ("discard", "--by", "小李", "--reason", "测试", *_options(folder))
    refused = _run(*options, f"{TOPIC}/0/8", "--json")
    assert refused.exit_code == 1
    [line] = msgspec.json.decode(refused.stdout)["messages"]
    assert f"First that one: aftersales dlq redrive {TOPIC}/0/7 --service liability" in line["why"]["en"]
    assert [one["outcome"] for one in _json(*options, "--all", "--dry-run")["messages"]] == ["would_be_discarded"] * 2
    assert _run(*options, "--stream", "TB1").exit_code == 0
    sheet = _json("show", f"{TOPIC}/0/8", *_options(folder))
    assert (sheet["state"], sheet["resolved_by"], sheet["note"]) == ("discarded", "operator/小李", "测试")
    assert "运维 小李" in aftersales("dlq", "show", f"{TOPIC}/0/8", *_options(folder), "--lang", "zh").out


def test_who_did_what_and_why_is_told_in_the_log(folder: Path) -> None:
    """Redriving and giving up are operations of the service's log that name the messages; a dry run is none."""
    who, options = ("--by", "小李", "--reason", "修好了"), _options(folder)
    _run("redrive", f"{TOPIC}/0/7", *who, *options, "--timeout", "0")
    _run("discard", "--all", *who, *options)
    _run("redrive", "--all", "--dry-run", *options)
    shown = aftersales("operations", "list", "--json", *_options(folder))
    told = [
        (one["kind"], one["by"], one["reason"], one["options"], one["outcome"])
        for one in msgspec.json.decode(shown.out)["operations"]
    ]
    first, second = f"{TOPIC}/0/7", f"{TOPIC}/0/8"
    who_did = ("operator/小李", "修好了")
    assert told == [
        ("discard", *who_did, {"messages": [second]}, {"discarded": 0, "refused": [second]}),
        ("redrive", *who_did, {"messages": [first]}, {"redriven": 1}),
    ]


def test_a_dry_run_tells_what_would_be_recorded(tmp_path: Path) -> None:
    """Messages that can be handled by now are told with their consequences, as over HTTP."""
    message = parked(1).message
    readable = msgspec.structs.replace(message, value=EXAMPLE.read_bytes().replace(b"TB1001", b"TB1"))
    left_behind(migrated(tmp_path, ["liability"]), parked(1, message=readable), behind(2))
    told = aftersales("dlq", "redrive", "--all", "--dry-run", *_options(tmp_path), "--lang", "en")
    assert (told.status, "would be handled" in told.out) == (0, True), told.out + told.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "nowhere"),
        ("redrive", "--by", "x"),
        ("redrive", "--all"),
        ("discard", "--by", "x", "--all"),
        ("redrive", "--by", " ", "--all"),
        ("redrive", "--by", "x", f"{TOPIC}/0/9"),
        ("discard", "--by", "x", "--reason", " ", "--all"),
        ("show", f"{TOPIC}/0/99"),
    ],
)
def test_mistakes_are_told(folder: Path, arguments: tuple[str, ...]) -> None:
    """Whatever is asked for wrongly is said in both languages, and nothing happens."""
    done = _run(*arguments, *_options(folder))
    assert done.exit_code in (1, 2)
    assert any("一" <= letter <= "鿿" for letter in done.stderr)
    assert "Traceback" not in done.output


def test_unknown_service_is_told() -> None:
    """There are three services."""
    assert _json("list", "--service", "nobody")["error"]["code"] == "invalid"


def test_a_missing_service_is_said_in_both_languages() -> None:
    """Whoever forgets an option is not left with a parser's English."""
    for command in (("redrive", "--all", "--by", "x"), ("discard", "--all", "--by", "x", "--reason", "y")):
        aftersales("dlq", *command).must_fail(2, "--service", "请指明服务", "say which service", "refunds")


def test_a_dry_run_needs_no_name(folder: Path) -> None:
    """Looking at what would be done is nobody's deed: it asks for neither name nor reason."""
    for command in ("redrive", "discard"):
        told = aftersales("dlq", command, "--all", "--dry-run", *_options(folder), "--lang", "en")
        assert not told.err
        assert "nothing was changed" in told.out


def test_a_dry_run_knows_what_would_be_refused(folder: Path) -> None:
    """What cannot be given up alone is refused in the trial too, and not where those before it are given up first."""
    options = ("discard", "--dry-run", *_options(folder))
    assert [one["outcome"] for one in _json(*options, f"{TOPIC}/0/8")["messages"]] == ["refused"]
    assert [one["outcome"] for one in _json(*options, "--all")["messages"]] == ["would_be_discarded"] * 2


@pytest.mark.parametrize(
    ("source", "zh", "en"),
    [
        (
            "cases",
            "重新发布:aftersales republish cases --by 姓名",
            "Publish it again: aftersales republish cases --by NAME",
        ),
        ("orders", "请让上游系统重新发送", "have the upstream system send it"),
    ],
)
def test_a_gap_names_the_way_out(tmp_path: Path, source: str, zh: str, en: str) -> None:
    """Where a message never came, every command says which it is, who has to send it, and that nothing can be given
    up until then."""
    left_behind(migrated(tmp_path, ["liability"]), early(3, "GAP1", source))
    options, place = _options(tmp_path), f"{TOPIC}/0/9"
    for command in ("redrive", "discard"):
        told = (
            aftersales("dlq", command, place, "--by", "x", "--reason", "y", *options)
            if command == "discard"
            else (aftersales("dlq", command, place, "--by", "x", *options))
        )
        told.must_fail(1, zh, en, "第 1 条", "#1", "nothing behind it can be given up")
        told = aftersales("dlq", command, "--stream", "GAP1", "--dry-run", *options, "--lang", "both")
        assert told.status == 1
        assert zh in told.out
        assert en in told.out
    for listed in (("list",), ("list", "--stream", "GAP1"), ("show", place)):
        told = aftersales("dlq", *listed, *options, "--lang", "en")
        assert en in told.out
        assert "DeliveryGap" not in told.out


def test_a_message_behind_a_gap_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """A dead one cannot be given up before one that never came: whoever tries is told to have that published again."""
    left_behind(migrated(tmp_path, ["liability"]), parked(2))
    told = aftersales("dlq", "discard", "--all", "--by", "x", "--reason", "y", *_options(tmp_path), "--lang", "en")
    assert told.status == 1
    assert "refused" in told.out
    assert "aftersales republish cases" in told.out


def test_what_is_tried_by_itself_is_left_to_that(tmp_path: Path) -> None:
    """A message that is still being tried is no dead letter, and whoever is impatient is told so."""
    waiting = parked(1, state=WAITING, cause=FAILED, error="RuntimeError: no: really")
    left_behind(migrated(tmp_path, ["liability"]), waiting)
    told = aftersales("dlq", "redrive", f"{TOPIC}/0/7", "--by", "x", *_options(tmp_path))
    told.must_fail(1, "自动重试", "is tried again by itself")


def test_errors_read_as_sentences(tmp_path: Path) -> None:
    """What went wrong comes first, the class of the error last, and what the cause says already is not said again."""
    failed = parked(1, cause=FAILED, error="RuntimeError: no: really")
    left_behind(migrated(tmp_path, ["liability"]), failed, parked(2, error="Unreadable: Object missing required field"))
    for command in (("list",), ("list", "--all"), ("show", f"{TOPIC}/0/7")):
        told = aftersales("dlq", *command, *_options(tmp_path), "--lang", "en")
        assert "no: really (RuntimeError)" in told.out
        assert "Unreadable:" not in told.out


@pytest.mark.parametrize(("lang", "said", "unsaid"), [("zh", "死信", "dead"), ("en", "dead", "死信")])
def test_the_reader_chooses_the_language(folder: Path, lang: str, said: str, unsaid: str) -> None:
    """States, causes and the names of fields are in one language for whoever wants one; the locale says which."""
    for command in (("list",), ("list", "--all"), ("show", f"{TOPIC}/0/7"), ("redrive", "--all", "--dry-run")):
        for asked in ({}, {"LANG": lang, "LC_ALL": lang}):
            options = () if asked else ("--lang", lang)
            told = aftersales("dlq", *command, *_options(folder), *options, **asked)
            assert unsaid not in told.out.replace("dead_letter", ""), command
            assert said in told.out or command[0] == "redrive"
    assert aftersales("dlq", "show", f"{TOPIC}/0/7", *_options(folder), "--lang", "zh").out.count("订单") == 1


def test_all_states_and_causes_have_names() -> None:
    """A code that has no name would end the command that shows it."""
    assert CAUSES.keys() == {FAILED, GAP, BEHIND, *get_args(Cause)}
    assert STATES.keys() == {WAITING, DEAD, DISCARDED, REDRIVEN}


def test_no_match_is_said_with_what_there_is(folder: Path) -> None:
    """A mistyped order is no reason to believe that all is well."""
    told = aftersales("dlq", "list", "--stream", "TB7", *_options(folder), "--lang", "en")
    assert "Nothing of TB7 was left behind. What there is (3 messages):" in told.out
    assert "invalid_body" in told.out
    assert "没有 TB7 的消息" in aftersales("dlq", "list", "--stream", "TB7", *_options(folder), "--lang", "zh").out
    assert _json("list", "--stream", "TB7", *_options(folder)) == {"messages": [], "away": {}}


@pytest.mark.parametrize("columns", ["80", "120"])
def test_places_can_be_copied(folder: Path, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    """The place of a message is what other commands ask for: it is never broken over lines."""
    monkeypatch.setenv("COLUMNS", columns)
    for command in (("list",), ("list", "--all"), ("redrive", "--all", "--dry-run")):
        told = aftersales("dlq", *command, *_options(folder), "--lang", "both")
        assert f"{TOPIC}/0/7" in told.out
        assert max(map(len, told.out.splitlines()[:4])) <= int(columns)


def test_a_dry_run_knows_what_would_be_dead_again(folder: Path) -> None:
    """What this program cannot read is not promised to be handled: the trial says so, and ends as the real run."""
    told = aftersales("dlq", "redrive", "--all", "--dry-run", *_options(folder), "--lang", "en")
    assert told.status == 1
    assert "would be dead again" in told.out
    assert "would be handled" not in told.out


@pytest.mark.parametrize("mode", [("--dry-run",), ("--by", "x", "--reason", "y")])
def test_a_filter_that_matches_nothing_has_not_done_its_work(folder: Path, mode: tuple[str, ...]) -> None:
    """A mistyped order or cause is no success; that there is nothing dead at all is one."""
    for chosen in (("--stream", "TB7"), ("--cause", "nothing"), ("--all", "--stream", "TB7")):
        told = aftersales("dlq", "discard", *chosen, *mode, *_options(folder), "--lang", "en")
        assert (told.status, "No dead letter is like that" in told.out) == (1, True)
    assert aftersales("dlq", "redrive", "--stream", "TB7", "--dry-run", *_options(folder)).status == 1
    assert aftersales("dlq", "discard", "--all", "--by", "x", "--reason", "y", *_options(folder)).status == 0
    assert aftersales("dlq", "discard", "--all", *mode, *_options(folder)).status == 0


@pytest.fixture
def shop_folder(tmp_path: Path) -> Path:
    """Three services: liability left three messages behind, refunds one of them too."""
    left_behind(migrated(tmp_path), parked(1), parked(2), behind(3))
    left_behind(tmp_path, parked(1, consumer="aftersales-refunds"), service="refunds")
    return tmp_path


def test_without_a_service_all_are_listed(shop_folder: Path) -> None:
    """Whoever is on call sees in one list what any service left behind, and whose it is."""
    data = ("--data-dir", str(shop_folder))
    told = _json("list", *data)
    assert [(one["service"], one["messages"]) for one in told["causes"]] == [
        ("refunds", 1),
        ("liability", 2),
        ("liability", 1),
    ]
    assert told["away"] == {}
    lines = _json("list", "--stream", "TB1", *data)["messages"]
    assert [one["service"] for one in lines] == ["refunds", *["liability"] * 3]
    for command in (("list",), ("list", "--all")):
        shown = aftersales("dlq", *command, *data, "--lang", "en")
        assert shown.status == 0
        assert {"refunds", "liability"} <= set(shown.out.splitlines())
        assert "cases" not in shown.out.splitlines()


def test_a_database_that_cannot_be_asked_is_named(shop_folder: Path) -> None:
    """The others are shown all the same, nobody is told that all is well, and the exit status says that one is
    missing."""
    data = ("--data-dir", str(shop_folder))
    (shop_folder / "refunds.db").unlink()
    told = aftersales("dlq", "list", *data, "--lang", "both")
    assert told.status == 1
    for said in ("打不开 refunds 的数据库", "The database of refunds cannot be used", "refunds.db: No such file"):
        assert said in told.out
    assert f"{TOPIC}/0/7" in told.out
    assert list(_json("list", *data)["away"]) == ["refunds"]
    empty = aftersales("dlq", "list", "--data-dir", str(shop_folder / "nowhere"), "--lang", "en")
    assert (empty.status, "nothing was left behind" in empty.out) == (1, False)
    aftersales("dlq", "list", "--service", "refunds", *data).must_fail(2, "refunds")


def test_without_a_service_a_message_is_looked_for_in_all(shop_folder: Path) -> None:
    """A place is enough to see a message, unless two services left it behind or one that may have it is away."""
    data = ("--data-dir", str(shop_folder))
    assert _json("show", f"{TOPIC}/0/8", *data)["service"] == "liability"
    aftersales("dlq", "show", f"{TOPIC}/0/7", *data).must_fail(2, "refunds, liability", "--service", "请用")
    aftersales("dlq", "show", f"{TOPIC}/0/99", *data).must_fail(1, "Nothing was left behind")
    (shop_folder / "refunds.db").unlink()
    aftersales("dlq", "show", f"{TOPIC}/0/99", *data).must_fail(1, "cannot be used: refunds", "打不开")

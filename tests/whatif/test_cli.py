"""`aftersales replay what-if` as an operator uses it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.terminal import Told, aftersales

OTHER = """
authority: {agent: 1000}
promise: {first_answer_hours: 4}
deposit_fen: 5000
causes:
  transit_damage: {party: supplier}
  accessory_defective: {freight: buyer}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy file of which every rule makes a difference."""
    file = tmp_path / "policy.yaml"
    file.write_text(OTHER)
    return file


def _ask(history: Path, policy: Path, *options: str) -> Told:
    return aftersales("replay", "what-if", "--policy", str(policy), "--data-dir", str(history), *options)


def test_for_machines(history: Path, policy: Path) -> None:
    """One JSON document: sums in fen, the cases that differ, what was taken from history and what is supposed."""
    told = _ask(history, policy, "--json", "--from", "2026-10-01", "--to", "2026-11-05")
    assert told.status == 0, told.err
    report = told.json
    assert report["net"] == {"name": "net", "was_fen": 6_900, "would_be_fen": 5_400, "difference_fen": -1_500}
    assert {one["name"]: one["would_be_fen"] for one in report["parties"]} == {
        "courier/YTO": 0,
        "none": 900,
        "production": 2_500,
        "supplier": 2_000,
    }
    assert {case["case_id"] for case in report["differ"]} == {"WA-1", "WB-1", "WC-1"}
    for note in (*report["facts"], *report["assumed"]):
        assert note.keys() == {"zh", "en"}


@pytest.mark.parametrize(
    ("language", "said"),
    [
        (
            "en",
            (
                *("What the parties would have borne", "Supplier", "-15.00", "net loss", "By problem", "By month"),
                *("Approval of offers", "no approval", "team lead", "Broken promises", "Cases that would differ"),
                *("does not judge it", "deposit_fen", "Taken from history", "Supposed", "nobody said one"),
                *("would have been kept", "return freight reimbursed: 15.00 → 0.00", "3 cases would differ"),
            ),
        ),
        (
            "zh",
            (
                *("各方承担", "厂家", "-15.00", "净损失", "按问题", "按月", "补偿的审批", "无须审批", "逾期的承诺"),
                *("有差别的售后单", "不判定", "照历史不变", "假定", "但无人说过", "不会逾期", "3 个售后单有差别"),
            ),
        ),
    ],
)
def test_for_people(history: Path, policy: Path, language: str, said: tuple[str, ...]) -> None:
    """The sums, the cases and what the answer rests on are told in the reader's language, codes by their names."""
    told = _ask(history, policy, "--lang", language)
    assert told.status == 0, told.err
    flat = " ".join(told.out.replace("│", " ").split())
    for words in said:
        assert words in flat, (words, told.out)
    for code in ("transit_damage (", "logistics_delay", "first_answer:", "team_lead "):
        assert code not in flat.replace("causes.transit_damage", "").replace("team_lead.", ""), (code, told.out)


def test_who_asked_and_why_is_kept(history: Path, policy: Path, tmp_path: Path) -> None:
    """With a name it is an operation, told of in the log of cases by its begin and its end, and nothing else is new."""
    folder = shutil.copytree(history, tmp_path / "data")
    asked = _ask(folder, policy, "--json", "--by", "老王", "--reason", "明年的权限")
    assert asked.status == 0, asked.err
    assert asked.json["net"]["difference_fen"] == -1_500
    with closing(sqlite3.connect(folder / "cases.db")) as cases:
        new = cases.execute("SELECT type, actor, data FROM events ORDER BY position DESC LIMIT 2")
        (finished, _, outcome), (started, by, why) = new.fetchall()
    assert (started, finished) == ("operation.started", "operation.finished")
    assert "老王" in by
    assert "明年的权限" in bytes(why).decode()
    assert "-1500" in bytes(outcome).decode()
    _ask(folder, policy, "--by", "老王", "--order", "WX").must_fail(2, "WX")
    again = _ask(folder, policy, "--json").json
    assert (again["net"], again["orders"]) == (asked.json["net"], asked.json["orders"])


def test_no_difference(history: Path, tmp_path: Path) -> None:
    """A file that changes nothing that was decided: said in a sentence, status 0."""
    (tmp_path / "same.yaml").write_text("deposit_fen: 1\n")
    told = _ask(history, tmp_path / "same.yaml", "--lang", "en")
    assert told.status == 0
    assert "nothing would differ" in told.out
    assert "does not judge it" in told.out
    assert "it changes nothing" not in told.out
    (tmp_path / "empty.yaml").write_text("")
    assert "it changes nothing" in _ask(history, tmp_path / "empty.yaml", "--lang", "en").out


def test_every_mistake_of_a_policy_file_is_told_with_its_line(history: Path, tmp_path: Path) -> None:
    """All mistakes at once, each with file and line, in both languages; for machines too."""
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(
        "authority:\n  agent: 20.5\n  boss: 1\npromise:\n  solution_hours: 0\ncauses:\n  goodwill: {party: x}\n"
    )
    told = _ask(history, wrong)
    told.must_fail(2, *(f"wrong.yaml:{line}:" for line in (2, 3, 5, 7)), "政策文件有误", "must be a whole number")
    error = _ask(history, wrong, "--json").json["error"]
    assert error["code"] == "policy_invalid"
    assert [mistake["line"] for mistake in error["mistakes"]] == [2, 3, 5, 7]
    assert error["mistakes"][0].keys() == {"file", "line", "field", "zh", "en"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "2026-11-02", "--to", "2026-10-31"), "exchange the two"),
        (("--from", "99999"), "the log ends at position"),
        (("--to", "2999-01-01"), "has not come yet"),
        (("--from", "yesterday"), "must be a position"),
        (("--from", "2026-13-45"), "there is no day 2026-13-45"),
        (("--from", "-3"), "there is no position -3"),
        (("--to", "2026-11-22T10:00:00"), "lacks its offset; write 2026-11-22T10:00:00+08:00"),
    ],
)
def test_a_period_that_cannot_be(history: Path, policy: Path, options: tuple[str, ...], said: str) -> None:
    """Upside down, past the end, in the future or unreadable: a clear sentence in both languages, status 2."""
    _ask(history, policy, *options).must_fail(2, said, options[0])


def test_what_is_not_there(history: Path, policy: Path, tmp_path: Path) -> None:
    """An unknown order or case, a missing file, a folder without data: told, and nothing is made."""
    assert _ask(history, policy, "--order", "WX", "--json").json["error"]["code"] == "unknown_order"
    _ask(history, policy, "--order", "WX").must_fail(2)
    _ask(history, policy, "--case", "WA-9").must_fail(2)
    _ask(history, policy, "--case", "WA-1", "--order", "WB").must_fail(2, "--case", "WA-1 is not of order WB")
    _ask(history, tmp_path / "no.yaml").must_fail(2, "no.yaml")
    _ask(tmp_path / "nowhere", policy).must_fail(2, "nowhere", "aftersales serve")
    assert not (tmp_path / "nowhere").exists()

"""`aftersales lag` as a person reads it, on narrow and wide terminals, and what its exit status says."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from contracts.policy import load_policy
from services.cli.lag import lag_table
from services.kernel.lag import Trend
from services.operations.lag_reading import Row, Survey
from services.wording.words import Language, Words, plural
from tests.cli.parked import behind, left_behind, migrated, parked
from tests.cli.terminal import Server, aftersales

APART = [
    ("cases", "refunds"),
    ("cases", "liability"),
    ("cases", "orders"),
    ("refunds", "cases"),
    ("liability", "refunds"),
]


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize("lang", ["zh", "en", "both"])
def test_names_are_whole_on_narrow_terminals(
    shop: Server, monkeypatch: pytest.MonkeyPatch, columns: str, lang: str
) -> None:
    """Who is behind on what can be read at 80 columns, with trends, and in both languages at once."""
    monkeypatch.setenv("COLUMNS", columns)
    folder = ("--data-dir", str(shop.data_dir))
    told = aftersales("lag", *folder, "--watch", "--looks", "2", "--every", "0.1", "--lang", lang)
    lines = told.out.splitlines()
    assert told.status == 0
    assert all(_width(line) <= int(columns) for line in lines)
    for row in aftersales("lag", *folder, "--json").json["consumers"]:
        assert any(line.split()[:2] == [row["consumer"], row["source"]] for line in lines), told.out
        assert any(line.split() == [row["service"]] for line in lines)
    assert "0.0/0.0" in told.out


@pytest.mark.parametrize("language", Language)
def test_a_busy_stack_fits_on_80_columns(language: Language) -> None:
    """Where much is behind and grows, names and figures of services apart still stand in one line each."""
    words, now = Words(load_policy(), language), datetime(2026, 10, 5, tzinfo=UTC)
    rows = [
        Row(
            service=service,
            consumer=f"aftersales-{service}",
            source=source,
            partition=partition,
            position=0,
            behind=123_456,
            seconds=9_000.0,
            trend=Trend(51.0, 17.0, None),
        )
        for service, source in APART
        for partition in range(6)
    ]
    console = Console(width=80)
    with console.capture() as captured:
        console.print(lag_table(words, Survey(now, False, rows, {})))
    lines = captured.get().splitlines()
    assert all(_width(line) <= 80 for line in lines)
    for service, source in APART:
        [line] = [line for line in lines if line.split()[:2] == [f"aftersales-{service}", source]]
        assert line.split()[2:4] == ["(6)", "740736"]
        assert line.split()[-2:] == ["306/102", "∞"]
        assert "2.5" in line


def _width(line: str) -> int:
    """Columns of a terminal; a Chinese letter has two."""
    return sum(2 if "⺀" <= letter <= "￯" else 1 for letter in line)


def test_messages_set_aside_are_no_success(tmp_path: Path) -> None:
    """A script that asks whether all is well is told that it is not, and a person how many there are and where they are
    shown; the same stands in the JSON."""
    migrated(tmp_path)
    options = ("--data-dir", str(tmp_path))
    assert aftersales("lag", *options).status == 0
    left_behind(tmp_path, parked(1), behind(2), behind(3))
    told = aftersales("lag", *options, "--lang", "both")
    assert told.status == 1
    for said in (
        "liability:有 3 条消息搁置(其中死信 1 条),见 aftersales dlq list --service liability",
        "liability: 3 messages set aside, 1 of them dead; see aftersales dlq list --service liability",
    ):
        assert said in told.out
    assert "everything is handled" not in told.out
    json = aftersales("lag", *options, "--json")
    assert (json.status, json.json["caught_up"]) == (1, False)
    assert json.json["parked"] == {"liability": {"dead": 1, "waiting": 2}}
    assert aftersales("lag", *options, "--service", "cases", "--json").status == 0


@pytest.mark.parametrize(("number", "said"), [(0, "0 messages"), (1, "1 message"), (2, "2 messages")])
def test_one_is_no_plural(tmp_path: Path, number: int, said: str) -> None:
    """English has a singular, in the commands too."""
    assert plural(number, "message") == said
    if number:
        left_behind(migrated(tmp_path), *(parked(one) for one in range(1, number + 1)))
        assert f"liability: {said} set aside" in aftersales("lag", "--data-dir", str(tmp_path), "--lang", "en").out


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (0, "< 1 秒", "< 1 s"),
        (59.9, "59 秒", "59 s"),
        (60, "1 分", "1 min"),
        (3_599, "59 分", "59 min"),
        (7_199, "1.9 小时", "1.9 h"),
        (86_399, "23 小时", "23 h"),
        (86_400 * 400, "400 天", "400 d"),
    ],
)
def test_durations_are_short(seconds: float, zh: str, en: str) -> None:
    """Figures in a table are read at a glance: the largest unit says enough."""
    assert Words(load_policy(), Language.ZH).roughly(seconds) == zh
    assert Words(load_policy(), Language.EN).roughly(seconds) == en

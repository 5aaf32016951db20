"""The runner finds what is not as a file says, names the place, and plays on."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from services.kernel.actor import Actor
from services.scenarios.cli import app
from services.scenarios.expectation import differences
from services.scenarios.format import Expect, Scenario, parse_scenario
from services.scenarios.instance import EmbeddedInstance, Setting, start_embedded
from services.scenarios.result import Reading, ScenarioResult
from services.scenarios.runner import play, run_files

TOP = """
scenario: told
title: 讲一遍
orders:
  - order_id: T1
    channel: taobao
    buyer_id: b
    ordered_at: 2026-10-02T09:00:00+08:00
    delivered_at: 2026-10-05T12:00:00+08:00
    carrier: YTO
    lines:
      - {line_id: L1, sku: LOCK, kind: product, quantity: 1, paid_fen: 10000, unit_cost_fen: 4000}
      - {line_id: S1, sku: INSTALL, kind: service, quantity: 2, paid_fen: 3000, unit_cost_fen: 0}
"""
OPEN = "{do: open_case, as: agent/小李, case: C1, order_id: T1, problem: installer_no_show, description: 没来}"
PROPOSE = "{do: propose_compensation, as: agent/小李, case: C1, kind: voucher, amount_fen: 500, save: P1}"
REFUND = "{do: request_refund, as: agent/小李, case: C1, lines: [{line_id: S1, quantity: 1}]}"
STORY = (
    OPEN,
    PROPOSE,
    "{do: record_buyer_reply, as: agent/小李, case: C1, proposal: P1, accepted: true}",
    "{do: pay_compensation, as: agent/小李, case: C1, proposal: P1, payment_ref: V1}",
    "{do: assess_cause, as: agent/小李, case: C1, cause: installer_failed, party_name: 王师傅}",
    "{do: record_recovery, as: finance/老钱, case: C1, party: installer/王师傅, amount_fen: 200, payment_ref: K1}",
    REFUND,
    REFUND,
)
TRUTH: dict[str, Any] = {
    "cases": {
        "C1": {
            "status": "open",
            "urgent": False,
            "lines": [{"line_id": "L1", "quantity": 1}, {"line_id": "S1", "quantity": 2}],
        }
    },
    "settlements": {"C1": {"refund_fen": 3000, "freight_pending": False}},
    "payouts": [{"case": "C1", "kind": "refund", "amount_fen": 1500, "status": "succeeded"}] * 2,
    "losses": {"installer/王师傅": 500},
    "suspense_fen": 0,
    "recovered": {"installer/王师傅": 200},
    "events": {"C1": ["case.opened", "compensation.paid", "payout.succeeded", "payout.succeeded"]},
}


def scenario(*steps: str, top: str = TOP, expect: str = "{}") -> Scenario:
    return parse_scenario(top + "steps:\n" + "".join(f"  - {step}\n" for step in steps) + f"expect: {expect}\n")


async def told(*steps: str, top: str = TOP) -> list[tuple[str, Any, Any]]:
    """Where what differs when these steps are played: place, expected, got."""
    result = await play(scenario(*steps, top=top), start_embedded)
    assert all(difference.zh and difference.en for difference in result.differences)
    assert result.ok is (not result.differences)
    return [(difference.where, difference.expected, difference.got) for difference in result.differences]


def names(folder: Path) -> set[str]:
    """What is in a folder; nothing where there is none."""
    return {file.name for file in folder.glob("*")}


@pytest.fixture(scope="module")
def read() -> Reading:
    """What the API says after the story."""
    result = asyncio.run(play(scenario(*STORY), start_embedded))
    assert result.ok, result.differences
    return result.read


def test_truth_holds(read: Reading) -> None:
    """Nothing is found where everything is as expected, in every part of `expect`."""
    assert differences(msgspec.convert(TRUTH, Expect), read) == []
    assert differences(Expect(), read) == []


@pytest.mark.parametrize(
    ("part", "wrong", "where"),
    [
        ("cases", {"C1": {"status": "closed"}}, "expect.cases.C1.status"),
        ("cases", {"C1": {"urgent": 0}}, "expect.cases.C1.urgent"),
        ("cases", {"C1": {"weather": "fine"}}, "expect.cases.C1.weather"),
        ("cases", {"C1": {"cause": {"cause": "goodwill"}}}, "expect.cases.C1.cause"),
        ("cases", {"C1": {"lines": [{"line_id": "L1", "quantity": 1}]}}, "expect.cases.C1.lines"),
        ("cases", {"C2": {"status": "open"}}, "expect.cases.C2"),
        ("settlements", {"C1": {"refund_fen": 2999}}, "expect.settlements.C1.refund_fen"),
        ("settlements", {"C1": {"freight_pending": True}}, "expect.settlements.C1.freight_pending"),
        ("settlements", {"C2": {"refund_fen": 0}}, "expect.settlements.C2"),
        ("payouts", TRUTH["payouts"][:1], "expect.payouts"),
        ("payouts", TRUTH["payouts"] * 2, "expect.payouts"),
        ("payouts", [TRUTH["payouts"][0], {**TRUTH["payouts"][0], "status": "failed"}], "expect.payouts"),
        ("payouts", [], "expect.payouts"),
        ("losses", {"installer/王师傅": 501}, "expect.losses.installer/王师傅"),
        ("losses", {"installer/王师傅": 500, "warehouse": 1}, "expect.losses.warehouse"),
        ("losses", {}, "expect.losses.installer/王师傅"),
        ("suspense_fen", 1, "expect.suspense_fen"),
        ("recovered", {"installer/王师傅": 100}, "expect.recovered.installer/王师傅"),
        ("recovered", {"warehouse": 100}, "expect.recovered.warehouse"),
        ("events", {"C1": ["compensation.paid", "case.opened"]}, "expect.events.C1"),
        ("events", {"C1": ["payout.succeeded"] * 3}, "expect.events.C1"),
        ("events", {"C2": ["case.opened"]}, "expect.events.C2"),
    ],
)
def test_wrong_expectation_is_found(read: Reading, part: str, wrong: Any, where: str) -> None:
    """Each way in which an expectation can fail is found, at its place and nowhere else."""
    found = differences(msgspec.convert({**TRUTH, part: wrong}, Expect), read)
    assert {difference.where for difference in found} == {where}
    assert all(difference.zh and difference.en for difference in found)


def test_party_at_zero_may_be_left_out_or_listed(read: Reading) -> None:
    """A party that bears nothing may be said to bear 0; one that is left out must bear 0."""
    assert differences(Expect(losses={"installer/王师傅": 500, "warehouse": 0}), read) == []


def test_payout_may_be_said_in_part(read: Reading) -> None:
    """A payout is compared on what is listed; what says most is matched first."""
    one = TRUTH["payouts"][0]
    assert differences(Expect(payouts=[{"kind": "refund"}, one]), read) == []
    assert len(differences(Expect(payouts=[{"kind": "refund"}, {**one, "amount_fen": 1}]), read)) == 2


async def test_unexpected_refusal_is_named_and_the_play_goes_on() -> None:
    """A step that is refused without the file saying so is a difference, and the rest is still played."""
    result = await play(scenario(OPEN, "{do: give_guidance, as: agent/小李, case: C1}", REFUND), start_embedded)
    assert [(one.where, one.expected, one.got) for one in result.differences] == [
        ("step 2 give_guidance", None, "remedy_not_allowed")
    ]
    assert len(result.read.payouts) == 1


async def test_missing_and_other_refusals_are_named() -> None:
    """A refusal that does not come, or comes with another code, is a difference."""
    assert await told(
        OPEN,
        REFUND.replace("}]}", "}], refused: exceeds_quantity}"),
        "{do: give_guidance, as: agent/小李, case: C1, refused: forbidden}",
    ) == [
        ("step 2 request_refund", "exceeds_quantity", None),
        ("step 3 give_guidance", "forbidden", "remedy_not_allowed"),
    ]


async def test_what_cannot_be_saved_is_named() -> None:
    """A label for something that the step did not make is a difference, not a label for nothing."""
    assert await told(OPEN, "{do: contact_installer, as: agent/小李, case: C1, action: urge, save: X}") == [
        ("step 2 contact_installer", "X", None)
    ]


async def test_first_payout_of_a_step_is_saved() -> None:
    """`save` labels the payout that this step made, also where the case has others already."""
    result = await play(
        scenario(
            OPEN,
            REFUND,
            REFUND.replace("}]}", "}], save: PAY2}"),
            "{do: retry_payout, as: finance/老钱, case: C1, payout: PAY2, refused: payout_not_failed}",
            "{do: retry_payout, as: finance/老钱, case: C1, payout: PAY3, refused: unknown_item}",
        ),
        start_embedded,
    )
    assert result.ok, result.differences


async def test_refused_order_and_stock_are_named() -> None:
    """What the file sets up and the API does not take is a difference of its own."""
    broken = TOP.replace("paid_fen: 10000", "paid_fen: -1") + "stock: {'A B': 1}\n"
    found = await told(OPEN, top=broken)
    assert found[:3] == [
        ("order T1", None, "invalid"),
        ("stock A B", None, "invalid"),
        ("step 1 open_case", None, "unknown_order"),
    ]


async def test_instance_that_does_not_start_is_a_difference() -> None:
    """A broken system fails its scenario with the reason; it does not take the run down."""

    async def broken(setting: Setting) -> EmbeddedInstance:
        raise RuntimeError("no disk")

    result = await play(scenario(OPEN), broken)
    assert not result.ok
    assert [(one.where, one.got) for one in result.differences] == [("play", "RuntimeError: no disk")]


async def test_read_models_that_disagree_are_named() -> None:
    """A list that lost a row is found in every scenario, without the file asking for it."""

    async def forgetful(setting: Setting) -> EmbeddedInstance:
        instance = await start_embedded(setting)

        async def rebuild() -> None:
            with sqlite3.connect(Path(instance._folder.name) / "refunds.db") as refunds:
                refunds.execute("DELETE FROM payout_view")
            refunds.close()

        instance.rebuild = rebuild  # type: ignore[method-assign]
        return instance

    result = await play(scenario(OPEN, REFUND, "{do: rebuild}"), forgetful)
    assert [one.where for one in result.differences] == ["agreement.payouts.C1"]


async def test_photos_differ() -> None:
    """Every generated file is a different one, so that two pieces of evidence are two."""
    submit = "{{do: submit_evidence, as: agent/小李, case: C1, kind: {0}, file: {{generate: {0}}}}}"
    result = await play(scenario(OPEN, *(submit.format(kind) for kind in ("photo", "photo", "video"))), start_embedded)
    evidence = result.read.cases["C1"]["evidence"]
    assert len({one["sha256"] for one in evidence}) == 3
    assert [one["media_type"] for one in evidence] == ["image/jpeg", "image/jpeg", "video/mp4"]


async def test_instance_keeps_time_and_data_over_a_restart() -> None:
    """A restart changes neither the clock nor what happened; closing leaves nothing behind."""
    start = parse_scenario(TOP + "steps: [{do: wait, until: 2026-10-06T09:00:00+08:00}]\nexpect: {}\n").steps[0].until
    assert start is not None
    instance = await start_embedded(Setting(now=start))
    folder = Path(instance._folder.name)
    token = instance.token(Actor("agent", "小李"))
    await instance.restart()
    assert instance._clock.now() == start
    assert instance.token(Actor("agent", "小李")) == token
    assert "cases.db" in names(folder)
    await instance.close()
    assert names(folder) == set()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a scenario file."""

    def write(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


GOOD = TOP + f"steps:\n  - {OPEN}\nexpect: {{cases: {{C1: {{status: open}}}}}}\n"


async def test_run_goes_through_all_files(write: Callable[[str, str], Path], tmp_path: Path) -> None:
    """One bad file does not keep the others from being played, and each result is told at once."""
    files = [write("a.yaml", "steps: ["), tmp_path / "missing.yaml", write("b.yaml", GOOD)]
    heard: list[ScenarioResult] = []
    results = await run_files(files, start_embedded, heard.append)
    assert [result.ok for result in results] == [False, False, True]
    assert heard == results


def test_command_line_tells_and_exits_by_the_result(write: Callable[[str, str], Path]) -> None:
    """Exit 0 only when all hold; differences are told in both languages."""
    good, bad = write("good.yaml", GOOD), write("bad.yaml", GOOD.replace("status: open", "status: closed"))
    held = CliRunner().invoke(app, ["run", str(good)])
    assert held.exit_code == 0, held.output
    assert "1/1" in held.output
    differing = CliRunner().invoke(app, ["run", str(good), str(bad)])
    assert differing.exit_code == 1
    assert "expect.cases.C1.status" in differing.output
    assert "应为 closed,实为 open" in differing.output
    assert "expected closed, got open" in differing.output
    assert CliRunner().invoke(app, ["run", "no-such-file.yaml"]).exit_code == 2


def test_command_line_answers_machines(write: Callable[[str, str], Path]) -> None:
    """`--json` prints one document with every result, what was read included."""
    good, invalid = write("good.yaml", GOOD), write("invalid.yaml", "scenario: x")
    answer = CliRunner().invoke(app, ["run", str(good), str(invalid), "--json"])
    report = json.loads(answer.stdout)
    assert answer.exit_code == 1
    assert report["ok"] is False
    assert [result["ok"] for result in report["results"]] == [True, False]
    held, wrong = report["results"]
    assert held["read"]["cases"]["C1"]["status"] == "open"
    assert held["read"]["events"]["C1"][:2] == ["case.opened", "promise.made"]
    assert {difference["where"] for difference in wrong["differences"]} >= {"title", "orders", "steps", "expect"}

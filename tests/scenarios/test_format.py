"""A scenario file is either understood as its writer meant it, or says everything that is wrong with it."""

from datetime import datetime
from pathlib import Path

import pytest

from services.kernel.actor import Actor
from services.scenarios.format import (
    ScenarioInvalid,
    load_scenario,
    parse_scenario,
    scenario_files,
)
from services.scenarios.timing import orders_recorded_at, start_of, step_times

ORDER = "{order_id: O1, ordered_at: 2026-10-02T09:00:00+08:00, delivered_at: 2026-10-05T12:00:00+08:00}"
OPEN = "{do: open_case, as: agent/小李, case: C1, order_id: O1, problem: home_delivery, description: x}"


def text(*steps: str, top: str = "", expect: str = "{}", orders: str = ORDER) -> str:
    """A scenario with these steps."""
    lines = "".join(f"  - {step}\n" for step in steps)
    return f"scenario: a\ntitle: b\n{top}\norders: [{orders}]\nsteps:\n{lines or '  []'}\nexpect: {expect}\n"


def mistakes(*steps: str, top: str = "", expect: str = "{}", orders: str = ORDER) -> dict[str, str]:
    """What is wrong with such a scenario: the English sentence by place."""
    with pytest.raises(ScenarioInvalid) as caught:
        parse_scenario(text(*steps, top=top, expect=expect, orders=orders))
    assert all(mistake.zh and mistake.en for mistake in caught.value.mistakes)
    return {mistake.where: mistake.en for mistake in caught.value.mistakes}


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-10-{clock}:00+08:00")


def test_step_is_read_as_written() -> None:
    """A command's own fields reach the API as they are meant: numbers stay numbers, times and waybills are text."""
    step = parse_scenario(
        text(
            OPEN,
            "{do: ship_return, as: service/买家/端, case: C1, at: 2026-10-06T10:00:00+08:00, carrier: ZTO,"
            " tracking_no: 900, freight_fen: 12.5, when: 2026-10-06T10:00:00+08:00, save: P, refused: invalid}",
        )
    ).steps[1]
    assert step.actor == Actor("service", "买家/端")
    assert (step.number, step.case, step.save, step.refused, step.at) == (2, "C1", "P", "invalid", at("06T10:00"))
    assert step.fields == {
        "carrier": "ZTO",
        "tracking_no": "900",
        "freight_fen": 12.5,
        "when": "2026-10-06T10:00:00+08:00",
    }


def test_order_keeps_its_fields_and_tells_its_latest_time() -> None:
    """Orders go to the API as they are written, and the clock is set by what they say."""
    order = parse_scenario(text(OPEN)).orders[0]
    assert order.body["ordered_at"] == "2026-10-02T09:00:00+08:00"
    assert order.latest == at("05T12:00")


def test_quoted_times_and_utc_are_times() -> None:
    """A time may be quoted and may stand in another offset."""
    steps = parse_scenario(
        text('{do: wait, until: "2026-10-06T02:00:00Z"}', "{do: wait, until: 2026-10-06T02:00:00Z}")
    ).steps
    assert [step.until for step in steps] == [at("06T10:00"), at("06T10:00")]


def test_every_mistake_is_told_at_once() -> None:
    """A writer mends the file once: all mistakes come together, each with its step and field."""
    found = mistakes(
        "{do: foo, as: boss/x, case: C1}",
        "{do: wait}",
        "{do: redeliver, times: 0, loudly: true}",
        "{do: submit_evidence, as: agent/x, file: {generate: pdf}, refused: nope}",
        "{do: give_guidance, as: agent/x, case: C1, at: 2026-10-06T10:00:00}",
        "{do: report_stock, as: agent/x, quantity: 1}",
        "just text",
        top="colour: red\ngateway: {outcomes: [explode]}\nstock: {A: -1}\npolicy: {authority: {agent: -1}}",
        expect="{cases: {C9: {promise: perhaps}}, payout: [], losses: {x: 1.5}, settlements: {C9: {good_fen: 1}},"
        " events: {C9: [a.b]}, payouts: [{case: C9, kind: refund, amount: 3}]}",
    )
    assert found.keys() == {
        *("step 1, do", "step 1, as", "step 2, until", "step 3, times", "step 3, loudly", "step 4, case"),
        *("step 4, file.generate", "step 4, refused", "step 5, at", "step 6, sku", "step 7, step", "step 7, do"),
        *("step 7, as", "step 7, case"),
        *("colour", "gateway.outcomes", "stock.A", "policy.authority.agent"),
        *("expect.cases", "expect.cases.C9.promise", "expect.payout", "expect.losses.x", "expect.settlements"),
        *("expect.settlements.C9.good_fen", "expect.events", "expect.events.C9", "expect.payouts[0]"),
        "expect.payouts[0].amount",
    }


def test_missing_parts_are_told() -> None:
    """An empty file says what a scenario needs."""
    with pytest.raises(ScenarioInvalid) as caught:
        parse_scenario("{}")
    assert [mistake.where for mistake in caught.value.mistakes] == ["scenario", "title", "orders", "steps", "expect"]


@pytest.mark.parametrize("broken", ["steps: [", "a: 1\na: 2", "x: 2026-13-45", "- 1\n- 2", "text", ""])
def test_what_is_no_scenario_is_told_and_not_guessed(broken: str) -> None:
    """Broken YAML, a key written twice, an impossible date or no mapping at all is a mistake of the file."""
    with pytest.raises(ScenarioInvalid):
        parse_scenario(broken)


def test_file_and_folder_are_found(tmp_path: Path) -> None:
    """A folder means all its YAML files in order; a path that is not there is an error, not an empty run."""
    for name in ("b.yaml", "a.yaml", "notes.txt"):
        (tmp_path / name).write_text(text(OPEN))
    assert [file.name for file in scenario_files([tmp_path, tmp_path / "b.yaml"])] == ["a.yaml", "b.yaml", "b.yaml"]
    assert load_scenario(tmp_path / "a.yaml").scenario == "a"
    with pytest.raises(FileNotFoundError):
        list(scenario_files([tmp_path / "c.yaml"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError):
        list(scenario_files([tmp_path / "empty"]))


def test_clock_starts_when_nothing_says_otherwise() -> None:
    """Without times in the file the play starts on a fixed morning, and a minute passes with every step."""
    scenario = parse_scenario(text(OPEN, "{do: rebuild}"))
    assert start_of(scenario) == orders_recorded_at(scenario) == at("06T09:00")
    assert list(step_times(scenario)) == [at("06T09:01"), at("06T09:02")]


def test_clock_starts_after_the_orders() -> None:
    """Orders of a later day are there before the first step."""
    late = "{order_id: O1, ordered_at: 2026-10-09T09:00:00+08:00}"
    assert start_of(parse_scenario(text(OPEN, orders=late))) == at("09T10:00")


def test_first_time_said_is_reached_by_minutes() -> None:
    """A file that says an early time starts earlier, so that time runs forward to it."""
    scenario = parse_scenario(text(OPEN, OPEN, "{do: wait, until: 2026-10-04T10:00:00+08:00}", "{do: rebuild}"))
    assert list(step_times(scenario)) == [at("04T09:58"), at("04T09:59"), at("04T10:00"), at("04T10:01")]
    assert orders_recorded_at(scenario) == at("05T12:00")  # not before the order was delivered


def test_time_said_late_does_not_move_the_start() -> None:
    """A time later in the file is simply waited for; `at` may also go back."""
    scenario = parse_scenario(
        text(OPEN, "{do: wait, until: 2026-10-07T10:00:00+08:00}", "{do: rebuild, at: 2026-10-06T10:00:00+08:00}", OPEN)
    )
    assert list(step_times(scenario)) == [at("06T09:01"), at("07T10:00"), at("06T10:00"), at("06T10:01")]

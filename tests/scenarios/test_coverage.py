"""The library shows every problem, every refusal and every event that the domain has."""

from pathlib import Path

from contracts.policy import load_policy
from contracts.registry import EVENT_TYPES, EVENTS_BY_SOURCE, OPERATION_EVENTS
from services.finance.domain.domain import FinanceDomain
from services.scenarios.format import DIRECTIONS, load_scenario

LIBRARY = Path(__file__).parents[2] / "services/scenarios/library"
SCENARIOS = [load_scenario(file) for file in sorted(LIBRARY.glob("*.yaml"))]
STEPS = [step for scenario in SCENARIOS for step in scenario.steps]

#: Every refusal code of domain.md.
REFUSALS = {
    *("unknown_order", "unknown_case", "unknown_line", "unknown_item", "invalid_transition", "invalid"),
    *("shares_not_whole", "party_name_required", "forbidden", "self_approval", "remedy_not_allowed"),
    *("evidence_required", "cause_required", "exceeds_quantity", "exceeds_paid", "exceeds_charged"),
    *("authority_exceeded", "already_paid", "approval_required", "not_released", "return_carrier_refused"),
    *("return_not_received", "return_not_accepted", "unfinished_business", "payout_not_failed", "version_conflict"),
}
#: Book-keeping between the services, which nobody in the business looks for.
UNTOLD = {"order.recorded", "personal_data.erased", "stock.reported", "stock.reserved", "stock.awaited", "stock.freed"}


def test_every_problem_is_opened_and_solved() -> None:
    """No row of domain.md §2 is without a scenario in which such a case is opened and the file expects an end."""
    sorted_by = ("open_case", "reclassify")
    opened = {step.fields["problem"] for step in STEPS if step.do in sorted_by and not step.refused}
    assert set(load_policy().problems) <= opened


def test_every_problem_is_the_subject_of_an_expectation() -> None:
    """Each problem has a case that must end closed, with losses and payouts said exactly."""
    ended = {
        case["problem"]
        for scenario in SCENARIOS
        if scenario.expect.losses is not None and scenario.expect.payouts is not None
        for case in scenario.expect.cases.values()
        if case.get("status") == "closed" and "problem" in case
    }
    assert set(load_policy().problems) <= ended


def test_every_refusal_code_is_met() -> None:
    """No rule is without a scenario in which it says no."""
    assert REFUSALS - {step.refused for step in STEPS} == set()


def test_every_command_is_accepted_somewhere() -> None:
    """No command, and nothing else that a step can do, is left unplayed."""
    commands = set(load_policy().texts.commands) - {"record_order", *FinanceDomain(load_policy()).commands}
    assert (commands | DIRECTIONS.keys()) - {step.do for step in STEPS if not step.refused} == set()


def test_every_cause_is_assessed() -> None:
    """No row of the table of causes is without a scenario."""
    assessed = {step.fields["cause"] for step in STEPS if step.do == "assess_cause" and not step.refused}
    assert set(load_policy().causes) - assessed == set()


def test_every_trigger_and_kind_is_used() -> None:
    """Each reshipment trigger, compensation kind and payout kind occurs."""
    triggers = {step.fields["trigger"] for step in STEPS if step.do == "order_reshipment" and not step.refused}
    kinds = {step.fields["kind"] for step in STEPS if step.do == "propose_compensation" and not step.refused}
    payouts = {payout["kind"] for scenario in SCENARIOS for payout in scenario.expect.payouts or []}
    assert triggers == {"now", "on_tracking", "on_receipt", "on_deposit", "on_payment"}
    assert kinds == {"cash", "price_difference", "voucher", "good_review_reward"}
    assert payouts == {"refund", "freight_reimbursement", "deposit_return", "charge_return"}


def test_expected_events_name_what_people_look_for() -> None:
    """The events that tell a case's story are expected somewhere, so that none can silently stop appearing."""
    expected = {type_ for scenario in SCENARIOS for types in scenario.expect.events.values() for type_ in types}
    told = set(EVENT_TYPES) - set(OPERATION_EVENTS) - set(EVENTS_BY_SOURCE["finance"])  # finance only listens
    assert told - UNTOLD - expected == set()

"""What is known of a case follows from its events, in whatever order services are heard."""

from datetime import datetime, timedelta

import pytest

from contracts.event import Event
from contracts.events import cases as c
from services.finance.domain.case_facts import CaseFact, CaseFacts
from tests.finance.statements.shop import assessed, opened, paid, settled
from tests.given import START, Told

CASE = "TB1-1"
PROMISED = c.PromiseMade(
    case_id=CASE, first_answer_due_at=START + timedelta(hours=2), solution_due_at=START + timedelta(hours=72)
)
GUIDED = c.GuidanceGiven(case_id=CASE)
CLOSED = c.CaseClosed(case_id=CASE, resolution="sealed:…")
AGENT, BUYER = "agent/小李", "service/app"

Step = tuple[int, str, Event]


def folded(*steps: Step) -> CaseFact:
    """The case, after events that some minutes and somebody brought."""
    facts = CaseFacts()
    for number, (minutes, by, event) in enumerate(steps):
        facts.evolve(Told(event, START + timedelta(minutes=minutes), by, f"E{number}", "cases"))
    return facts.cases[CASE]


def at(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("steps", "answered_at"),
    [
        ([(0, AGENT, opened(CASE)), (0, AGENT, PROMISED)], None),
        ([(0, BUYER, opened(CASE)), (9, AGENT, GUIDED), (12, AGENT, GUIDED)], at(9)),
        ([(0, BUYER, opened(CASE)), (5, BUYER, c.EvidenceAccepted(case_id=CASE, evidence="V1"))], None),
        ([(0, BUYER, opened(CASE)), (7, "system/cases", assessed(CASE)), (8, "warehouse/王", GUIDED)], at(8)),
    ],
    ids=["opening is no answer", "the first counts", "others do not", "neither does the system"],
)
def test_the_first_thing_that_staff_do_answers_the_buyer(steps: list[Step], answered_at: datetime | None) -> None:
    """Answer times are those by which cases keeps its promises."""
    assert folded(*steps).answered_at == answered_at


@pytest.mark.parametrize(
    ("steps", "first_answer", "solution"),
    [
        ([], "", ""),
        ([(120, AGENT, GUIDED)], "kept", ""),
        ([(121, AGENT, GUIDED)], "broken", ""),
        ([(121, "system/cases", c.PromiseBroken(case_id=CASE, promise="first_answer", due_at=START))], "broken", ""),
        ([(60, AGENT, CLOSED)], "kept", "kept"),
        ([(60, AGENT, CLOSED), (70, AGENT, c.CaseReopened(case_id=CASE)), (9_000, AGENT, CLOSED)], "kept", "kept"),
        ([(4_321, AGENT, CLOSED)], "broken", "broken"),
    ],
    ids=["open", "in time", "late", "told to be late", "closed in time", "reopened", "closed late"],
)
def test_a_promise_is_kept_broken_or_open(steps: list[Step], first_answer: str, solution: str) -> None:
    """A case counts as kept or broken only once that is known, and a reopened one as when it was closed first."""
    case = folded((0, BUYER, opened(CASE)), (0, BUYER, PROMISED), *steps)
    assert (case.promise("first_answer"), case.promise("solution")) == (first_answer, solution)


def test_a_refund_may_be_heard_of_before_its_case() -> None:
    """Services are heard one beside another: nothing of the case is lost."""
    early = folded((0, "system/refunds", settled(CASE, "L1", deducted_fen=100)), (1, BUYER, opened(CASE)))
    assert early.opened_at == at(1)
    [line] = early.refunded["E0"]
    assert (line.line_id, line.units, line.goods_fen, line.deducted_fen) == ("L1", 1, 129_900, 100)


def test_compensation_is_of_whoever_proposed_it() -> None:
    """Who pays it out is somebody else."""
    proposed, payment = paid(CASE, 1_500)
    case = folded((0, AGENT, opened(CASE)), (1, AGENT, proposed), (2, "finance/老钱", payment))
    assert [(one.agent, one.kind, one.amount_fen) for one in case.compensated.values()] == [(AGENT, "cash", 1_500)]


def test_a_case_is_known_as_it_was_classified_last() -> None:
    """A reason in free words is sealed, and says nothing; a code does."""
    again = c.CaseReclassified(case_id=CASE, problem="return_request", previous="", reason="quality")
    sealed = c.CaseReclassified(case_id=CASE, problem="return_request", previous="", reason="sealed:abc")
    case = folded((0, BUYER, opened(CASE)), (1, AGENT, again), (2, AGENT, assessed(CASE)))
    assert (case.problem, case.reason, case.cause, case.party) == (
        "return_request",
        "quality",
        "transit_damage",
        "courier/YTO",
    )
    assert folded((0, BUYER, opened(CASE)), (1, AGENT, sealed)).reason == ""

"""When a case may be closed, what comes after, and promises (`domain.md` §3 Promises, Closing)."""

from datetime import timedelta
from typing import Any

import pytest

from contracts.events import cases as c
from contracts.events import liability as li
from contracts.events import refunds as r
from contracts.policy import load_policy
from services.cases.domain.domain import CASE_COMMANDS, ON_CLOSED, CasesDomain
from tests.cases.shop import AGENT, LEAD, ONE, SERVICE, WAREHOUSE, Shop, names
from tests.cases.test_rules_roles import BODIES
from tests.given import line

MICROSECOND = timedelta(microseconds=1)


def open_shop(problem: str = "exchange_request", quantity: int = 1) -> Shop:
    shop = Shop(line(quantity=quantity))
    shop.open(problem)
    return shop


def known(shop: Shop) -> Shop:
    shop.do("assess_cause", cause="goodwill")
    return shop


# -- closing


def test_a_case_without_business_closes() -> None:
    """Nothing open, nothing lost: no cause is needed."""
    shop = open_shop()
    assert shop.close() == [c.CaseClosed(case_id=ONE, resolution="好了")]
    assert shop.case().closed


def test_reshipments_must_be_delivered_or_cancelled() -> None:
    """Requested, released and shipped are open."""
    shop = known(open_shop(quantity=2))
    shop.reship(trigger="on_receipt")
    assert shop.unfinished() == ["reshipment_open"]
    shop.do("cancel_reshipment", reshipment="R1")
    shop.reship()
    assert shop.unfinished() == ["reshipment_open"]
    shop.ship("R2")
    assert shop.unfinished() == ["reshipment_open"]
    shop.do("confirm_delivery", reshipment="R2")
    shop.close()


def test_returns_must_be_received_or_cancelled() -> None:
    """Authorised and shipped are open; one that was not accepted is received all the same."""
    shop = open_shop(quantity=2)
    shop.authorise()
    assert shop.unfinished() == ["return_open"]
    shop.do("cancel_return", reason="不退了")
    shop.authorise()
    shop.send_back()
    assert shop.unfinished() == ["return_open"]
    shop.receive(accepted=False)
    shop.close()


def test_freight_must_be_settled() -> None:
    """What the merchant bears of an accepted return; 0 never waits, the buyer's own neither."""
    shop = known(open_shop(quantity=3))
    shop.back(freight_fen=0)
    shop.authorise(by=LEAD, freight_borne_by="buyer")
    shop.send_back(freight_fen=900)
    shop.receive()
    shop.back(freight_fen=900)
    assert shop.unfinished() == ["freight_waiting"]
    shop.payout("freight_reimbursement", "RT3", "requested")
    assert shop.unfinished() == ["payout_open"]
    shop.payout("freight_reimbursement", "RT3")
    shop.hear(
        r.ReturnFreightReimbursed(
            case_id=ONE, return_id="RT3", freight_advanced_fen=900, insurance_deducted_fen=0, amount_fen=900
        )
    )
    shop.close()


def test_freight_that_the_insurance_paid_is_no_loss() -> None:
    """Settled at nothing, it keeps nobody and needs no cause."""
    shop = Shop(line(unit_cost_fen=0))
    shop.open("exchange_request")
    shop.back(freight_fen=900)
    shop.hear(
        r.ReturnFreightReimbursed(
            case_id=ONE, return_id="RT1", freight_advanced_fen=900, insurance_deducted_fen=900, amount_fen=0
        )
    )
    shop.close()


def test_deposits_must_be_returned_or_forfeited() -> None:
    """One that was never paid lapses when the case is closed, and cannot be paid after reopening."""
    shop = open_shop()
    shop.do("request_deposit")
    shop.close()
    shop.do("reopen_case")
    assert shop.case().deposits["D1"].status == "lapsed"
    assert shop.refused("record_deposit", payment_ref="D") == "invalid_transition"
    known(shop).do("request_deposit")
    shop.do("record_deposit", payment_ref="D")
    assert shop.unfinished() == ["deposit_held"]
    shop.back()
    shop.payout("deposit_return", "D2", "failed")
    assert shop.unfinished() == ["deposit_held", "payout_open"]
    shop.payout("deposit_return", "D2")
    shop.close()


def test_a_forfeited_deposit_needs_a_cause() -> None:
    """It is a credit to the loss, so somebody must be said to have it."""
    shop = open_shop()
    shop.do("request_deposit")
    shop.do("record_deposit", payment_ref="D")
    shop.do("forfeit_deposit", LEAD, reason="不寄回")
    assert shop.unfinished() == ["cause_unknown"]
    known(shop).close()


def test_agreed_compensation_must_be_paid() -> None:
    """Offers without an answer, declined or withdrawn ones keep nobody; agreed ones do, approved or not."""
    shop = known(open_shop())
    shop.offer(100)
    shop.do("record_buyer_reply", proposal=shop.offer(100), accepted=False)
    agreed = shop.offer(2_000)
    shop.do("record_buyer_reply", proposal=agreed, accepted=True)
    assert shop.unfinished() == ["compensation_unpaid"]
    shop.do("approve", LEAD, proposal=agreed)
    assert shop.unfinished() == ["compensation_unpaid"]
    shop.do("withdraw_proposal", proposal=agreed, reason="不要了")
    shop.close()


@pytest.mark.parametrize("outcome", ["requested", "failed", "unknown"])
def test_refunds_must_be_settled(outcome: str) -> None:
    """From the request on, whatever the payout says short of success."""
    shop = known(open_shop("no_installer"))
    shop.record_order(line(), line("S1", kind="service"))
    shop.open("no_installer")
    known_case = {"case": "TB1-2"}
    shop.refund(1, "S1", "TB1-2")
    assert shop.unfinished("TB1-2") == ["payout_open"]
    shop.payout("refund", "F1", outcome, case="TB1-2")
    assert shop.unfinished("TB1-2") == ["payout_open"]
    shop.payout("refund", "F1", case="TB1-2")
    shop.settle(case="TB1-2", kind="service", unit_cost_fen=0)
    shop.close(**known_case)


def test_the_rude_agent_is_named() -> None:
    """A report without a person is not enough; other problems do not ask for it."""
    shop = open_shop("service_attitude")
    shop.do("report_issue", department="customer_service", summary="骂人")
    assert shop.unfinished() == ["rude_agent_unnamed"]
    shop.do("report_issue", department="customer_service", summary="骂人", person="小周")
    shop.close()


def losses(shop: Shop, entry: str) -> None:
    """Let a loss entry of §5 arise."""
    match entry:
        case "cash" | "voucher" | "price_difference":
            shop.give(100, entry)
        case "reshipment":
            shop.reship("SCREW", cost_fen=1)
            shop.ship(freight_fen=0)
            shop.do("confirm_delivery", reshipment="R1")
        case "goods_returned":
            shop.back(resalable=True)
        case "refund":
            shop.back(resalable=False)
            shop.refund()
            shop.settle()
        case "pickup":
            shop.do("reclassify", problem="excess_goods")
            shop.do("arrange_pickup", freight_fen=1)


@pytest.mark.parametrize(
    "entry", ["cash", "voucher", "price_difference", "reshipment", "goods_returned", "refund", "pickup"]
)
@pytest.mark.parametrize("by", ["cause", "liability"])
def test_a_loss_needs_a_cause_or_an_assigned_liability(entry: str, by: str) -> None:
    """Every kind of entry asks for it; either answers it."""
    shop = open_shop("return_request" if entry == "refund" else "exchange_request")
    losses(shop, entry)
    assert shop.unfinished() == ["cause_unknown"]
    if by == "cause":
        known(shop)
    else:
        share = li.Share(party="production", share_bp=10_000)
        shop.hear(li.LiabilityAssigned(case_id=ONE, shares=(share,), reason="判"), by=LEAD)
    shop.close()


def test_what_is_no_loss_needs_no_cause() -> None:
    """Rewards, goods of no cost, a pickup for nothing, goods that cannot be sold again."""
    shop = Shop(line(unit_cost_fen=0, quantity=2))
    shop.open("return_request")
    shop.give(500, "good_review_reward")
    shop.back()
    shop.refund()
    shop.settle(unit_cost_fen=0)
    shop.do("reclassify", problem="exchange_request")
    shop.reship("GIFT", cost_fen=0)
    shop.ship(freight_fen=0)
    shop.do("confirm_delivery", reshipment="R1")
    shop.do("reclassify", problem="excess_goods")
    shop.do("arrange_pickup", freight_fen=0)
    shop.close()


def test_everything_open_is_named() -> None:
    """Whoever may not close learns what is left, item by item."""
    shop = open_shop("exchange_request", quantity=3)
    shop.give(100)
    shop.reship(trigger="on_receipt")
    shop.authorise()
    shop.do("request_deposit")
    shop.do("record_deposit", payment_ref="D")
    refusal = shop.refusal("close_case", resolution="好了")
    assert refusal.params["items"] == [
        {"what": "reshipment_open", "item": "R1"},
        {"what": "return_open", "item": "RT1"},
        {"what": "deposit_held", "item": "D1"},
        {"what": "cause_unknown", "item": ""},
    ]


# -- after closing


@pytest.mark.parametrize("command", sorted(CASE_COMMANDS))
def test_what_works_on_a_closed_case(command: str) -> None:
    """Insurance results, follow-up, review, rating and reopening; the rest is `invalid_transition`, even if invalid."""
    shop = open_shop()
    shop.photo()
    shop.offer(100)
    shop.reship()
    shop.do("cancel_reshipment", reshipment="R1")
    shop.close()
    by = WAREHOUSE if command == "receive_return" else LEAD
    if command in ON_CLOSED:
        assert shop.do(command, by, **BODIES[command])
    else:
        assert shop.refused(command, by, **BODIES[command]) == "invalid_transition"
        assert shop.refused(command, "finance/老钱", surprise=1) == "invalid_transition"
    assert {"record_insurance_result", "follow_up", "invite_review", "rate", "reopen_case"} == ON_CLOSED


@pytest.mark.parametrize("command", ["follow_up", "invite_review", "rate", "reopen_case"])
def test_what_comes_after_closing_only(command: str) -> None:
    """Nobody is asked how it went before it is over."""
    assert open_shop().refused(command, **BODIES[command]) == "invalid_transition"


def test_aftercare() -> None:
    """Follow-up, review and rating are facts; a score is 1 to 5."""
    shop = open_shop()
    shop.close()
    assert shop.do("follow_up", note="满意") == [c.FollowUpRecorded(case_id=ONE, note="满意")]
    assert shop.do("invite_review") == [c.ReviewInvited(case_id=ONE)]
    for score in (0, 6):
        assert shop.refused("rate", SERVICE, score=score) == "invalid"
    for score in (1, 5):
        assert shop.do("rate", SERVICE, score=score) == [c.CaseRated(case_id=ONE, score=score)]


def test_a_reopened_case_is_an_open_case() -> None:
    """Everything works again, and it is closed again by the same rules."""
    shop = open_shop()
    shop.close()
    assert shop.do("reopen_case", reason="又坏了") == [c.CaseReopened(case_id=ONE, reason="又坏了")]
    assert shop.refused("rate", SERVICE, score=5) == "invalid_transition"
    shop.give(100)
    assert shop.unfinished() == ["cause_unknown"]
    known(shop).close()


def test_what_others_tell_a_closed_case() -> None:
    """Facts are kept whatever the status."""
    shop = open_shop()
    shop.close()
    shop.hear(li.LossRecorded(case_id=ONE, entry="cash", amount_fen=5, cause_id="x"))
    shop.hear(li.LossCharged(case_id=ONE, party="production", amount_fen=5))
    shop.hear(li.LossReversed(case_id=ONE, party="production", amount_fen=2))
    shop.hear(li.LossRecovered(case_id=ONE, party="courier/YTO", amount_fen=1, payment_ref="Y"))
    shop.hear(r.SettlementUpdated(case_id=ONE, settlement=r.Settlement(net_fen=7)))
    case = shop.case()
    assert (case.net_loss_fen, case.charged_fen, case.recovered_fen) == (5, {"production": 3}, {"courier/YTO": 1})
    assert case.settlement.net_fen == 7
    assert shop.replayed() == shop.state()


# -- promises


def promised(domain: CasesDomain | None = None) -> tuple[Shop, Any, Any]:
    """A case that the buyer's app opened, and when its promises are due."""
    shop = Shop(**({"domain": domain} if domain else {}))
    shop.open("exchange_request", by=SERVICE)
    case = shop.case()
    return shop, case.first_answer_due_at, case.solution_due_at


def broken(promise: str, due_at: Any) -> c.PromiseBroken:
    return c.PromiseBroken(case_id=ONE, promise=promise, due_at=due_at)


def test_an_answer_at_the_last_moment_is_in_time() -> None:
    """At the due time the promise is kept, a microsecond later it is not."""
    shop, due, _ = promised()
    assert shop.wait(due) == []
    assert names(shop.do("escalate", role="team_lead", reason="急", at=due)) == ["case.escalated"]
    shop, due, _ = promised()
    assert shop.do("escalate", role="team_lead", reason="急", at=due + MICROSECOND)[1:] == [broken("first_answer", due)]


def test_a_promise_breaks_at_the_moment_it_is_late() -> None:
    """Once, by itself, at its own time; the other promise goes on."""
    shop, answer, solution = promised()
    assert shop.wait(solution) == [broken("first_answer", answer)]
    assert shop.told["TB1"][-1].time == answer + MICROSECOND
    assert shop.wait(solution + MICROSECOND) == [broken("solution", solution)]
    assert shop.wait(solution + timedelta(days=30)) == []
    assert names(shop.close()) == ["case.closed"]


@pytest.mark.parametrize(("by", "answers"), [(AGENT, True), (LEAD, True), (SERVICE, False)])
def test_who_answers(by: str, answers: bool) -> None:
    """The first accepted command of staff; another system's does not."""
    shop, due, _ = promised()
    shop.do("record_insurance_result", by, result="failed")
    assert (shop.wait(due + MICROSECOND) == []) is answers


def test_opening_and_refused_commands_are_no_answer() -> None:
    """Whoever opens the case, the buyer still waits for a word."""
    shop = Shop()
    shop.open("exchange_request", by=AGENT)
    due = shop.case().first_answer_due_at
    assert due is not None
    shop.refused("give_guidance")
    assert shop.wait(due + MICROSECOND) == [broken("first_answer", due)]


def test_what_staff_did_in_another_service_is_an_answer() -> None:
    """A lead who assigns the liability has looked at the case; a gateway has not."""
    shop, due, _ = promised()
    share = li.Share(party="production", share_bp=10_000)
    shop.payout("refund", "F1")
    assert shop.case().first_answered_at is None
    shop.hear(li.LiabilityAssigned(case_id=ONE, shares=(share,), reason="判"), by=LEAD)
    assert shop.wait(due + MICROSECOND) == []


def test_a_solution_is_the_first_closing() -> None:
    """Closed in time is kept, also when the case is reopened later; closed too late is broken."""
    shop, _, due = promised()
    shop.do("escalate", role="team_lead", reason="急")
    assert names(shop.do("close_case", resolution="好了", at=due)) == ["case.closed"]
    shop.do("reopen_case")
    assert shop.wait(due + timedelta(days=9)) == []
    shop, _, due = promised()
    shop.do("escalate", role="team_lead", reason="急")
    late = shop.do("close_case", resolution="好了", at=due + MICROSECOND)
    assert late[1:] == [broken("solution", due)]


def test_a_shop_promises_what_it_likes() -> None:
    """Hours are policy."""
    shop, answer, solution = promised(CasesDomain(load_policy({"promise": {"first_answer_hours": 1}})))
    assert (answer - shop.now, solution - shop.now) == (timedelta(hours=1), timedelta(hours=72))

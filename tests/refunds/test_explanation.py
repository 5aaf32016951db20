"""Where the money comes from that a buyer gets back (`domain.md` §4)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events import cases as c
from contracts.events import refunds as r
from services.kernel.refusal import Refusal
from services.refunds.domain import RefundsFile
from services.refunds.domain.explanation import explain
from tests.explained import leaves, must_add_up, nodes, records
from tests.given import Story, came_back, compensated, line, opened
from tests.refunds.facts import asked, authorised, collected, insurance, story, succeeded
from tests.shop import FINANCE, Shop

CASES = ("TB1-1", "TB1-2")
PAYING = st.tuples(
    st.just("pay"),
    st.sampled_from(CASES),
    st.sampled_from(("cash", "price_difference", "voucher", "good_review_reward")),
    st.integers(min_value=1, max_value=900),
)
REFUNDING = st.tuples(st.just("refund"), st.sampled_from(CASES), st.integers(min_value=1, max_value=3))
RETURNING = st.tuples(
    st.just("return"),
    st.sampled_from(CASES),
    st.integers(min_value=0, max_value=2_000),
    st.sampled_from(("merchant", "buyer")),
)
INSURING = st.tuples(
    st.just("insurance"), st.sampled_from(CASES), st.one_of(st.none(), st.integers(min_value=0, max_value=3_000))
)
DEPOSITING = st.tuples(st.just("deposit"), st.integers(min_value=1, max_value=9_000), st.booleans())
STEPS = st.lists(st.one_of(PAYING, REFUNDING, RETURNING, INSURING, DEPOSITING), max_size=20)


def worked() -> Story[RefundsFile]:
    """The worked example of `domain.md` §4: one of two locks comes back, then the other."""
    told = story(line(quantity=2, paid_fen=259_800), insured=True).given(
        compensated(2_000), compensated(500, "good_review_reward", proposal="P2"), authorised()
    )
    return told.given(insurance(1_200), came_back(freight_fen=1_500), asked(), asked("F2"))


@given(
    paid_fen=st.integers(min_value=0, max_value=3_000),
    quantity=st.integers(min_value=1, max_value=7),
    insured=st.booleans(),
    steps=STEPS,
)
def test_every_figure_is_explained_to_the_fen(paid_fen: int, quantity: int, insured: bool, steps: list[Any]) -> None:
    """Whatever happens, each refund, freight, deposit and settlement is what was decided, and adds up from events."""
    told = story(line(quantity=quantity, paid_fen=paid_fen), insured=insured).given(opened("TB1-2"))
    left = quantity
    for number, step in enumerate(steps):
        match step:
            case ("pay", case_id, kind, amount_fen):
                told.hear(compensated(amount_fen, kind, case_id, f"P{number}"))
            case ("refund", case_id, units) if units <= left:
                left -= units
                told.hear(asked(f"F{number}", case_id, L1=units))
            case ("return", case_id, freight_fen, borne_by):
                told.hear(authorised(f"RT{number}", case_id))
                told.hear(came_back(f"RT{number}", freight_fen=freight_fen, borne_by=borne_by, case_id=case_id))
            case ("insurance", case_id, amount_fen):
                told.hear(insurance(amount_fen, case_id))
            case ("deposit", amount_fen, forfeited):
                told.hear(collected(f"D{number}", amount_fen))
                if forfeited and told.file.payout("TB1-1", "deposit_return", f"D{number}") is None:
                    told.hear(
                        c.DepositForfeited(case_id="TB1-1", deposit=f"D{number}", amount_fen=amount_fen, reason="未退")
                    )
    log = records(told)
    for case in told.file.cases.values():
        settlement = explain(log, case.case_id)
        must_add_up(settlement, log)
        assert settlement.figure_fen == case.settlement.net_fen
        for item, refund in case.refunds.items():
            assert refund.calculated is not None
            must_add_up(explain(log, case.case_id, item), log)
            assert explain(log, case.case_id, item).figure_fen == refund.calculated.refund_fen
        for item in (*(one.return_id for one in case.accepted_returns), *case.deposits):
            must_add_up(explain(log, case.case_id, item), log)
    for payout in told.file.payouts.values():
        assert explain(log, payout.case_id, payout.item).figure_fen == payout.amount_fen


def test_the_worked_example() -> None:
    """A person sees the goods, what is taken back, the freight and the insurance, with their signs."""
    told = worked()
    log = records(told)
    assert leaves(explain(log, "TB1-1")) == [
        ("goods", 129_900),
        ("compensation_deducted", -2_000),
        ("goods", 129_900),
        ("freight_advanced", 1_500),
        ("insurance_deducted", -1_200),
    ]
    first = explain(log, "TB1-1", "F1")
    assert first.figure_fen == 127_900
    goods, deducted = (node for node in nodes(first.tree) if not node.children)
    assert [event.type for event in goods.events] == ["order.recorded"]
    assert "2 598.00" in goods.text.zh
    assert "2 598.00" in goods.text.en
    assert [event.type for event in deducted.events] == ["compensation.paid"]
    assert "P1" in deducted.text.zh
    assert "P1" in deducted.text.en
    second = explain(log, "TB1-1", "F2")
    assert leaves(second) == [("goods", 129_900)]
    goods = next(node for node in nodes(second.tree) if not node.children)
    assert [event.type for event in goods.events] == ["order.recorded", "refund.calculated"]


def test_a_refund_names_its_request_its_decision_and_its_payout() -> None:
    """From the figure one gets to who asked for it, under which policy it was decided, and how it was paid."""
    told = story().given(asked())
    assert [one.type for one in explain(records(told), "TB1-1", "F1").tree.events] == [
        "refund.requested",
        "refund.calculated",
        "payout.requested",
    ]
    told.given(succeeded("refund", "F1", 129_900))
    assert explain(records(told), "TB1-1", "F1").tree.events[-1].type == "payout.succeeded"


def test_money_that_did_not_go_back_says_why() -> None:
    """Freight that the buyer bears or that waits, and a deposit that is held or kept, come to nothing with a reason."""
    told = story(insured=True).given(authorised(), authorised("RT2"))
    told.given(came_back(freight_fen=800, borne_by="buyer"), came_back("RT2", freight_fen=900))
    told.given(collected())
    log = records(told)
    assert leaves(explain(log, "TB1-1")) == [
        ("freight_advanced", 800),
        ("freight_borne_by_buyer", -800),
        ("freight_advanced", 900),
        ("freight_pending", -900),
    ]
    kept = story().given(collected(), authorised())
    assert leaves(explain(records(kept), "TB1-1", "D1")) == [("deposit_collected", 10_000), ("deposit_held", -10_000)]
    kept.given(c.DepositForfeited(case_id="TB1-1", deposit="D1", amount_fen=10_000, reason="旧货未退"))
    assert leaves(explain(records(kept), "TB1-1", "D1"))[1] == ("deposit_forfeited", -10_000)


def test_a_payment_for_a_cancelled_sale() -> None:
    """What the buyer paid for goods that were not sent goes back, because the sale was cancelled."""
    told = story().given(c.ReshipmentCancelled(case_id="TB1-1", reshipment="R1", charge="B1", charge_return_fen=3_000))
    explanation = explain(records(told), "TB1-1", "B1")
    must_add_up(explanation, records(told))
    assert explanation.figure_fen == 3_000
    assert [one.type for one in explanation.tree.children[0].events] == ["reshipment.cancelled"]


def test_nothing_yet() -> None:
    """A case without money is explained too: nothing, since it was opened."""
    explanation = explain(records(story()), "TB1-1")
    assert (explanation.figure_fen, [one.type for one in explanation.tree.events]) == (0, ["case.opened"])
    assert explanation.holds


@pytest.mark.parametrize("more_fen", [1, -1])
def test_what_does_not_follow_from_the_events_is_said(more_fen: int) -> None:
    """A figure that the rules do not make of the events is never explained away."""
    log = records(worked())
    for place, record in enumerate(log):
        if isinstance(record.event, r.RefundCalculated) and record.event.refund == "F1":
            forged = msgspec.structs.replace(record.event, refund_fen=record.event.refund_fen + more_fen)
            log[place] = msgspec.structs.replace(record, event=forged)
    explanation = explain(log, "TB1-1", "F1")
    assert (explanation.figure_fen, explanation.tree.fen, explanation.holds) == (127_900 + more_fen, 127_900, False)
    assert not explain(log, "TB1-1").holds


def test_a_wrong_id_says_what_there_is() -> None:
    """Who mistypes an id is told the ones that there are, in both languages."""
    log = records(worked())
    with pytest.raises(Refusal) as refused:
        explain(log, "TB1-1", "F9")
    assert refused.value.code == "unknown_item"
    for language in ("zh", "en"):
        assert all(item in refused.value.errors[0][language] for item in ("F1", "F2", "RT1"))
    with pytest.raises(Refusal) as refused:
        explain(records(story()), "TB1-1", "F1")
    assert "nothing" in refused.value.errors[0]["en"]
    with pytest.raises(Refusal) as refused:
        explain(log, "TB1-9")
    assert refused.value.code == "unknown_case"


async def test_over_http(shop: Shop) -> None:
    """Tools get the tree as JSON: amounts, rules, texts in both languages, events with place, time and policy."""
    case_id = await shop.refund("TB1001")
    await shop.server.settle()
    status, told = await shop.call("GET", f"/v1/cases/{case_id}/settlement/explanation?item=F1", by=FINANCE)
    assert status == 200
    assert (told["case_id"], told["log"], told["figure_fen"], told["holds"]) == (case_id, "refunds", 129_900, True)
    goods = told["tree"]["children"][0]["children"][0]
    assert (goods["fen"], goods["rule"], goods["children"]) == (129_900, "goods", [])
    assert goods["text"].keys() == {"zh", "en"}
    (event,) = goods["events"]
    stored = await shop.service("refunds").store.read_stream("TB1001")
    record = next(one for one in stored if one.id == event["id"])
    assert (event["type"], event["position"], event["policy"]) == ("order.recorded", record.position, record.policy)
    whole = await shop.must("GET", f"/v1/cases/{case_id}/settlement/explanation")
    assert whole["tree"]["children"][0]["children"] == told["tree"]["children"]
    status, refused = await shop.call("GET", f"/v1/cases/{case_id}/settlement/explanation?item=F2")
    assert (status, refused["code"]) == (404, "unknown_item")
    assert "F1" in refused["errors"][0]["en"]
    assert (await shop.call("GET", "/v1/cases/TB9-9/settlement/explanation"))[0] == 404

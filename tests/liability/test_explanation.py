"""Where a loss comes from, and why a party bears its part of it (`domain.md` §5)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.event import Event, type_of
from contracts.events import cases as c
from contracts.events import liability as li
from contracts.events import refunds as r
from contracts.policy import load_policy
from contracts.registry import EVENTS_BY_SOURCE
from services.kernel.explanation import Explanation
from services.kernel.log import Record
from services.kernel.refusal import Refusal
from services.liability.domain.entry import SOURCES
from services.liability.domain.explanation import TERMS, explain
from tests.explained import leaves, must_add_up, nodes, records
from tests.given import START, Story, Told, came_back, compensated, opened
from tests.liability.facts import DOMAIN, LEAD, assessed, refunded, settled, shares, story
from tests.liability.test_rules_properties import CASES, DECISIONS, ENTRIES, happen
from tests.shop import FINANCE, MANAGER, Shop

POLICY = load_policy()
PAID = {"status": "succeeded", "channel_ref": "CH-1"}


def why(log: list[Record], party: str = "", case_id: str = "TB1-1") -> Explanation:
    return explain(POLICY, log, case_id, party)


@given(st.lists(st.one_of(ENTRIES, DECISIONS), max_size=12))
def test_every_charge_is_explained_to_the_fen(happenings: list[Any]) -> None:
    """Whatever happens, each charge and net loss is what was posted, and adds up from events that there are."""
    told = Story(DOMAIN).given(*(opened(case_id) for case_id in CASES))
    for happening in happenings:
        happen(told, happening)
    log = records(told)
    for case in told.file.cases.values():
        elsewhere = {entry.cause_id for entry in case.entries}
        net = why(log, case_id=case.case_id)
        must_add_up(net, log, elsewhere)
        assert net.figure_fen == case.net_fen
        for party, fen in case.charged.items():
            explained = why(log, party, case.case_id)
            must_add_up(explained, log, elsewhere)
            assert explained.figure_fen == fen


def split() -> Story[Any]:
    """A loss of 1.01 yuan that a lead split between two parties."""
    told = story().given(compensated(101), assessed("production", "packing_error"))
    told.do("assign_liability", "TB1-1", LEAD, shares=shares(warehouse=5_000, courier__YTO=5_000), reason="各半")
    return told


def test_a_share_of_a_loss() -> None:
    """A person sees the net loss, what the other party bears of it, the share and who decided it."""
    log = records(split())
    warehouse = why(log, "warehouse")
    must_add_up(warehouse, log, {entry.event.cause_id for entry in log if entry.type == "loss.recorded"})
    assert warehouse.figure_fen == 51
    assert leaves(warehouse) == [("cash", 101), ("loss_charged", -50)]
    assert "50.00 %" in warehouse.tree.text.zh
    assert "各半" in warehouse.tree.text.zh
    assert "largest remainder" in warehouse.tree.text.en
    assert [one.type for one in warehouse.tree.events] == ["liability.assigned", "loss.charged"]


def test_a_party_that_bears_nothing_any_more() -> None:
    """Who was charged and is not any more sees that too: others bear all of it."""
    production = why(records(split()), "production")
    assert (production.figure_fen, production.holds) == (0, True)
    assert leaves(production) == [("cash", 101), ("loss_charged", -51), ("loss_charged", -50)]
    assert [one.type for one in production.tree.events] == ["liability.assigned", "loss.charged", "loss.reversed"]


def test_a_cause_charges_by_itself() -> None:
    """Without an assignment the assessed cause says who bears the loss, by its name in the policy."""
    told = story().given(compensated(2_000), assessed("courier/YTO", "transit_damage"))
    explained = why(records(told), "courier/YTO")
    assert leaves(explained) == [("cash", 2_000)]
    assert POLICY.causes["transit_damage"].name.zh in explained.tree.text.zh
    assert POLICY.causes["transit_damage"].name.en in explained.tree.text.en
    assert explained.tree.events[0].type == "liability.determined"


def test_an_entry_names_the_event_that_it_comes_from() -> None:
    """From a loss one gets to the payment that caused it, though another service keeps that."""
    log = records(story().given(compensated(2_000)))
    (entry,) = (node for node in nodes(why(log).tree) if not node.children)
    cause, recorded = entry.events
    assert (cause.id, cause.type, cause.source, cause.position) == (
        log[-1].event.cause_id,
        "compensation.paid",
        "cases",
        None,
    )
    assert recorded.type == "loss.recorded"
    assert "20.00" in why(log).tree.text.zh  # all of it in suspense


#: A fact of each type that is a loss.
FACTS: list[Event] = [
    *(compensated(100, kind) for kind in ("cash", "voucher", "price_difference")),
    c.PickupArranged(case_id="TB1-1", freight_fen=100),
    c.ReshipmentShipped(
        case_id="TB1-1", reshipment="R1", carrier="YTO", tracking_no="YT1", freight_fen=1, goods_cost_fen=2, items=()
    ),
    c.BuyerPaid(case_id="TB1-1", charge="B1", amount_fen=100, payment_ref="ALI"),
    c.DepositForfeited(case_id="TB1-1", deposit="D1", amount_fen=100, reason="未退"),
    came_back(),
    r.ReturnFreightReimbursed(
        case_id="TB1-1", return_id="RT1", freight_advanced_fen=100, insurance_deducted_fen=0, amount_fen=100
    ),
    settled(refunded(1, 60_000), TB1_1=100),
    r.PayoutSucceeded(
        case_id="TB1-1",
        payout="TB1-1:charge_return:B1",
        kind="charge_return",
        item="B1",
        amount_fen=100,
        channel_ref="CH-1",
    ),
]


def test_every_term_of_the_net_loss_is_known() -> None:
    """Each entry that the rules make is told in words, with the event and the service that it comes from."""
    assert {type(event) for event in FACTS} == set(SOURCES)
    made = {}
    for event in FACTS:
        source = next(source for source, events in EVENTS_BY_SOURCE.items() if type_of(event) in events)
        fact = Told(event, START, "agent/小李", "id", source)
        for entry in DOMAIN.react(DOMAIN.new_file("TB1"), fact, None):  # type: ignore[arg-type]
            assert isinstance(entry, li.LossRecorded)
            made[entry.entry] = (source, type(event))
    assert made == {entry: (term.source, term.event) for entry, term in TERMS.items()}


@pytest.mark.parametrize("more_fen", [1, -1])
def test_what_does_not_follow_from_the_events_is_said(more_fen: int) -> None:
    """A charge that the rules do not make of the net loss and the shares is never explained away."""
    log = records(split())
    forged = msgspec.structs.replace(log[-1].event, amount_fen=log[-1].event.amount_fen + more_fen)
    log[-1] = msgspec.structs.replace(log[-1], event=forged)
    assert forged.party == "courier/YTO"
    assert not why(log, "courier/YTO").holds
    assert not why(log, "warehouse").holds


def test_a_wrong_id_says_what_there_is() -> None:
    """Who mistypes a party is told those that bear the loss, or that nobody does yet."""
    with pytest.raises(Refusal) as refused:
        why(records(split()), "warehause")
    assert refused.value.code == "unknown_item"
    for language in ("zh", "en"):
        assert all(party in refused.value.errors[0][language] for party in ("warehouse", "courier/YTO"))
    with pytest.raises(Refusal) as refused:
        why(records(story().given(compensated(2_000))), "warehouse")
    assert "20.00 yuan in suspense" in refused.value.errors[0]["en"]
    with pytest.raises(Refusal) as refused:
        why(records(story()), "warehouse", "TB1-9")
    assert refused.value.code == "unknown_case"


async def test_over_http(shop: Shop) -> None:
    """Tools get the tree as JSON, down to the ids that the timeline of the case tells of."""
    case_id = await shop.refund("TB1001")
    await shop.server.settle()
    await shop.must(
        "POST", f"/v1/cases/{case_id}/confirm-payout", {"payout": f"{case_id}:refund:F1", **PAID}, by=FINANCE
    )
    given_shares = [{"party": "courier/YTO", "share_bp": 10_000}]
    await shop.server.settle()
    body = {"shares": given_shares, "reason": "丢件"}
    await shop.must("POST", f"/v1/cases/{case_id}/assign-liability", body, by=MANAGER)
    path = f"/v1/cases/{case_id}/charges/explanation"
    told = await shop.must("GET", f"{path}?party=courier/YTO")
    assert (told["log"], told["figure_fen"], told["holds"]) == ("liability", 60_000, True)
    (entry,) = told["tree"]["children"][0]["children"]
    assert (entry["fen"], entry["rule"]) == (60_000, "goods")
    await shop.server.settle()
    happened = {one["id"]: one["type"] for one in (await shop.must("GET", f"/v1/cases/{case_id}"))["timeline"]}
    assert [happened[event["id"]] for event in entry["events"]] == ["refund.settled", "loss.recorded"]
    assert (await shop.must("GET", path))["figure_fen"] == 60_000
    status, refused = await shop.call("GET", f"{path}?party=warehouse")
    assert (status, refused["code"]) == (404, "unknown_item")
    assert "courier/YTO" in refused["errors"][0]["en"]

"""Random walks: whatever is tried in whatever order, the promises of the domain hold (`domain.md` §3, §4, §5)."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from contracts.refund_formula import DEDUCTED_KINDS
from services.cases.domain.case import GOOD_REVIEW_REWARD, Case
from services.kernel.refusal import Refusal
from tests.cases.shop import (
    AGENT,
    FINANCE,
    LEAD,
    MANAGER,
    OTHER_AGENT,
    PHOTO,
    SERVICE,
    WAREHOUSE,
    Shop,
    names,
    shipping,
    units_of,
)
from tests.given import line

CASES = st.sampled_from(["TB1-1", "TB1-2", "TB1-3"])
PEOPLE = st.sampled_from([AGENT, OTHER_AGENT, LEAD, MANAGER])
EVERYBODY = st.sampled_from([AGENT, LEAD, WAREHOUSE, FINANCE, SERVICE])
PROBLEMS = st.sampled_from(
    ["return_request", "exchange_request", "wrong_product", "accessory_failure", "scratch_after_use"]
)
LINES = st.sampled_from(["L1", "L2", "S1"])
UNITS = st.integers(1, 3)
PLACES = st.integers(1, 3)
MONEY = st.sampled_from([1, 500, 1_999, 2_001, 9_000, 49_000])
TRIGGERS = st.sampled_from(["now", "on_tracking", "on_receipt", "on_deposit", "on_payment"])
SKUS = st.sampled_from(["SKU-L1", "SKU-L2", "SCREW", "BOLT"])
YES_OR_NO = st.booleans()


class Walk(RuleBasedStateMachine):
    """One order with up to three cases, and everybody who has to do with them."""

    @initialize()
    def open(self) -> None:
        self.shop = Shop(
            line("L1", quantity=2, paid_fen=20_001),
            line("L2", quantity=1, paid_fen=7_000),
            line("S1", kind="service", paid_fen=900, unit_cost_fen=0),
        )
        self.shop.open("exchange_request")
        self.payments = 0

    def attempt(self, command: str, by: str, case: str = "TB1-1", **body: Any) -> list[str]:
        """Do it, or see that the refusal changed nothing."""
        if case not in self.shop.order.cases and command != "open_case":
            case = "TB1-1"
        recorded = sum(map(len, self.shop.told.values()))
        before = self.shop.state()
        try:
            return names(self.shop.do(command, by, case, **body))
        except Refusal:
            assert self.shop.state() == before
            assert sum(map(len, self.shop.told.values())) == recorded
            return []

    def newest(self, case: str, kind: str, place: int) -> str:
        """The newest proposal (P) or reshipment (R) of a case, or one before it."""
        found = self.shop.order.cases.get(case, self.shop.case())
        return f"{kind}{max(1, len(found.proposals if kind == 'P' else found.reshipments) + 1 - place)}"

    @rule(problem=PROBLEMS, lines=st.lists(st.tuples(LINES, UNITS), max_size=2), by=EVERYBODY)
    def open_another(self, problem: str, lines: list[tuple[str, int]], by: str) -> None:
        if len(self.shop.order.cases) < 3:
            wanted: dict[str, Any] = (
                {"lines": [part for key, units in lines for part in units_of(units, key)]} if lines else {}
            )
            self.attempt("open_case", by, order_id="TB1", problem=problem, description="坏", **wanted)

    @rule(case=CASES, problem=PROBLEMS)
    def reclassify(self, case: str, problem: str) -> None:
        self.attempt("reclassify", AGENT, case, problem=problem)

    @rule(case=CASES)
    def prove(self, case: str) -> None:
        self.attempt("submit_evidence", SERVICE, case, **PHOTO)
        self.attempt("review_evidence", AGENT, case, evidence="E1", accepted=True)

    @rule(case=CASES, human=YES_OR_NO, warranty=YES_OR_NO, use=YES_OR_NO)
    def assess(self, case: str, human: bool, warranty: bool, use: bool) -> None:
        cause = "human_caused" if human else "packing_error"
        self.attempt("assess_cause", AGENT, case, cause=cause, in_warranty=warranty, affects_use=use)

    @rule(
        case=CASES,
        by=PEOPLE,
        kind=st.sampled_from(["cash", "cash", "price_difference", "voucher", "good_review_reward"]),
        amount_fen=MONEY,
    )
    def offer(self, case: str, by: str, kind: str, amount_fen: int) -> None:
        self.attempt("propose_compensation", by, case, kind=kind, amount_fen=amount_fen)

    @rule(
        case=CASES,
        by=PEOPLE,
        place=PLACES,
        command=st.sampled_from(
            ["approve", "approve", "decline_approval", "withdraw_proposal", "reply", "reply", "refuse"]
        ),
    )
    def answer(self, case: str, by: str, place: int, command: str) -> None:
        proposal = self.newest(case, "P", place)
        if command in ("reply", "refuse"):
            self.attempt("record_buyer_reply", by, case, proposal=proposal, accepted=command == "reply")
        else:
            more = {"reason": "错"} if command == "withdraw_proposal" else {}
            self.attempt(command, by, case, proposal=proposal, **more)

    @rule(case=CASES, by=EVERYBODY, place=PLACES)
    def pay(self, case: str, by: str, place: int) -> None:
        self.attempt("pay_compensation", by, case, proposal=self.newest(case, "P", place), payment_ref="A")

    @rule(
        case=CASES, sku=SKUS, units=UNITS, trigger=TRIGGERS, cost_fen=st.sampled_from([0, 100, 6_000]), colour=YES_OR_NO
    )
    def reship(self, case: str, sku: str, units: int, trigger: str, cost_fen: int, colour: bool) -> None:
        item = {"sku": sku, "quantity": units, "unit_cost_fen": cost_fen, **({"replaces": "L1"} if colour else {})}
        self.attempt("order_reshipment", AGENT, case, items=[item], trigger=trigger)

    @rule(case=CASES, place=PLACES, by=EVERYBODY)
    def ship(self, case: str, place: int, by: str) -> None:
        reshipment = self.newest(case, "R", place)
        self.attempt("ship_reshipment", by, case, **shipping(reshipment))
        self.attempt("confirm_delivery", by, case, reshipment=reshipment)

    @rule(case=CASES, place=PLACES)
    def cancel(self, case: str, place: int) -> None:
        self.attempt("cancel_reshipment", AGENT, case, reshipment=self.newest(case, "R", place))

    @rule(sku=SKUS, quantity=st.integers(0, 2))
    def report_stock(self, sku: str, quantity: int) -> None:
        self.attempt("report_stock", WAREHOUSE, sku=sku, quantity=quantity)

    @rule(case=CASES, command=st.sampled_from(["request_deposit", "record_deposit", "forfeit_deposit"]))
    def deposit(self, case: str, command: str) -> None:
        self.payments += 1
        body: dict[str, Any] = {
            "record_deposit": {"payment_ref": f"D{self.payments}"},
            "forfeit_deposit": {"reason": "不寄"},
        }
        self.attempt(command, LEAD, case, **body.get(command, {}))

    @rule(case=CASES, charge=YES_OR_NO)
    def sell(self, case: str, charge: bool) -> None:
        self.payments += 1
        if charge:
            self.attempt("charge_buyer", AGENT, case, amount_fen=100 + self.payments, purpose="配件")
        else:
            self.attempt("record_buyer_payment", FINANCE, case, payment_ref=f"B{self.payments}")

    @rule(case=CASES, by=PEOPLE, line_id=LINES, units=UNITS)
    def authorise(self, case: str, by: str, line_id: str, units: int) -> None:
        self.attempt("authorise_return", by, case, lines=units_of(units, line_id))

    @rule(case=CASES, units=UNITS, line_id=LINES, accepted=YES_OR_NO, short=YES_OR_NO)
    def come_back(self, case: str, units: int, line_id: str, accepted: bool, short: bool) -> None:
        self.attempt("authorise_return", LEAD, case, lines=units_of(units, line_id))
        self.attempt("ship_return", SERVICE, case, carrier="ZTO", tracking_no="Z", freight_fen=500)
        lines = [{"line_id": line_id, "quantity": units - (units > 1 and short), "resalable": True}]
        self.attempt("receive_return", WAREHOUSE, case, lines=lines, accepted=accepted)

    @rule(case=CASES, units=UNITS, line_id=LINES)
    def exchange(self, case: str, units: int, line_id: str) -> None:
        """Goods come back and new ones go out, as far as that is allowed."""
        self.come_back(case, units, line_id, accepted=True, short=False)
        self.reship(case, f"SKU-{line_id}", units, "on_receipt", 100, colour=False)
        self.ship(case, 1, WAREHOUSE)

    @rule(case=CASES, units=UNITS, line_id=LINES)
    def give_back(self, case: str, units: int, line_id: str) -> None:
        """Goods come back and are paid back, as far as that is allowed."""
        self.come_back(case, units, line_id, accepted=True, short=False)
        self.refund(case, AGENT, line_id, units, refund_only=False)

    @rule(case=CASES, amount_fen=MONEY)
    def compensate(self, case: str, amount_fen: int) -> None:
        """An offer from end to end, as far as that is allowed."""
        self.offer(case, AGENT, "cash", amount_fen)
        self.answer(case, MANAGER, 1, "approve")
        self.answer(case, AGENT, 1, "reply")
        self.pay(case, FINANCE, 1)

    @rule(case=CASES)
    def cancel_return(self, case: str) -> None:
        self.attempt("cancel_return", AGENT, case, reason="不退了")

    @rule(case=CASES, by=PEOPLE, line_id=LINES, units=UNITS, refund_only=YES_OR_NO)
    def refund(self, case: str, by: str, line_id: str, units: int, refund_only: bool) -> None:
        self.attempt("request_refund", by, case, lines=units_of(units, line_id), refund_only=refund_only)

    @rule(case=CASES, again=st.sampled_from([True, True, True, False]))
    def close(self, case: str, again: bool) -> None:
        """Closed, and mostly opened again at once: a closed case takes next to nothing."""
        self.attempt("close_case", AGENT, case, resolution="好了")
        if again:
            self.attempt("reopen_case", AGENT, case)

    # -- what always holds

    @invariant()
    def money_per_line_is_at_most_what_was_paid(self) -> None:
        for line_id, account in self.shop.order.accounts.items():
            given = sum(
                part.amount_fen
                for case in self.cases
                for proposal in case.proposals.values()
                if proposal.kind in DEDUCTED_KINDS
                and not proposal.withdrawn
                and proposal.buyer_agreed is not False
                and proposal.approved is not False
                for part in proposal.allocation
                if part.line_id == line_id
            )
            assert account.refunded_fen + given <= account.paid_fen

    @invariant()
    def units_are_not_remedied_twice(self) -> None:
        for line_id, bought in self.shop.order.lines.items():
            accepted = refunded = replaced = 0
            for case in self.cases:
                own = [case.accepted_units(line_id), case.refunded_units(line_id), case.replaced_free(line_id)]
                units = case.lines.get(line_id, 0)
                assert own[1] + own[2] <= units + max(0, own[0] - units)
                accepted, refunded, replaced = accepted + own[0], refunded + own[1], replaced + own[2]
            assert refunded <= bought.quantity
            assert refunded + replaced <= bought.quantity + max(0, accepted - bought.quantity)

    @invariant()
    def nobody_sends_back_what_he_has_not(self) -> None:
        for line_id, bought in self.shop.order.lines.items():
            has = bought.quantity + sum(case.replacements_sent(line_id) for case in self.cases)
            back = sum(case.accepted_units(line_id) + case.units_under_way(line_id) for case in self.cases)
            assert back <= has
            for case in self.cases:
                own = case.accepted_units(line_id) + case.units_under_way(line_id)
                assert own <= case.lines.get(line_id, 0) + case.replacements_sent(line_id)

    @invariant()
    def authority_covers_what_was_paid(self) -> None:
        proposals = [one for case in self.cases for one in case.proposals.values() if one.counts]
        assert sum(one.amount_fen for one in proposals if one.kind != GOOD_REVIEW_REWARD) <= 50_000
        for case in self.cases:
            rewards = [one for one in case.proposals.values() if one.counts and one.kind == GOOD_REVIEW_REWARD]
            assert sum(one.amount_fen for one in rewards) <= 1_000
        for one in proposals:
            assert not one.paid or not one.approver_role or one.approved

    @invariant()
    def free_goods_cost_at_most_what_was_paid(self) -> None:
        for case in self.cases:
            assert case.free_cost_fen() <= self.shop.order.case_value_fen(case)

    @invariant()
    def stock_is_never_below_zero_and_nobody_waits_in_vain(self) -> None:
        stock = self.shop.stock
        assert all(units >= 0 for units in stock.available.values())
        assert not stock.next_release()

    @invariant()
    def a_sale_goes_only_when_it_is_paid(self) -> None:
        for case in self.cases:
            for key, one in case.reshipments.items():
                if not one.free and one.status in ("released", "backordered", "shipped", "delivered"):
                    assert case.paid_for(key)
            sales = [charge.sale for charge in case.charges.values() if charge.sale]
            assert len(sales) == len(set(sales))

    @invariant()
    def folding_anew_gives_the_same(self) -> None:
        assert self.shop.replayed() == self.shop.state()

    @property
    def cases(self) -> list[Case]:
        return list(self.shop.order.cases.values()) if hasattr(self, "shop") else []


Walk.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestWalk = Walk.TestCase

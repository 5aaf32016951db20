"""A walk at random over the API, beside a model that knows nothing of the domain's code (`domain.md` §3 to §5).

The model predicts the answer of every command, and after each step what the buyers get and who bears which loss.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.http.server import Answer, Server, order_body

BOUGHT, PAID_FEN, COST_FEN = 3, 100_003, 20_000
LIMITS = {"agent": 2_000, "team_lead": 10_000, "store_manager": 50_000}
LADDER = list(LIMITS)
REMEDIES = {
    "return_request": {"return", "refund"},
    "exchange_request": {"return"},
    "logistics_delay": {"refund"},
}
CAUSES = {
    "transit_damage": ("courier/YTO", "merchant"),
    "packing_error": ("production", "merchant"),
    "buyer_changed_mind": ("none", "buyer"),
}
NAMES = ("甲", "乙")


@dataclass
class Offer:
    """A compensation."""

    kind: str
    fen: int
    by: str
    approver: str
    approved: bool | None = None
    agreed: bool | None = None
    paid: bool = False
    withdrawn: bool = False
    open_fen: int = 0

    @property
    def counts(self) -> bool:
        return not self.withdrawn and self.agreed is not False and self.approved is not False

    @property
    def waits(self) -> bool:
        return bool(self.approver) and self.approved is None and self.counts and not self.paid


@dataclass
class Parcel:
    """Goods on their way back."""

    units: int
    merchant: bool
    status: str = "authorised"
    freight_fen: int = 0


@dataclass
class Payout:
    """Money that is to leave, and the loss that it makes when it does: by case."""

    fen: int
    losses: list[tuple[str, int]]
    status: str = "open"


@dataclass
class Case:
    """A case, as the model sees it."""

    problem: str
    units: int
    closed: bool = False
    offers: dict[str, Offer] = field(default_factory=dict)
    parcels: dict[str, Parcel] = field(default_factory=dict)
    accepted: int = 0
    refused: bool = False
    refunds: int = 0
    refunded: int = 0
    refunded_returned: int = 0
    payouts: dict[str, Payout] = field(default_factory=dict)
    cause: str = ""
    shares: list[tuple[str, int]] = field(default_factory=list)
    assigned: bool = False
    net_fen: int = 0
    goods_fen: int = 0
    cash_back_fen: int = 0
    difference_back_fen: int = 0
    freight_fen: int = 0

    @property
    def under_way(self) -> int:
        return sum(parcel.units for parcel in self.parcels.values() if parcel.status in ("authorised", "shipped"))


def split(fen: int, shares: list[tuple[str, int]]) -> dict[str, int]:
    """The largest remainder by shares of 10000, the first one where remainders are equal."""
    exact = [Fraction(abs(fen) * share, 10_000) for _, share in shares]
    parts = [int(one) for one in exact]
    by_rest = sorted(range(len(parts)), key=lambda place: (parts[place] - exact[place], place))
    for place in by_rest[: abs(fen) - sum(parts)]:
        parts[place] += 1
    sign = 1 if fen >= 0 else -1
    return {party: sign * part for (party, _), part in zip(shares, parts, strict=True) if part}


class Walk(RuleBasedStateMachine):
    """Commands in any order about one order; `server` is set by the test."""

    server: Server

    @initialize()
    def record(self) -> None:
        self.order = self.server.order(lines=[*order_body("")["lines"][1:], _line()])
        self.cases: dict[str, Case] = {}
        self.offered: list[tuple[Case, Offer]] = []
        self.last: tuple[str, Any, str, str] | None = None
        self.refunded = 0
        self.refunded_fen = 0
        self.changed = False
        self.open_case("return_request", 2)
        self.open_case("logistics_delay", 3)

    # -- the wire

    def give(self, path: str, body: dict[str, Any], who: str, expected: str) -> Answer:
        """Send a command and compare: the code of a refusal, or nothing."""
        key = next(self.server.keys)
        answer = self.server.command(path, body, who, key=key)
        assert answer.code == expected, (path, body, who, expected, answer.raw.decode())
        self.last = (path, body, who, key)
        self.last_raw = answer.raw
        self.changed = self.changed or not expected
        return answer

    def on(self, case_id: str, command: str, body: dict[str, Any], who: str, expected: str) -> Answer:
        return self.give(f"/v1/cases/{case_id}/{command}", body, who, expected)

    def first(self, *refusals: tuple[bool, str]) -> str:
        """The first refusal that applies."""
        return next((code for applies, code in refusals if applies), "")

    # -- what all cases have together

    def sum_of(self, name: str) -> int:
        return sum(getattr(case, name) for case in self.cases.values())

    def committed_fen(self) -> int:
        """Cash and price difference that still count."""
        return sum(
            offer.fen for _, offer in self.offered if offer.counts and offer.kind in ("cash", "price_difference")
        )

    # -- cases

    @precondition(lambda self: len(self.cases) < 4)
    @rule(problem=st.sampled_from(sorted(REMEDIES)), units=st.integers(1, 4))
    def open_case(self, problem: str, units: int) -> None:
        body = {
            "order_id": self.order,
            "problem": problem,
            "description": "…",
            "lines": [{"line_id": "L1", "quantity": units}],
        }
        expected = self.first((units > BOUGHT, "exceeds_quantity"))
        answer = self.give("/v1/cases", body, "agent/甲", expected)
        if not expected:
            assert answer.body["case_id"] == f"{self.order}-{len(self.cases) + 1}"
            self.cases[answer.body["case_id"]] = Case(problem, units)

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), really=st.integers(0, 3))
    def close(self, data: st.DataObject, really: int) -> None:
        case_id, case = self.pick(data)
        if really:
            return
        unpaid = any(offer.agreed and offer.counts and not offer.paid for offer in case.offers.values())
        moving = any(payout.status != "succeeded" for payout in case.payouts.values())
        nameless = case.net_fen != 0 and not case.shares
        if case.closed:
            self.on(case_id, "close-case", {"resolution": "…"}, "agent/甲", "invalid_transition")
        elif unpaid or moving or case.under_way or nameless:
            self.on(case_id, "close-case", {"resolution": "…"}, "agent/甲", "unfinished_business")
        elif case.shares or not (case.offers or case.parcels or case.refunds):
            self.on(case_id, "close-case", {"resolution": "…"}, "agent/甲", "")
            case.closed = True

    @precondition(lambda self: any(case.closed for case in self.cases.values()))
    @rule(data=st.data())
    def reopen(self, data: st.DataObject) -> None:
        case_id, case = self.pick(data)
        self.on(case_id, "reopen-case", {}, "agent/甲", self.first((not case.closed, "invalid_transition")))
        case.closed = False

    def pick(self, data: st.DataObject) -> tuple[str, Case]:
        case_id = data.draw(st.sampled_from(sorted(self.cases)), label="case")
        return case_id, self.cases[case_id]

    # -- compensation

    @precondition(lambda self: self.cases)
    @rule(
        data=st.data(),
        kind=st.sampled_from(["cash", "price_difference", "voucher", "good_review_reward"]),
        fen=st.one_of(st.integers(1, 2_500), st.sampled_from([500, 999, 2_000, 8_000, 40_000, 100_004])),
        role=st.sampled_from(["agent", *LADDER, "store_manager", "warehouse"]),
        name=st.sampled_from(NAMES),
    )
    def propose(self, data: st.DataObject, kind: str, fen: int, role: str, name: str) -> None:
        self.do_propose(self.pick(data)[0], kind, fen, role, name)

    def do_propose(self, case_id: str, kind: str, fen: int, role: str, name: str) -> str:
        """Offer; the id of the proposal, empty where it is refused."""
        case = self.cases[case_id]
        reward = kind == "good_review_reward"
        given = sum(offer.fen for offer in case.offers.values() if offer.kind == kind and offer.counts)
        total = fen + sum(one.fen for _, one in self.offered if one.counts and one.kind != "good_review_reward")
        over_paid = kind in ("cash", "price_difference") and (self.refunded_fen + self.committed_fen() + fen > PAID_FEN)
        expected = self.first(
            (case.closed, "invalid_transition"),
            (role == "warehouse", "forbidden"),
            (over_paid, "exceeds_paid"),
            (given + fen > 1_000 if reward else total > LIMITS["store_manager"], "authority_exceeded"),
        )
        answer = self.on(case_id, "propose-compensation", {"kind": kind, "amount_fen": fen}, f"{role}/{name}", expected)
        if expected:
            return ""
        covering = next((one for one in LADDER[LADDER.index(role) :] if total <= LIMITS[one]), role)
        approver = "" if reward or covering == role else covering
        key = str(answer.body["proposal"])
        case.offers[key] = offer = Offer(kind, fen, name, approver)
        self.offered.append((case, offer))
        assert (answer.body["events"][-1]["type"] == "approval.requested") is bool(approver)
        return key

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), kind=st.sampled_from(["cash", "price_difference", "voucher"]), fen=st.integers(1, 9_000))
    def compensate(self, data: st.DataObject, kind: str, fen: int) -> None:
        """An offer that goes all its way."""
        case_id = self.pick(data)[0]
        key = self.do_propose(case_id, kind, fen, "store_manager", "乙")
        if key:
            self.do_reply(case_id, key, True)
            self.do_pay(case_id, key)

    def pick_offer(self, data: st.DataObject, fits: Callable[[Offer], bool]) -> tuple[str, Case, str, Offer]:
        """Mostly one that fits what is to be done with it."""
        places = [(case_id, key) for case_id, case in self.cases.items() for key in case.offers]
        case_id, key = self.likely(data, places, lambda place: fits(self.cases[place[0]].offers[place[1]]))
        return case_id, self.cases[case_id], key, self.cases[case_id].offers[key]

    def likely(
        self, data: st.DataObject, places: list[tuple[str, str]], fits: Callable[[tuple[str, str]], bool]
    ) -> tuple[str, str]:
        """One of these; three times out of four one that fits, and in a case that is open."""
        good = [place for place in places if not self.cases[place[0]].closed and fits(place)]
        sensible = data.draw(st.integers(0, 3), label="sensible") > 0
        return data.draw(st.sampled_from(good if sensible and good else places), label="which")

    @precondition(lambda self: self.offered)
    @rule(data=st.data(), role=st.sampled_from(LADDER), name=st.sampled_from(NAMES), yes=st.booleans())
    def approve(self, data: st.DataObject, role: str, name: str, yes: bool) -> None:
        case_id, case, key, offer = self.pick_offer(data, lambda one: one.waits)
        too_low = bool(offer.approver) and LADDER.index(role) < LADDER.index(offer.approver)
        expected = self.first(
            (case.closed, "invalid_transition"),
            (offer.by == name, "self_approval"),
            (too_low, "authority_exceeded"),
            (offer.paid, "already_paid"),
            (not offer.waits, "invalid_transition"),
        )
        self.on(case_id, "approve" if yes else "decline-approval", {"proposal": key}, f"{role}/{name}", expected)
        if not expected:
            offer.approved = yes

    @precondition(lambda self: self.offered)
    @rule(data=st.data(), yes=st.integers(0, 3))
    def reply(self, data: st.DataObject, yes: int) -> None:
        case_id, _, key, _ = self.pick_offer(data, lambda one: one.counts and one.agreed is None)
        self.do_reply(case_id, key, yes > 0)

    def do_reply(self, case_id: str, key: str, yes: bool) -> None:
        case, offer = self.cases[case_id], self.cases[case_id].offers[key]
        expected = self.first(
            (case.closed, "invalid_transition"),
            (offer.paid, "already_paid"),
            (not offer.counts or offer.agreed is not None, "invalid_transition"),
        )
        self.on(case_id, "record-buyer-reply", {"proposal": key, "accepted": yes}, "agent/甲", expected)
        if not expected:
            offer.agreed = yes

    @precondition(lambda self: self.offered)
    @rule(data=st.data())
    def pay(self, data: st.DataObject) -> None:
        case_id, _, key, _ = self.pick_offer(data, lambda one: bool(one.counts and one.agreed and not one.waits))
        self.do_pay(case_id, key)

    def do_pay(self, case_id: str, key: str) -> None:
        case, offer = self.cases[case_id], self.cases[case_id].offers[key]
        expected = self.first(
            (case.closed, "invalid_transition"),
            (offer.paid, "already_paid"),
            (offer.waits, "approval_required"),
            (not offer.counts or not offer.agreed, "invalid_transition"),
        )
        self.on(case_id, "pay-compensation", {"proposal": key, "payment_ref": "ALI"}, "finance/丙", expected)
        if not expected:
            offer.paid, offer.open_fen = True, offer.fen
            case.net_fen += 0 if offer.kind == "good_review_reward" else offer.fen
            self.offered.remove((case, offer))
            self.offered.append((case, offer))  # what was paid first is deducted first

    @precondition(lambda self: self.offered)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        case_id, case, key, offer = self.pick_offer(data, lambda one: one.paid)
        expected = self.first(
            (case.closed, "invalid_transition"),
            (offer.paid, "already_paid"),
            (not offer.counts, "invalid_transition"),
        )
        self.on(case_id, "withdraw-proposal", {"proposal": key, "reason": "…"}, "team_lead/丁", expected)
        if not expected:
            offer.withdrawn = True

    # -- returns

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), units=st.sampled_from([1, 1, 2, 3]))
    def authorise(self, data: st.DataObject, units: int) -> None:
        self.do_authorise(self.pick(data)[0], units)

    def do_authorise(self, case_id: str, units: int) -> str:
        """Let goods come back; the id of the return, empty where it is refused."""
        case = self.cases[case_id]
        room = min(
            case.units - case.accepted - case.under_way, BOUGHT - self.sum_of("accepted") - self.sum_of("under_way")
        )
        expected = self.first(
            (case.closed, "invalid_transition"),
            ("return" not in REMEDIES[case.problem], "remedy_not_allowed"),
            (units > room, "exceeds_quantity"),
        )
        answer = self.on(case_id, "authorise-return", {"lines": [_units(units)]}, "team_lead/丁", expected)
        if expected:
            return ""
        key = str(answer.body["return_id"])
        case.parcels[key] = Parcel(units, not case.cause or CAUSES[case.cause][1] == "merchant")
        return key

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), freight=st.integers(0, 3_000), accepted=st.integers(0, 3), resalable=st.booleans())
    def come_back(self, data: st.DataObject, freight: int, accepted: int, resalable: bool) -> None:
        """A return that goes all its way."""
        case_id = self.pick(data)[0]
        key = self.do_authorise(case_id, 1)
        if key:
            self.do_ship(case_id, key, freight, "YTO")
            self.do_receive(case_id, key, accepted > 0, resalable)

    def pick_parcel(self, data: st.DataObject, status: str) -> tuple[str, Case, str, Parcel]:
        """Mostly one that stands there."""
        places = [(case_id, key) for case_id, case in self.cases.items() for key in case.parcels]
        case_id, key = self.likely(data, places, lambda at: self.cases[at[0]].parcels[at[1]].status == status)
        return case_id, self.cases[case_id], key, self.cases[case_id].parcels[key]

    @precondition(lambda self: any(case.parcels for case in self.cases.values()))
    @rule(data=st.data(), freight=st.sampled_from([0, 1_500, 800]), carrier=st.sampled_from(["YTO", "ZTO", "SF"]))
    def ship(self, data: st.DataObject, freight: int, carrier: str) -> None:
        case_id, _, key, _ = self.pick_parcel(data, "authorised")
        self.do_ship(case_id, key, freight, carrier)

    def do_ship(self, case_id: str, key: str, freight: int, carrier: str) -> None:
        case, parcel = self.cases[case_id], self.cases[case_id].parcels[key]
        expected = self.first(
            (case.closed, "invalid_transition"),
            (carrier == "SF", "return_carrier_refused"),
            (parcel.status != "authorised", "invalid_transition"),
        )
        body = {"return_id": key, "carrier": carrier, "tracking_no": "T", "freight_fen": freight}
        self.on(case_id, "ship-return", body, "service/app", expected)
        if not expected:
            parcel.status, parcel.freight_fen = "shipped", freight

    @precondition(lambda self: any(case.parcels for case in self.cases.values()))
    @rule(data=st.data(), accepted=st.integers(0, 3), resalable=st.booleans())
    def receive(self, data: st.DataObject, accepted: int, resalable: bool) -> None:
        case_id, _, key, _ = self.pick_parcel(data, "shipped")
        self.do_receive(case_id, key, accepted > 0, resalable)

    def do_receive(self, case_id: str, key: str, accepted: bool, resalable: bool) -> None:
        case, parcel = self.cases[case_id], self.cases[case_id].parcels[key]
        expected = self.first((case.closed or parcel.status != "shipped", "invalid_transition"))
        lines = [_units(parcel.units) | {"resalable": resalable}]
        body = {"return_id": key, "lines": lines, "accepted": accepted}
        self.on(case_id, "receive-return", body, "warehouse/戊", expected)
        if expected:
            return
        parcel.status = "accepted" if accepted else "refused"
        if accepted:
            case.accepted += parcel.units
            case.net_fen -= COST_FEN * parcel.units if resalable else 0
            if parcel.merchant and parcel.freight_fen:
                case.freight_fen += parcel.freight_fen
                payout = Payout(parcel.freight_fen, [(case_id, parcel.freight_fen)])
                case.payouts[f"{case_id}:freight_reimbursement:{key}"] = payout

    @precondition(lambda self: any(case.parcels for case in self.cases.values()))
    @rule(data=st.data())
    def cancel_return(self, data: st.DataObject) -> None:
        case_id, case, key, parcel = self.pick_parcel(data, "cancelled")
        moving = parcel.status in ("authorised", "shipped")
        expected = self.first((case.closed or not moving, "invalid_transition"))
        self.on(case_id, "cancel-return", {"return_id": key, "reason": "…"}, "agent/甲", expected)
        if not expected:
            parcel.status = "cancelled"

    # -- refunds

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), units=st.sampled_from([1, 1, 1, 2, 3]), stays=st.booleans())
    def refund(self, data: st.DataObject, units: int, stays: bool) -> None:
        case_id, case = self.pick(data)
        stays = stays and "refund" in REMEDIES[case.problem]
        room = min(max(case.units, case.accepted) - case.refunded, BOUGHT - self.refunded)
        goods = PAID_FEN * (self.refunded + units) // BOUGHT - PAID_FEN * self.refunded // BOUGHT
        taken, cash, difference = self.deductions(goods)
        fen = goods - cash - difference
        live = [parcel for parcel in case.parcels.values() if parcel.status != "cancelled"]
        expected = self.first(
            (case.closed, "invalid_transition"),
            (units > room, "exceeds_quantity"),
            (units <= room and self.refunded_fen + self.committed_fen() + fen > PAID_FEN, "exceeds_paid"),
            (not stays and bool(live) and live[-1].status == "refused", "return_not_accepted"),
            (not stays and units > case.accepted - case.refunded_returned, "return_not_received"),
        )
        body = {"lines": [_units(units)], "refund_only": stays}
        answer = self.on(case_id, "request-refund", body, "team_lead/丁", expected)
        if expected:
            return
        for offer, part in taken:
            offer.open_fen -= part
        self.refunded += units
        self.refunded_fen += fen
        case.refunded += units
        case.refunded_returned += 0 if stays else units
        case.goods_fen += goods
        case.cash_back_fen += cash
        case.difference_back_fen += difference
        losses = [(case_id, COST_FEN * units)]
        losses += [(self.case_of(offer), -part) for offer, part in taken]
        payout = Payout(fen, losses)
        if fen:
            case.payouts[f"{case_id}:refund:{answer.body['refund']}"] = payout
        else:
            self.lose(payout)

    def deductions(self, goods_fen: int) -> tuple[list[tuple[Offer, int]], int, int]:
        """What a refund of goods takes back: cash first, then price differences, each what was paid first."""
        taken: list[tuple[Offer, int]] = []
        sums = []
        for kind in ("cash", "price_difference"):
            total = 0
            for _, offer in self.offered:
                if offer.kind == kind and offer.paid and offer.open_fen:
                    part = min(offer.open_fen, goods_fen)
                    goods_fen -= part
                    total += part
                    taken.append((offer, part))
            sums.append(total)
        return [(offer, part) for offer, part in taken if part], sums[0], sums[1]

    def case_of(self, offer: Offer) -> str:
        return next(case_id for case_id, case in self.cases.items() if offer in case.offers.values())

    def lose(self, payout: Payout) -> None:
        for case_id, fen in payout.losses:
            self.cases[case_id].net_fen += fen

    @precondition(lambda self: any(case.payouts for case in self.cases.values()))
    @rule(
        data=st.data(),
        ok=st.integers(0, 3),
        who=st.sampled_from(["finance/丙", "finance/丙", "service/erp", "agent/甲"]),
    )
    def confirm(self, data: st.DataObject, ok: int, who: str) -> None:
        case_id, key, payout = self.pick_payout(data, "open")
        status = "succeeded" if ok else "failed"
        expected = self.first(
            (who == "agent/甲", "forbidden"),
            (payout.status == "succeeded", "already_paid"),
            (not ok and payout.status == "failed", "invalid_transition"),
        )
        body = {"payout": key, "status": status} | ({"channel_ref": "WX"} if ok else {})
        self.on(case_id, "confirm-payout", body, who, expected)
        if not expected:
            payout.status = status
            if ok:
                self.lose(payout)

    @precondition(lambda self: any(case.payouts for case in self.cases.values()))
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        case_id, key, payout = self.pick_payout(data, "failed")
        expected = self.first((payout.status != "failed", "payout_not_failed"))
        self.on(case_id, "retry-payout", {"payout": key}, "finance/丙", expected)
        if not expected:
            payout.status = "open"

    def pick_payout(self, data: st.DataObject, status: str) -> tuple[str, str, Payout]:
        """Mostly one that stands there."""
        places = [(case_id, key) for case_id, case in self.cases.items() for key in case.payouts]
        case_id, key = self.likely(data, places, lambda at: self.cases[at[0]].payouts[at[1]].status == status)
        return case_id, key, self.cases[case_id].payouts[key]

    # -- liability

    @precondition(lambda self: self.cases)
    @rule(data=st.data(), cause=st.sampled_from(sorted(CAUSES)))
    def assess(self, data: st.DataObject, cause: str) -> None:
        case_id, case = self.pick(data)
        expected = self.first((case.closed, "invalid_transition"))
        self.on(case_id, "assess-cause", {"cause": cause}, "agent/甲", expected)
        if not expected:
            case.cause = cause
            if not case.assigned:
                case.shares = [(CAUSES[cause][0], 10_000)]

    @precondition(lambda self: self.cases)
    @rule(
        data=st.data(),
        cut=st.tuples(st.integers(1, 9_998), st.integers(1, 9_998)),
        role=st.sampled_from(["team_lead", "agent"]),
    )
    def assign(self, data: st.DataObject, cut: tuple[int, int], role: str) -> None:
        case_id, case = self.pick(data)
        first, rest = cut[0], 10_000 - cut[0]
        second = min(cut[1], rest - 1) or 1
        shares = [("warehouse", first), ("courier/ZTO", second), ("production", 10_000 - first - second)]
        whole = all(share > 0 for _, share in shares)
        expected = self.first((not whole, "invalid"), (role == "agent", "forbidden"))
        told = [{"party": party, "share_bp": share} for party, share in shares]
        self.on(case_id, "assign-liability", {"shares": told, "reason": "…"}, f"{role}/丁", expected)
        if not expected:
            case.shares, case.assigned = shares, True

    # -- what must hold

    @precondition(lambda self: self.last)
    @rule()
    def repeat(self) -> None:
        """A repeated request gets the same answer and changes nothing."""
        assert self.last is not None
        path, body, who, key = self.last
        before = self.server.heads()
        answer = self.server.command(path, body, who, key=key)
        assert (answer.raw, answer.headers["Idempotent-Replayed"]) == (self.last_raw, "true")
        assert self.server.heads() == before

    def check_invariants(self, *args: Any, **kwargs: Any) -> None:
        """After each step, once everything has flowed: money and losses are the model's."""
        super().check_invariants(*args, **kwargs)
        if not getattr(self, "changed", False):
            return
        self.changed = False
        self.server.settle()
        assert self.refunded_fen + self.committed_fen() <= PAID_FEN
        for case_id, case in self.cases.items():
            self.check_money(self.server.get(f"/v1/cases/{case_id}").body, case)
            self.check_losses(self.server.get(f"/v1/cases/{case_id}/charges"), case)

    def check_money(self, told: dict[str, Any], case: Case) -> None:
        settlement = told["settlement"]
        refund = case.goods_fen - case.cash_back_fen - case.difference_back_fen
        assert told["status"] == ("closed" if case.closed else "open")
        assert settlement["goods_fen"] == case.goods_fen
        assert settlement["compensation_deducted_fen"] == case.cash_back_fen
        assert settlement["price_difference_deducted_fen"] == case.difference_back_fen
        assert settlement["refund_fen"] == refund
        assert settlement["freight_reimbursed_fen"] == case.freight_fen
        assert settlement["net_fen"] == refund + case.freight_fen
        payouts = {one["payout"]: (one["amount_fen"], _status(one["status"])) for one in told["payouts"]}
        assert payouts == {key: (one.fen, one.status) for key, one in case.payouts.items()}
        assert told["net_loss_fen"] == case.net_fen
        assert told["losses"] == split(case.net_fen, case.shares)
        assert sum(told["losses"].values()) + told["suspense_fen"] == case.net_fen

    def check_losses(self, answer: Answer, case: Case) -> None:
        told = answer.body
        charges = {one["party"]: one["charged_fen"] for one in told["charges"] if one["charged_fen"]}
        assert told["net_fen"] == case.net_fen == sum(entry["amount_fen"] for entry in told["entries"])
        assert charges == split(case.net_fen, case.shares)
        assert sum(charges.values()) + told["suspense_fen"] == case.net_fen


def _line() -> dict[str, Any]:
    return {
        "line_id": "L1",
        "sku": "LOCK-A1",
        "kind": "product",
        "quantity": BOUGHT,
        "paid_fen": PAID_FEN,
        "unit_cost_fen": COST_FEN,
    }


def _units(units: int) -> dict[str, Any]:
    return {"line_id": "L1", "quantity": units}


def _status(told: str) -> str:
    return "open" if told in ("requested", "unknown") else told


@pytest.fixture
def walk(server: Server) -> type[Walk]:
    """The walk over a running server."""

    class OnServer(Walk):
        pass

    OnServer.server = server
    return OnServer


def test_the_api_does_what_the_model_says(walk: type[Walk]) -> None:
    """Every answer, every settlement and every charge along the way is what the model predicts."""
    run_state_machine_as_test(
        walk,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

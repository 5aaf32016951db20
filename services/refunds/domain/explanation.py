"""Where the money comes from that a buyer gets back, by the very rules that decided it (`domain.md` §4).

The order's events are folded once more. Before each event that decided an amount, the rule is asked again with the file
as it was then; so an explanation shows what the rules make of the facts, and whether that is what was decided.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from contracts.event import Event
from contracts.events import cases as c
from contracts.events import refunds as r
from contracts.events.orders import OrderRecorded
from contracts.policy import Text
from contracts.refund_formula import CASH, LineAccount, units_value
from services.kernel.explanation import Explanation, Node, in_yuan, leaf, reference, total
from services.kernel.log import Record
from services.kernel.refusal import Refusal
from services.refunds.domain.buyers_money import charge_returns_due, deposits_due
from services.refunds.domain.file import (
    CHARGE_RETURN,
    DEPOSIT_RETURN,
    FREIGHT_REIMBURSEMENT,
    Case,
    RefundsFile,
    Return,
)
from services.refunds.domain.freight import freight_due
from services.refunds.domain.refund import calculated
from services.refunds.domain.settlement import settlement_due

#: What an event is about besides its case, so that an explanation finds it again.
_ITEM: Mapping[type[Event], str] = {
    c.CompensationPaid: "proposal",
    c.ReturnReceived: "return_id",
    c.DepositCollected: "deposit",
    c.DepositForfeited: "deposit",
    c.RefundRequested: "refund",
    c.ReshipmentCancelled: "charge",
}
#: How a payout fares; the last one tells.
_PAYOUT_EVENTS = (r.PayoutRequested, r.PayoutSucceeded, r.PayoutFailed, r.PayoutUnknown)


class _Decided(NamedTuple):
    """An amount that was decided, whether the rules come to the same, and how."""

    figure_fen: int
    holds: bool
    node: Node


def explain(records: Sequence[Record], case_id: str, item: str = "") -> Explanation:
    """What the buyer of a case gets, from the records of its order's file.

    `item` is a refund (`F1`), a return whose freight was advanced (`RT1`), a deposit (`D1`) or a payment for a sale
    (`B1`); without one, it is the case's settlement. Raises `Refusal` `unknown_case`, and `unknown_item` with what
    there is.
    """
    history = _History(case_id.rpartition("-")[0])
    for record in records:
        history.take(record)
    case = history.file.cases.get(case_id)
    if case is None:
        raise Refusal("unknown_case", case_id=case_id)
    figure_fen, holds, tree = history.item(case, item) if item else history.settlement(case)
    return Explanation("refunds", case_id, figure_fen, holds and tree.fen == figure_fen, tree)


class _History:
    """The events of an order in the order in which they were recorded, and what each decided."""

    def __init__(self, order_id: str) -> None:
        self.file = RefundsFile(order_id)
        self._decided: dict[tuple[str, str], _Decided] = {}
        self._seen: dict[tuple[str, ...], list[Record]] = defaultdict(list)

    def take(self, record: Record) -> None:
        """One more event."""
        self._ask_again(record)
        if isinstance(record.event, OrderRecorded):
            self._snapshot(record)
        else:
            self.file.evolve(record)
            self._remember(record)

    def _snapshot(self, record: Record) -> None:
        """Not every snapshot counts: once there is a case, what was paid for a line stands."""
        before = dict(self.file.accounts)
        self.file.evolve(record)
        for line_id, account in self.file.accounts.items():
            if before.get(line_id) is not account:
                self._seen["line", line_id] = [record]

    def _remember(self, record: Record) -> None:
        event = record.event
        match event:
            case r.RefundCalculated():
                for line in event.lines:
                    self._seen["refunded", line.line_id].append(record)
            case c.InsurancePaid() | c.InsuranceFailed():
                self._seen["insurance", event.case_id].append(record)
            case c.CaseOpened() | r.SettlementUpdated():
                self._seen["settlement", event.case_id] = [record]
            case _ if isinstance(event, _PAYOUT_EVENTS):
                self._seen["payout", event.case_id, event.item] = [record]
            case _ if type(event) in _ITEM:
                self._seen[record.type, event.case_id, getattr(event, _ITEM[type(event)])].append(record)

    def _about(self, *key: str) -> list[Record]:
        return self._seen.get(key, [])

    # -- what events decided

    def _ask_again(self, record: Record) -> None:
        event = record.event
        match event:
            case r.RefundCalculated():
                self._decided[event.case_id, event.refund] = self._refund(record, event)
            case r.PayoutRequested(attempt=1) if event.kind == FREIGHT_REIMBURSEMENT:
                self._decided[event.case_id, event.item] = self._freight(record, event, event.item)
            case r.ReturnFreightReimbursed() if (event.case_id, event.return_id) not in self._decided:
                self._decided[event.case_id, event.return_id] = self._freight(record, event, event.return_id)
            case r.PayoutRequested(attempt=1) if event.kind == DEPOSIT_RETURN:
                self._decided[event.case_id, event.item] = self._deposit(record, event)
            case r.PayoutRequested(attempt=1) if event.kind == CHARGE_RETURN:
                self._decided[event.case_id, event.item] = self._charge_return(record, event)

    def _refund(self, record: Record, event: r.RefundCalculated) -> _Decided:
        again = calculated(self.file, event.case_id, event.refund)
        lines = [self._line(line, again.deductions, record.policy) for line in again.lines]
        text = Text(zh=f"退款 {event.refund}:各商品行之和", en=f"refund {event.refund}: the sum of its lines")
        asked = self._about("refund.requested", event.case_id, event.refund)
        tree = total("refund", text, record.policy, [*asked, record], lines)
        return _Decided(event.refund_fen, _figures(again) == _figures(event), tree)

    def _line(self, line: r.RefundedLine, deductions: Sequence[r.Deduction], policy: str) -> Node:
        account = self.file.accounts[line.line_id]
        known = [*self._about("line", line.line_id), *self._about("refunded", line.line_id)]
        goods = leaf(line.goods_fen, "goods", _goods_text(account, line.quantity), policy, known)
        taken = [self._deduction(account, part, policy) for part in deductions if part.line_id == line.line_id]
        zh, en = f"商品行 {line.line_id}", f"line {line.line_id}"
        if line.carried_deduction_fen:
            left_zh, left_en = in_yuan(line.carried_deduction_fen)
            zh, en = f"{zh}(尚有 {left_zh}未扣完,下次退款再扣)", f"{en} ({left_en} left for its next refund to deduct)"
        return total("refund_line", Text(zh=zh, en=en), policy, (), [goods, *taken])

    def _deduction(self, account: LineAccount, part: r.Deduction, policy: str) -> Node:
        open_fen = sum(
            paid.open_fen
            for paid in account.open[part.kind]
            if (paid.case_id, paid.proposal) == (part.case_id, part.proposal)
        )
        kind = ("现金补偿", "cash") if part.kind == CASH else ("差价", "price difference")
        open_zh, open_en = in_yuan(open_fen)
        text = Text(
            zh=f"扣回 {part.case_id} 已付的{kind[0]} {part.proposal}(本行未扣 {open_zh}),以所余商品价值为限",
            en=f"{kind[1]} {part.proposal} paid in {part.case_id} (on this line {open_en} not deducted yet), taken back"
            " as far as the goods go",
        )
        rule = "compensation_deducted" if part.kind == CASH else "price_difference_deducted"
        paid = self._about("compensation.paid", part.case_id, part.proposal)
        return leaf(-part.amount_fen, rule, text, policy, paid)

    def _freight(
        self, record: Record, event: r.PayoutRequested | r.ReturnFreightReimbursed, return_id: str
    ) -> _Decided:
        case = self.file.cases[event.case_id]
        again = freight_due(self.file, case)
        amount_fen = sum(one.amount_fen for one in again if isinstance(one, type(event)))
        tree = self._freight_node(case, case.returns[return_id], [record], amount_fen)
        return _Decided(event.amount_fen, event in again, tree)

    def _deposit(self, record: Record, event: r.PayoutRequested) -> _Decided:
        case = self.file.cases[event.case_id]
        again = deposits_due(self.file, case)
        last = case.last_return
        received = self._about("return.received", case.case_id, last.return_id) if last else []
        tree = self._deposit_node(case, event.item, [*received, record], ())
        return _Decided(event.amount_fen, event in again, tree)

    def _charge_return(self, record: Record, event: r.PayoutRequested) -> _Decided:
        case = self.file.cases[event.case_id]
        again = charge_returns_due(self.file, case)
        cancelled = self._about("reshipment.cancelled", case.case_id, event.item)
        text = Text(
            zh=f"补发取消,退还买家为 {event.item} 付的款",
            en=f"its reshipment was cancelled: what the buyer paid for {event.item} goes back",
        )
        paid = leaf(case.charge_returns[event.item], "buyer_payment", text, record.policy, cancelled)
        whole = Text(zh=f"退还买家付款 {event.item}", en=f"return of the buyer's payment {event.item}")
        return _Decided(event.amount_fen, event in again, total(CHARGE_RETURN, whole, record.policy, [record], [paid]))

    # -- what is asked for

    def _items(self, case: Case) -> list[str]:
        """What of the case can be explained: amounts that were decided, or that wait for something."""
        refunds = [refund for refund, one in case.refunds.items() if one.calculated is not None]
        returns = [one.return_id for one in case.accepted_returns]
        charges = [charge for charge in case.charge_returns if (case.case_id, charge) in self._decided]
        return [*refunds, *returns, *case.deposits, *charges]

    def item(self, case: Case, item: str) -> _Decided:
        """One amount, with how its payout fared. Raises `Refusal` `unknown_item`."""
        there = self._items(case)
        if item not in there:
            raise _unknown(case, item, there)
        figure_fen, holds, node = self._decided.get((case.case_id, item)) or self._open(case, item)
        known = {one.id for one in node.events}
        moved = [reference(one) for one in self._about("payout", case.case_id, item) if one.id not in known]
        events = (*node.events, *moved)
        return _Decided(figure_fen, holds, Node(node.fen, node.rule, node.text, node.policy, events, node.children))

    def settlement(self, case: Case) -> _Decided:
        """All refunds of the case, and the freight of all its accepted returns."""
        refunds = [refund for refund, one in case.refunds.items() if one.calculated is not None]
        returns = [one.return_id for one in case.accepted_returns if one.freight_fen]
        parts = [self.item(case, item) for item in (*refunds, *returns)]
        told = self._about("settlement", case.case_id)
        text = Text(
            zh=f"买家从 {case.case_id} 实得:退款与返还的退回运费之和",
            en=f"what the buyer gets from {case.case_id}: refunds and return freight reimbursed",
        )
        tree = total("net", text, told[-1].policy, told, [part.node for part in parts])
        holds = all(part.holds for part in parts) and not settlement_due(case)
        return _Decided(case.settlement.net_fen, holds, tree)

    def _open(self, case: Case, item: str) -> _Decided:
        """Money that did not go back to the buyer, or not yet."""
        if item in case.deposits:
            node = self._deposit_node(case, item, (), [self._kept(case, item)])
            return _Decided(0, not deposits_due(self.file, case), node)
        node = self._freight_node(case, case.returns[item], (), 0)
        return _Decided(0, not freight_due(self.file, case), node)

    # -- nodes

    def _freight_node(self, case: Case, one: Return, decided: Sequence[Record], amount_fen: int) -> Node:
        received = self._about("return.received", case.case_id, one.return_id)
        policy = (*received, *decided)[-1].policy
        advanced = Text(
            zh=f"买家垫付的退回运费({one.return_id})", en=f"return freight that the buyer advanced ({one.return_id})"
        )
        children = [leaf(one.freight_fen, "freight_advanced", advanced, policy, received)]
        if one.freight_fen != amount_fen:
            children.append(self._not_reimbursed(case, one, amount_fen - one.freight_fen, policy))
        text = Text(zh=f"返还 {one.return_id} 的退回运费", en=f"return freight of {one.return_id} reimbursed")
        return total("freight_reimbursed", text, policy, decided, children)

    def _not_reimbursed(self, case: Case, one: Return, fen: int, policy: str) -> Node:
        received = self._about("return.received", case.case_id, one.return_id)
        if not one.borne_by_merchant:
            text = Text(zh="退回运费由买家承担", en="the buyer bears the return freight")
            return leaf(fen, "freight_borne_by_buyer", text, policy, received)
        if not case.claim_decided:
            text = Text(zh="等待运费险结果", en="waits for what the freight insurance says")
            return leaf(fen, "freight_pending", text, policy, received)
        text = Text(
            zh="运费险已赔给买家:先抵最早的退回运费,以运费为限",
            en="the freight insurance paid the buyer: set against the oldest return freight first, as far as it goes",
        )
        return leaf(fen, "insurance_deducted", text, policy, self._about("insurance", case.case_id)[:1])

    def _deposit_node(self, case: Case, item: str, decided: Sequence[Record], kept: Sequence[Node]) -> Node:
        records = self._about("deposit.collected", case.case_id, item)
        policy = (*records, *decided)[-1].policy
        there = Text(zh=f"押金 {item} 到账", en=f"deposit {item} that is in")
        collected = leaf(case.deposits[item].amount_fen, "deposit_collected", there, policy, records)
        text = Text(
            zh=f"退还押金 {item}:旧货验收后全额退还",
            en=f"return of deposit {item}: in full once the old goods are accepted",
        )
        return total(DEPOSIT_RETURN, text, policy, decided, [collected, *kept])

    def _kept(self, case: Case, item: str) -> Node:
        deposit = case.deposits[item]
        if deposit.forfeited:
            records = self._about("deposit.forfeited", case.case_id, item)
            text = Text(zh="押金已没收", en="the deposit is forfeited")
            return leaf(-deposit.amount_fen, "deposit_forfeited", text, records[-1].policy, records)
        records = self._about("deposit.collected", case.case_id, item)
        text = Text(zh="旧货未验收,押金仍持有", en="held until the old goods are accepted")
        return leaf(-deposit.amount_fen, "deposit_held", text, records[-1].policy, records)


def _figures(event: r.RefundCalculated) -> tuple[object, ...]:
    return (
        event.refund_fen,
        event.goods_fen,
        event.compensation_deducted_fen,
        event.price_difference_deducted_fen,
        event.deductions,
    )


def _goods_text(account: LineAccount, units: int) -> Text:
    """The value of units: that of the first so many, less that of the ones before."""
    first, quantity = account.refunded_units, account.quantity
    upto = first + units
    paid_zh, paid_en = in_yuan(account.paid_fen)
    zh = f"{units} 件的商品价值:整行 {quantity} 件,实付 {paid_zh}"
    en = f"value of {units} of {quantity} units that were paid {paid_en}"
    if units != quantity:
        upto_zh, upto_en = in_yuan(units_value(account.paid_fen, quantity, 0, upto))
        zh, en = f"{zh};前 {upto} 件值 {upto_zh}", f"{en}; the first {upto} are worth {upto_en}"
    if first:
        first_zh, first_en = in_yuan(units_value(account.paid_fen, quantity, 0, first))
        zh, en = f"{zh},减已退的前 {first} 件 {first_zh}", f"{en}, less {first_en} for the {first} refunded before"
    return Text(zh=zh, en=en)


def _unknown(case: Case, item: str, there: Sequence[str]) -> Refusal:
    zh = f"{case.case_id} 中可查由来的有:{'、'.join(there)}" if there else f"{case.case_id} 还没有退给买家的金额"
    en = f"{case.case_id} has {', '.join(there)}" if there else f"nothing of {case.case_id} goes back to the buyer yet"
    return Refusal(
        "unknown_item", item=item[:64], errors=[{"field": "item", "rule": "of_the_case", "zh": zh, "en": en}]
    )

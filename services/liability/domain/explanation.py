"""Where a loss comes from and why a party bears its part of it, by the very rules that decided it (`domain.md` §5)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from contracts.event import Event, type_of
from contracts.events import cases as c
from contracts.events import liability as li
from contracts.events import refunds as r
from contracts.policy import Policy, Text
from services.kernel.explanation import EventReference, Explanation, Node, in_yuan, leaf, reference, total
from services.kernel.log import Record
from services.kernel.refusal import Refusal
from services.liability.domain.charge import borne, charges_due
from services.liability.domain.commands import WHOLE_BP
from services.liability.domain.file import CaseLoss, LiabilityFile


class _Term(NamedTuple):
    """A term of the net loss: the rule in words, whose event it comes from, and which."""

    zh: str
    en: str
    source: str
    event: type[Event]


TERMS: Mapping[str, _Term] = {
    "cash": _Term("已付给买家的现金补偿", "cash that was paid to the buyer", "cases", c.CompensationPaid),
    "voucher": _Term("已付给买家的优惠券", "a voucher that the buyer was given", "cases", c.CompensationPaid),
    "price_difference": _Term(
        "已付给买家的差价", "a price difference that was paid to the buyer", "cases", c.CompensationPaid
    ),
    "pickup_freight": _Term("上门取件运费", "freight of a pickup", "cases", c.PickupArranged),
    "reshipment": _Term(
        "补发:单位成本 × 件数,加运费",
        "a reshipment: unit cost × quantity, and its freight",
        "cases",
        c.ReshipmentShipped,
    ),
    "buyer_payment": _Term("买家付款,冲减损失", "paid by the buyer, a credit", "cases", c.BuyerPaid),
    "deposit_forfeited": _Term("没收的押金,冲减损失", "a forfeited deposit, a credit", "cases", c.DepositForfeited),
    "goods_returned": _Term(
        "验收合格且可再售的退回:单位成本 × 件数,冲减损失",
        "accepted back and resalable: unit cost × quantity, a credit",
        "cases",
        c.ReturnReceived,
    ),
    "return_freight": _Term(
        "返还给买家的退回运费", "return freight reimbursed to the buyer", "refunds", r.ReturnFreightReimbursed
    ),
    "goods": _Term(
        "退款到账的商品(服务除外):单位成本 × 件数",
        "goods whose refund is settled, services apart: unit cost × quantity",
        "refunds",
        r.RefundSettled,
    ),
    "deduction": _Term(
        "退款时扣回的补偿,冲减付出它的售后单",
        "compensation that a settled refund took back, a credit to the case that had paid it",
        "refunds",
        r.RefundSettled,
    ),
    "charge_return": _Term(
        "补发取消,退还买家付款", "the buyer's payment for a cancelled sale, returned", "refunds", r.PayoutSucceeded
    ),
}


def explain(policy: Policy, records: Sequence[Record], case_id: str, party: str = "") -> Explanation:
    """What a party bears of a case's loss, from the records of its order's file; without a party, the net loss.

    `policy` names parties and causes. Raises `Refusal` `unknown_case`, and `unknown_item` with what there is.
    """
    file, own = LiabilityFile(case_id.rpartition("-")[0]), []
    for record in records:
        file.evolve(record)
        if record.subject == case_id:
            own.append(record)
    case = file.cases.get(case_id)
    if case is None:
        raise Refusal("unknown_case", case_id=case_id)
    loss = _Loss(policy, case, own)
    return loss.charge(party) if party else loss.net()


class _Loss:
    """The loss of one case, with the records that are about it."""

    def __init__(self, policy: Policy, case: CaseLoss, records: Sequence[Record]) -> None:
        self._policy = policy
        self._case = case
        self._records = records
        self._postings: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            if isinstance(record.event, li.LossCharged | li.LossReversed):
                self._postings[record.event.party].append(record)

    def net(self) -> Explanation:
        """The net loss of the case, entry by entry."""
        tree = self._net()
        return Explanation("liability", self._case.case_id, self._case.net_fen, tree.fen == self._case.net_fen, tree)

    def charge(self, party: str) -> Explanation:
        """What a party bears: the net loss, less what the others bear of it."""
        if party not in self._case.charged:
            raise self._unknown(party)
        postings = self._postings[party]
        others = [self._borne_by(other) for other, fen in self._case.charged.items() if fen and other != party]
        text, decided = self._share(party)
        tree = total("charge", text, postings[-1].policy, [*decided, *postings], [self._net(), *others])
        figure_fen = self._case.charged[party]
        holds = tree.fen == figure_fen == borne(self._case).get(party, 0) and not charges_due(self._case)
        return Explanation("liability", self._case.case_id, figure_fen, holds, tree)

    def _net(self) -> Node:
        entries = [_entry(record) for record in self._records if isinstance(record.event, li.LossRecorded)]
        known = self._records[:1]
        suspense_zh, suspense_en = in_yuan(self._case.suspense_fen)
        zh, en = f"{self._case.case_id} 的净损失:各项之和", f"net loss of {self._case.case_id}: the sum of its entries"
        if self._case.suspense_fen:
            zh, en = f"{zh}(待定 {suspense_zh})", f"{en} ({suspense_en} in suspense)"
        return total("net_loss", Text(zh=zh, en=en), known[0].policy, () if entries else known, entries)

    def _borne_by(self, party: str) -> Node:
        """What another party bears, as it was posted."""
        name = self._named(party)
        text = Text(zh=f"由 {name.zh} 承担的部分", en=f"the part that {name.en} bears")
        children = [_posted_elsewhere(record) for record in self._postings[party]]
        return total("borne_by_other", text, self._postings[party][-1].policy, (), children)

    def _share(self, party: str) -> tuple[Text, list[Record]]:
        """The share of a party, in words, and the decision that says so."""
        name = self._named(party)
        decision = self._decision()
        share_bp = next((share.share_bp for share in self._case.shares if share.party == party), 0)
        net_zh, net_en = in_yuan(self._case.net_fen)
        part = f"{share_bp // 100}.{share_bp % 100:02d} %"
        zh = f"{name.zh} 承担净损失 {net_zh}的 {part}"
        en = f"{name.en} bears {part} of the net loss of {net_en}"
        if share_bp not in (0, WHOLE_BP):
            zh, en = f"{zh}(按最大余数法分到分)", f"{en} (to the fen by largest remainder)"
        because = self._because(decision.event)
        return Text(zh=f"{zh},{because.zh}", en=f"{en}, {because.en}"), [decision]

    def _decision(self) -> Record:
        """What says who bears the loss: the last assignment, else the last assessed cause."""
        kind = li.LiabilityAssigned if self._case.assigned else li.LiabilityDetermined
        return next(record for record in reversed(self._records) if isinstance(record.event, kind))

    def _because(self, decision: Event) -> Text:
        if isinstance(decision, li.LiabilityAssigned):
            return Text(zh=f"人工判定:{decision.reason}", en=f"as was assigned: {decision.reason}")
        assert isinstance(decision, li.LiabilityDetermined)
        cause = self._policy.causes.get(decision.cause)
        name = cause.name if cause else Text(zh=decision.cause, en=decision.cause)
        return Text(zh=f"按原因“{name.zh}”", en=f"by the cause “{name.en}”")

    def _named(self, party: str) -> Text:
        code, _, rest = party.partition("/")
        known = self._policy.parties.get(code)
        zh, en = (known.name.zh, known.name.en) if known else (code, code)
        return Text(zh=f"{zh} {rest}".rstrip(), en=f"{en} {rest}".rstrip())

    def _unknown(self, party: str) -> Refusal:
        case_id = self._case.case_id
        there = ", ".join(self._case.charged)
        suspense_zh, suspense_en = in_yuan(self._case.suspense_fen)
        zh = f"承担 {case_id} 损失的有:{there}" if there else f"{case_id} 的损失还没有责任方(待定 {suspense_zh})"
        en = f"the loss of {case_id} is borne by {there}" if there else f"nobody bears the loss of {case_id} yet"
        en = en if there else f"{en} ({suspense_en} in suspense)"
        return Refusal(
            "unknown_item", item=party[:64], errors=[{"field": "party", "rule": "of_the_case", "zh": zh, "en": en}]
        )


def _entry(record: Record) -> Node:
    """A term of the net loss, and the event of another service that it comes from."""
    entry: li.LossRecorded = record.event
    term = TERMS[entry.entry]
    cause = EventReference(entry.cause_id, type_of(term.event), term.source)
    text = Text(zh=term.zh, en=term.en)
    return Node(entry.amount_fen, entry.entry, text, record.policy, (cause, reference(record)))


def _posted_elsewhere(record: Record) -> Node:
    event: li.LossCharged | li.LossReversed = record.event
    if isinstance(event, li.LossCharged):
        text = Text(zh="已计入该责任方", en="charged to that party")
        return leaf(-event.amount_fen, "loss_charged", text, record.policy, [record])
    text = Text(zh="已从该责任方冲回", en="reversed from that party")
    return leaf(event.amount_fen, "loss_reversed", text, record.policy, [record])

"""The money of a case, to the fen: what the buyer gets, what was paid out, and who bears what it cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from services.kernel.money import yuan
from services.wording.facts import entry, money
from services.wording.words import Words


def settlement_table(words: Words, settlement: Mapping[str, Any]) -> Table:
    """How the settlement comes about, line by line; each line with a sign adds up to the next sum."""
    table = _table(words.say("结算", "Settlement"), words)
    table.add_row(words.say("商品价值", "value of the goods"), yuan(settlement["goods_fen"]))
    _minus(
        table, words.say("已付现金补偿,扣回", "cash paid before, taken back"), settlement["compensation_deducted_fen"]
    )
    _minus(
        table,
        words.say("已付差价,扣回", "price difference paid before, taken back"),
        settlement["price_difference_deducted_fen"],
    )
    _sum(table, words.say("退货款", "refund"), settlement["refund_fen"])
    if settlement["freight_advanced_fen"]:
        _freight(words, table, settlement)
    _sum(table, words.say("买家实得", "net to the buyer"), settlement["net_fen"], end=True)
    if settlement["carried_deduction_fen"]:
        label = words.say("未扣完,下次退款再扣", "not taken back yet: taken from the next refund")
        table.add_row(label, yuan(settlement["carried_deduction_fen"]))
    return table


def _freight(words: Words, table: Table, settlement: Mapping[str, Any]) -> None:
    advanced, insured = settlement["freight_advanced_fen"], settlement["insurance_deducted_fen"]
    rest = advanced - insured - settlement["freight_reimbursed_fen"]
    table.add_row(words.say("买家垫付的退回运费", "return freight that the buyer advanced"), yuan(advanced))
    _minus(table, words.say("运费险已赔", "paid by the freight insurance"), insured)
    if settlement["freight_pending"]:
        _minus(table, words.say("等待运费险结果", "waits for the insurance"), rest)
    else:
        _minus(table, words.say("由买家承担", "borne by the buyer"), rest)
    _sum(table, words.say("返还运费", "freight reimbursed"), settlement["freight_reimbursed_fen"])


def payouts_table(words: Words, payouts: Sequence[Mapping[str, Any]]) -> Table:
    """Each movement of money to the buyer, and how it fared."""
    table = _table(words.say("打款", "Payouts"), words)
    table.add_column(words.say("状态", "status"))
    table.add_column(words.say("单号", "payout"))
    for payout in payouts:
        label, status = words.term(payout["kind"]), words.term(payout["status"])
        table.add_row(label, yuan(payout["amount_fen"]), status, payout["payout"])
    return table


def loss_table(words: Words, case: Mapping[str, Any]) -> Table:
    """What the case cost the shop, entry by entry, and who bears it."""
    table = _table(words.say("损失与责任", "Loss and who bears it"), words)
    table.add_column(words.say("已追偿", "recovered"), justify="right")
    for happened in case["timeline"]:
        if happened["type"] == "loss.recorded":
            recorded = happened["data"]
            table.add_row(entry(words, recorded["entry"]), yuan(recorded["amount_fen"]))
    _sum(table, words.say("净损失", "net loss"), case["net_loss_fen"])
    recovered = case["recovered"]
    for party, fen in case["losses"].items():
        table.add_row(f"→ {words.party(party)}", yuan(fen), yuan(recovered[party]) if recovered.get(party) else "")
    if case["suspense_fen"]:
        table.add_row(f"→ {words.say('待定(原因未判定)', 'in suspense (cause not known)')}", yuan(case["suspense_fen"]))
    return table


def borne(words: Words, case: Mapping[str, Any]) -> str:
    """Who bears what, on one line."""
    parts = [f"{words.party(party)} {money(words, fen)}" for party, fen in case["losses"].items()]
    if case["suspense_fen"]:
        parts.append(f"{words.say('待定', 'suspense')} {money(words, case['suspense_fen'])}")
    return words.comma.join(parts)


def _table(title: str, words: Words) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(words.say("项目", "line"))
    table.add_column(words.say("元", "yuan"), justify="right", no_wrap=True)
    return table


def _minus(table: Table, label: str, fen: int) -> None:
    if fen:
        table.add_row(f"− {label}", f"−{yuan(fen)}")


def _sum(table: Table, label: str, fen: int, *, end: bool = False) -> None:
    table.add_row(f"= {label}", yuan(fen), style="bold", end_section=end)

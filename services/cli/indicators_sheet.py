"""Indicators on paper: rates as percent, amounts in yuan."""

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from services.cli.statement_sheet import Document, Label, add_figures, table, tell_as_at
from services.kernel.money import yuan
from services.wording.words import Words, plural

_RATES: Final[Mapping[str, Label]] = {
    "refund_rate": ("退款率(当月退款订单/当月下单)", "refund rate (orders refunded in it/orders placed)"),
    "case_rate": ("售后率(售后单/订单)", "case rate (cases/orders)"),
    "dispute_rate": ("纠纷率(升级/售后单)", "dispute rate (escalated/cases)"),
    "channel_refund_rate": ("渠道退款申请(占售后单)", "channel refund requests (of cases)"),
    "reopen_rate": ("重开率(占售后单)", "reopened (of cases)"),
}
_TIMES: Final[Mapping[str, Label]] = {
    "first_answer": ("首次答复", "first answer"),
    "solution": ("解决", "solution"),
}
_PAID: Final[Mapping[str, Label]] = {
    "cash_fen": ("现金", "cash"),
    "price_difference_fen": ("差价", "price difference"),
    "voucher_fen": ("优惠券", "vouchers"),
    "reward_fen": ("好评奖励", "rewards"),
    "total_fen": ("= 合计", "= sum"),
}


def indicators_sheet(console: Console, words: Words, found: Document) -> None:
    """Rates first, then times, ratings, agents, carriers and alarms."""
    _rates(console, words, found)
    _times(console, words, found)
    _agents(console, words, found)
    _carriers(console, words, found)
    _defects(console, words, found["batch_defects"])
    tell_as_at(console, words, found)


def _rates(console: Console, words: Words, found: Document) -> None:
    told = table(words, ("指标", "Indicators"), found["month"], ("", ""))
    add_figures(words, told, ("率", "rate"), ("其中", "of them"), ("总数", "in all"))
    for name, label in _RATES.items():
        told.add_row(words.say(*label), *_counted(found[name]))
    amount = found["refund_amount_rate"]
    refunded = words.say("退款金额率(元)", "refunded of what was paid (yuan)")
    told.add_row(refunded, percent(amount), yuan(amount["numerator"]), yuan(amount["denominator"]))
    rated = found["satisfaction"]
    told.add_row(words.say("满意(4–5 分/评分)", "satisfied (4–5 of ratings)"), *_counted(rated["satisfied"]))
    told.add_row(words.say("评分率(评分/售后单)", "rated (of cases)"), *_counted(rated["rated"]))
    mean = rated["mean_hundredths"]
    told.add_row(words.say("平均分", "mean score"), "–" if mean is None else f"{mean // 100}.{mean % 100:02d}")
    console.print(told)


def _times(console: Console, words: Words, found: Document) -> None:
    told = table(words, ("时效", "Times"), "", ("承诺", "promise"))
    add_figures(words, told, ("兑现率", "kept"), ("兑现", "kept"), ("已到期", "due"), ("未定", "pending"))
    add_figures(words, told, ("一半以内", "half within"), ("九成以内", "9 of 10 within"))
    for name, label in _TIMES.items():
        one = found[name]
        spans = (_span(words, one["median_seconds"]), _span(words, one["p90_seconds"]))
        told.add_row(words.say(*label), *_counted(one["kept"]), str(one["pending"]), *spans)
    console.print(told)


def _agents(console: Console, words: Words, found: Document) -> None:
    if not found["agents"]:
        return
    told = table(words, ("各客服的补偿(元)", "Compensation by agent (yuan)"), "", ("提出人", "proposed by"))
    add_figures(words, told, ("笔数", "payments"), *_PAID.values())
    for one in found["agents"]:
        agent = words.actor(one["agent"]) if one["agent"] else words.say("未知", "unknown")
        told.add_row(escape(agent), str(one["payments"]), *(yuan(one[name]) if one[name] else "" for name in _PAID))
    console.print(told)


def _carriers(console: Console, words: Words, found: Document) -> None:
    if not found["carriers"]:
        return
    told = table(words, ("各快递", "Carriers"), "", ("快递", "carrier"))
    labels = (
        ("出错率", "case rate"),
        ("售后单", "cases"),
        ("订单", "orders"),
        ("损失率", "loss rate"),
        ("损失(元)", "loss (yuan)"),
        ("已追偿(元)", "recovered (yuan)"),
    )
    add_figures(words, told, *labels)
    for one in found["carriers"]:
        loss = (percent(one["loss"]), yuan(one["loss"]["numerator"]), yuan(one["recovered_fen"]))
        told.add_row(escape(one["carrier"]), *_counted(one["cases"]), *loss)
    console.print(told)


def _defects(console: Console, words: Words, found: Document) -> None:
    rules = found["rules"]
    zh = f"批次缺陷预警:{rules['days']} 天内同一货号同一原因不少于 {rules['cases']} 单"
    en = f"Batch defects: at least {plural(rules['cases'], 'case')} of one SKU and cause in {rules['days']} days"
    if not found["alarms"]:
        console.print(f"[green]✓[/] {words.say(f'{zh}:无', f'{en}: none')}", soft_wrap=True)
        return
    told = table(words, (zh, en), "", ("货号", "SKU"), ("原因", "cause"))
    add_figures(words, told, ("占订单", "of orders"), ("售后单", "cases"), ("订单", "orders"))
    told.add_column(words.say("售后单号", "which"), overflow="fold")
    for one in found["alarms"]:
        cases = escape(words.comma.join(one["cases"]))
        told.add_row(f"[red]{escape(one['sku'])}[/]", words.cause(one["cause"]), *_counted(one["share"]), cases)
    console.print(told)


def _counted(rate: Mapping[str, Any]) -> tuple[str, str, str]:
    return percent(rate), str(rate["numerator"]), str(rate["denominator"])


def percent(rate: Mapping[str, Any]) -> str:
    """A rate as people read it: `12.34 %`; a dash where there is nothing to be a part of."""
    bp = rate["bp"]
    if bp is None:
        return "–"
    sign = "-" if bp < 0 else ""
    return f"{sign}{abs(bp) // 100}.{abs(bp) % 100:02d} %"


def _span(words: Words, seconds: int | None) -> str:
    return "–" if seconds is None else words.roughly(seconds)

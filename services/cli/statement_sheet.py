"""Statements on paper: parties, deposits, suspense and refunds; amounts in yuan."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.kernel.money import yuan
from services.wording.facts import moment
from services.wording.words import Words

Document = Mapping[str, Any]
Label = tuple[str, str]

_AGES: Final[Mapping[str, Label]] = {
    "days_0_30_fen": ("0–30 天", "0–30 days"),
    "days_31_60_fen": ("31–60 天", "31–60 days"),
    "days_61_90_fen": ("61–90 天", "61–90 days"),
    "over_90_days_fen": ("90 天以上", "over 90 days"),
}
#: What moves a balance, in the order in which it adds up.
_PARTY: Final[Mapping[str, Label]] = {
    "opening_fen": ("期初", "opening"),
    "charged_fen": ("+ 承担", "+ charged"),
    "reversed_fen": ("− 转出", "− reversed"),
    "credited_fen": ("− 冲减", "− credited"),
    "recovered_fen": ("− 追偿", "− recovered"),
    "corrected_fen": ("± 更正", "± corrected"),
    "closing_fen": ("= 期末", "= closing"),
}
_DEPOSIT: Final[Mapping[str, Label]] = {
    "opening_fen": ("期初", "opening"),
    "collected_fen": ("+ 收到", "+ collected"),
    "returned_fen": ("− 退还", "− returned"),
    "forfeited_fen": ("− 没收", "− forfeited"),
    "corrected_fen": ("± 更正", "± corrected"),
    "closing_fen": ("= 期末", "= closing"),
}
_SUSPENSE: Final[Mapping[str, Label]] = {
    "opening_fen": ("期初", "opening"),
    "recorded_fen": ("+ 记入", "+ recorded"),
    "assigned_fen": ("− 定责", "− assigned"),
    "corrected_fen": ("± 更正", "± corrected"),
    "closing_fen": ("= 期末", "= closing"),
}
_REFUND: Final[Mapping[str, Label]] = {
    "goods_fen": ("商品价值", "goods"),
    "deducted_fen": ("− 扣回补偿", "− deducted"),
    "corrected_fen": ("± 更正", "± corrected"),
    "refunded_fen": ("= 退款", "= refunded"),
}
#: What the others add up to.
_RESULTS: Final = frozenset({"closing_fen", "refunded_fen"})
_COUNTS: Final[Mapping[str, Label]] = {
    "refunds": ("退款单", "refunds"),
    "cases": ("售后单", "cases"),
    "units": ("件数", "units"),
}
_MOVES: Final[Mapping[str, Label]] = {
    "charged": ("承担", "charged"),
    "reversed": ("转由他方承担", "reversed"),
    "credited": ("冲减", "credited"),
    "recovered": ("追偿到账", "recovered"),
    "correction": ("更正", "correction"),
}
_GROUPED: Final[Mapping[str, Label]] = {
    "problem": ("问题", "problem"),
    "cause": ("原因", "cause"),
    "sku": ("货号", "SKU"),
    "channel": ("渠道", "channel"),
}
_CASE: Final[Label] = ("售后单", "case")
_SINCE: Final[Sequence[Label]] = (("自", "since"), ("天数", "days"))


def parties_sheet(console: Console, words: Words, found: Document) -> None:
    """Every party's figures, and the age of what is open."""
    told = table(words, ("各方对账(元)", "Parties (yuan)"), found["month"], ("责任方", "party"))
    figures = _used(_PARTY, found["parties"])
    add_figures(words, told, *figures.values())
    for one in found["parties"]:
        told.add_row(escape(words.party(one["party"])), *_yuan(one, figures))
    _add_sum(words, told, _yuan(found["total"], figures))
    console.print(told)
    open_ = [one for one in found["parties"] if one["closing_fen"]]
    if open_:
        ages = table(words, ("账龄(元)", "Age of what is open (yuan)"), "", ("责任方", "party"))
        add_figures(words, ages, *_AGES.values())
        for one in open_:
            ages.add_row(escape(words.party(one["party"])), *_yuan(one["ageing"], _AGES))
        _add_sum(words, ages, _yuan(found["total"]["ageing"], _AGES))
        console.print(ages)
    tell_as_at(console, words, found)


def party_sheet(console: Console, words: Words, found: Document) -> None:
    """One party: sums and ages first, then what they are made of."""
    total = found["total"]
    about = f"{words.party(total['party'])} {found['month']}".rstrip()
    sums = table(words, ("对账单(元)", "Statement (yuan)"), about, ("", ""))
    sums.add_column("", justify="right", no_wrap=True)
    sums.show_header = False
    for name, label in _PARTY.items():
        if total[name] or name in ("opening_fen", "closing_fen"):
            sums.add_row(words.say(*label), yuan(total[name]), style="bold" if name == "closing_fen" else "")
    for name, label in _AGES.items():
        if total["ageing"][name]:
            sums.add_row(f"[dim]  {words.say(*label)}[/]", f"[dim]{yuan(total['ageing'][name])}[/]")
    console.print(sums)
    if not (found["cases"] or found["moves"]):
        zh = "从未有分录记在此责任方名下,请核对写法(aftersales statement parties)"
        en = "nothing stands against this party; check how it is written (aftersales statement parties)"
        console.print(words.stacked(zh, en), markup=False)
    cases = table(words, ("逐单(元)", "By case (yuan)"), "", _CASE, ("问题", "problem"))
    figures = _used(_PARTY, found["cases"])
    add_figures(words, cases, *figures.values(), ("最早", "since"))
    for one in found["cases"]:
        case_id = escape(one["case_id"])
        cases.add_row(case_id, escape(words.problem(one["problem"])), *_yuan(one, figures), one["open_since"] or "")
    console.print(cases)
    moves = table(words, ("逐笔(元)", "By event (yuan)"), "", ("时间", "time"), _CASE, ("", ""))
    add_figures(words, moves, ("金额", "amount"), ("余额", "balance"))
    for one in found["moves"]:
        what = words.say(*_MOVES.get(one["move"], (one["move"], one["move"])))
        amounts = (yuan(one["amount_fen"]), yuan(one["balance_fen"]))
        moves.add_row(moment(one["time"]), escape(one["case_id"]), what, *amounts)
    console.print(moves)
    if found["left_out"]:
        zh, en = f"另有 {found['left_out']} 行未列出,请指定 --month", f"{found['left_out']} more rows: name a --month"
        console.print(words.say(zh, en))
    tell_as_at(console, words, found)


def deposits_sheet(console: Console, words: Words, found: Document) -> None:
    """Deposits one by one, and their sums."""
    told = table(words, ("押金(元)", "Deposits (yuan)"), found["month"], _CASE, ("押金", "deposit"))
    figures = _used(_DEPOSIT, [found["total"], *found["deposits"]])
    add_figures(words, told, *figures.values(), *_SINCE)
    for one in found["deposits"]:
        told.add_row(escape(one["case_id"]), escape(one["deposit"]), *_yuan(one, figures), *_age(one))
    _add_sum(words, told, ["", *_yuan(found["total"], figures)])
    console.print(told)
    tell_as_at(console, words, found)


def suspense_sheet(console: Console, words: Words, found: Document) -> None:
    """Cases one by one, and their sums."""
    told = table(words, ("待定损失(元)", "Suspense (yuan)"), found["month"], _CASE, ("问题", "problem"))
    figures = _used(_SUSPENSE, [found["total"], *found["cases"]])
    add_figures(words, told, *figures.values(), *_SINCE)
    for one in found["cases"]:
        case_id, problem = escape(one["case_id"]), escape(words.problem(one["problem"]))
        told.add_row(case_id, problem, *_yuan(one, figures), *_age(one))
    _add_sum(words, told, ["", *_yuan(found["total"], figures)])
    console.print(told)
    tell_as_at(console, words, found)


def refunds_sheet(console: Console, words: Words, found: Document) -> None:
    """Refunds by what they were grouped by, and their sums."""
    told = table(words, ("退款(元)", "Refunds (yuan)"), found["month"], _GROUPED[found["by"]])
    figures = _used(_REFUND, found["rows"])
    add_figures(words, told, *_COUNTS.values(), *figures.values())
    for one in found["rows"]:
        counts = (str(one[name]) for name in _COUNTS)
        told.add_row(escape(_key(words, found["by"], one["key"])), *counts, *_yuan(one, figures))
    _add_sum(words, told, [*(str(found["total"][name]) for name in _COUNTS), *_yuan(found["total"], figures)])
    console.print(told)
    tell_as_at(console, words, found)


def table(words: Words, title: Label, about: str, *labels: Label) -> Table:
    """A table with a title that says what it is about, and columns of text."""
    text = f"{words.say(*title)} {about}".rstrip()
    made = Table(title=escape(text), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for label in labels:
        made.add_column(words.stacked(*label), overflow="fold", min_width=8)
    return made


def add_figures(words: Words, told: Table, *labels: Label) -> None:
    """Columns of figures, to the right; what they are called stands on two lines where it is said in two languages."""
    for label in labels:
        told.add_column(words.stacked(*label), justify="right", no_wrap=True)


def tell_as_at(console: Console, words: Words, found: Document) -> None:
    """Of when the books are."""
    as_at = found["as_at"]
    zh, en = f"账簿截至位置 {as_at['position']},读于", f"Books up to position {as_at['position']}, read at"
    console.print(f"[dim]{words.say(zh, en)} {moment(as_at['time'])}[/]")


def _used(figures: Mapping[str, Label], rows: Sequence[Document]) -> Mapping[str, Label]:
    """Figures that say something."""
    return {name: label for name, label in figures.items() if name in _RESULTS or any(row[name] for row in rows)}


def _age(one: Document) -> tuple[str, str]:
    return one["since"] or "", "" if one["age_days"] is None else str(one["age_days"])


def _add_sum(words: Words, told: Table, cells: Sequence[str]) -> None:
    told.add_section()
    told.add_row(f"= {words.say('合计', 'sum')}", *cells, style="bold")


def _yuan(one: Document, figures: Mapping[str, Label]) -> list[str]:
    return [yuan(one[name]) if one[name] or name in _RESULTS else "" for name in figures]


def _key(words: Words, by: str, key: str) -> str:
    if not key:
        return words.say("未知", "unknown")
    return {"problem": words.problem, "cause": words.cause}.get(by, str)(key)

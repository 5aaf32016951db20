"""Claims of freight insurance on paper."""

from collections.abc import Mapping
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.kernel.money import yuan
from services.wording.books import CLAIM_DIFFERENCES, CLAIM_STATES, PAYERS
from services.wording.facts import moment
from services.wording.words import Words, plural

_FIGURES: Final = (
    ("paid_fen", "赔付", "paid"),
    ("freight_fen", "应返运费", "freight"),
    ("deducted_fen", "已扣", "deducted"),
    ("lost_fen", "多付", "lost"),
)


def claims_sheet(console: Console, words: Words, found: Mapping[str, Any]) -> None:
    """Claim by claim, and the sums of what is shown."""
    claims = found["items"]
    title = words.say("运费险理赔(元)", "Claims of freight insurance (yuan)")
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for zh, en in (("售后单", "case"), ("投保方", "insured by"), ("状态", "state"), ("报案", "filed")):
        table.add_column(words.say(zh, en), overflow="fold")
    for _, zh, en in _FIGURES:
        table.add_column(words.say(zh, en), justify="right", no_wrap=True)
    table.add_column(words.say("差异", "difference"), overflow="fold")
    for claim in claims:
        wrong = claim["difference"]
        table.add_row(
            escape(claim["case_id"]),
            words.say(*PAYERS.get(claim["payer"], (escape(claim["payer"]),) * 2)),
            words.say(*CLAIM_STATES[claim["state"]]),
            moment(claim["filed_at"]) if claim["filed_at"] else "",
            *(_amount(claim[name]) for name, _, _ in _FIGURES),
            f"[red]{words.say(*CLAIM_DIFFERENCES[wrong])}[/]" if wrong else "",
        )
    table.add_section()
    sums = [yuan(sum(claim[name] for claim in claims)) for name, _, _ in _FIGURES]
    table.add_row(f"= {words.say('合计', 'sum')}", "", "", "", *sums, "", style="bold")
    console.print(table)
    counted = words.say(f"{len(claims)} 笔理赔", plural(len(claims), "claim"))
    more = (
        words.say("(还有更多,用 --limit 或筛选)", " (there are more: --limit, or choose)") if found["has_more"] else ""
    )
    console.print(f"[dim]{counted}{more}[/]")


def _amount(fen: int) -> str:
    return yuan(fen) if fen else ""

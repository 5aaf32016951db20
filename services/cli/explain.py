"""`aftersales explain`: where a figure comes from, every fen of it, down to the events and the rules."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer
from rich.markup import escape
from rich.tree import Tree

from services.cli.as_of import AsOfPoint, show_as_of
from services.cli.case_reading import Read, reading
from services.cli.failure import NOT_SO, Failure, told
from services.cli.look import Asked
from services.cli.options import with_options
from services.cli.output import paper, show_json
from services.kernel.money import yuan
from services.wording.facts import moment, said
from services.wording.words import Language, Words

#: Every role may read; who owns the books asks here.
ROLE: Final = "finance"
#: A payout's id names what it pays as well: `TB1001-1:refund:F1`.
_PAYOUT: Final = re.compile(r"(.+-\d+):(?:refund|freight_reimbursement|deposit_return|charge_return):([^:]+)")

app = typer.Typer(no_args_is_help=True, help="Where a figure comes from. 金额的由来。")

Document = Mapping[str, Any]
RefundId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="A case (TB1001-1), or one amount of it: a refund TB1001-1/F1, a return's freight /RT1, a deposit /D1,"
        " a payment for a sale /B1; or the id of a payout. 售后单号,或其中一笔(退款、运费、押金、收费),或打款单号。",
    ),
]
ChargeId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="A case (TB1001-1), or a party that bears a part of its loss: TB1001-1/courier/YTO."
        " 售后单号,或其中一个责任方。",
    ),
]


@app.callback()
def explain() -> None:
    """Where a figure comes from. 金额的由来。"""


@app.command()
@with_options(Asked)
def refund(asked: Asked, id: RefundId, as_of: Annotated[str | None, AsOfPoint] = None) -> None:
    """Explain what the buyer gets: a refund, freight, deposit, or the whole settlement. Positions are of the log of
    refunds. 说明买家所得的由来;位置指退款服务的日志。
    """
    with told(asked.json):
        payout = _PAYOUT.fullmatch(id)
        case_id, item = payout.groups() if payout else _parts(id, "TB1001-1/F1")
        _show(asked, case_id, "settlement", {"item": item or None, "as_of": as_of})


@app.command()
@with_options(Asked)
def charge(asked: Asked, id: ChargeId, as_of: Annotated[str | None, AsOfPoint] = None) -> None:
    """Explain what a party bears of a case's loss, or the whole net loss. Positions are of the log of liability.
    说明责任方承担金额的由来;位置指定责服务的日志。
    """
    with told(asked.json):
        case_id, party = _parts(id, "TB1001-1/courier/YTO")
        _show(asked, case_id, "charges", {"party": party or None, "as_of": as_of})


def _parts(id: str, example: str) -> tuple[str, str]:
    case_id, slash, rest = id.partition("/")
    if not case_id or (slash and not rest):
        raise Failure(
            "invalid",
            f"ID:“{id}”不完整。请写售后单号,或如 {example}。",
            f"ID: “{id}” is not complete. Say a case, or one figure of it as in {example}.",
        )
    return case_id, rest


def _show(asked: Asked, case_id: str, figure: str, query: Mapping[str, str | None]) -> None:
    """Read the explanation of a figure and write it down. Raises `Failure` where it does not hold."""
    settings, words = asked.begin()

    async def read() -> tuple[Document, Mapping[str, Document]]:
        async with reading(settings, ROLE, asked.url, asked.token) as document:
            said = {name: value for name, value in query.items() if value is not None}
            explanation = await document("cases", case_id, figure, "explanation", **said)
            return explanation, {} if asked.json else await _elsewhere(document, explanation)

    explanation, happened = asyncio.run(read())
    if asked.json:
        show_json(explanation)
        raise typer.Exit(0 if explanation["holds"] else NOT_SO)
    console = paper()
    show_as_of(console, words, explanation)
    console.print(tree_of(words, explanation, happened))
    if not explanation["holds"]:
        raise _does_not_hold(explanation)


async def _elsewhere(document: Read, explanation: Document) -> dict[str, Document]:
    """What happened in other services that the figure rests on, by id: the timelines of the order's cases tell it."""
    missing = {event["id"] for event in _events(explanation["tree"]) if event["time"] is None}
    found: dict[str, Document] = {}
    own: str = explanation["case_id"]
    cases = [own]
    while missing - found.keys() and cases:
        case = await document("cases", cases.pop(0))
        found |= {one["id"]: one for one in case["timeline"] if one["id"] in missing}
        if case["case_id"] == own and missing - found.keys():
            order = await document("orders", case["order_id"])
            cases = [one["case_id"] for one in order["cases"] if one["case_id"] != own]
    return found


def _events(node: Document) -> Iterator[Document]:
    yield from node["events"]
    for child in node["children"]:
        yield from _events(child)


def tree_of(words: Words, explanation: Document, happened: Mapping[str, Document]) -> Tree:
    """Each amount, the rule that it comes by and its events, above the amounts that it is the sum of.

    `happened` are events of other services by id, as a timeline tells them.
    """
    log: str = explanation["log"]

    def label(node: Document) -> str:
        unit = words.say("元", "yuan") if words.language is not Language.BOTH else "元"
        text = escape(words.stacked(node["text"]["zh"], node["text"]["en"]))
        rule = f"[dim]{words.say('规则', 'rule')} {escape(node['rule'])} · {escape(node['policy'])}[/]"
        told = [_event(words, log, event, happened.get(event["id"])) for event in node["events"]]
        return "\n".join(
            [f"[bold]{yuan(node['fen'])} {unit}[/] {text}", rule, *(f"[dim]← {escape(one)}[/]" for one in told)]
        )

    def grow(tree: Tree, node: Document) -> Tree:
        for child in node["children"]:
            grow(tree.add(label(child)), child)
        return tree

    root = explanation["tree"]
    return grow(Tree(label(root), guide_style="dim"), root)


def _event(words: Words, log: str, event: Document, happened: Document | None) -> str:
    """An event on one line: what, when, who, whose it is and where it stands, under which policy."""
    one = {**event, **(happened or {})}
    facts = [words.event(one["type"])]
    if one["time"]:
        facts += [moment(one["time"]), words.actor(one["actor"])]
    if happened:
        facts.append(said(words, happened["data"]))
    place = "" if event["position"] is None else f"{log} #{event['position']}"
    source = "" if place and one["source"] == log else one["source"]
    return " · ".join(filter(None, [*facts, source, place, one["policy"], one["id"]]))


def _does_not_hold(explanation: Document) -> Failure:
    figure, now = yuan(explanation["figure_fen"]), yuan(explanation["tree"]["fen"])
    return Failure(
        "does_not_hold",
        f"当时决定的是 {figure} 元,现行规则从同样的事件得出 {now} 元或不同的组成。请用 aftersales verify 检查记录,"
        "并核对版本说明中规则的改动。",
        f"What was decided is {figure} yuan; by the rules of this release the same events come to {now} yuan, or to"
        " other parts. Check the records with aftersales verify, and the release notes for rules that changed.",
        status=NOT_SO,
    )

"""`aftersales correction`: postings that no event of the business makes; one person proposes, another one approves."""

import asyncio
import re
from typing import Annotated, Any, Final, Literal

import typer

from services.cli.acting import acting
from services.cli.books import show_books, show_document
from services.cli.by_name import By, Reason, must_be_by_somebody, must_be_told
from services.cli.correction_sheet import correction_sheet, corrections_sheet
from services.cli.failure import Failure, told
from services.cli.look import Asked
from services.cli.options import with_options
from services.kernel.http.lists import MAX_ROWS
from services.kernel.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Corrections of the books, by two persons. 更正:一人提出,另一人批准。")

CorrectionId = Annotated[str, typer.Argument(metavar="CORRECTION", help="As K1. 更正编号。")]
Decider = Annotated[Literal["finance", "store_manager"], typer.Option("--role", help="In which role. 岗位。")]
Legs = Annotated[
    list[str] | None,
    typer.Option(
        "--leg",
        metavar="ACCOUNT[/PARTY]=YUAN[,case=CASE][,item=REFERENCE]",
        help="A posting: a debit, or below zero a credit. Again for each. 一行分录(负数为贷方),可多次。",
    ),
]
Discrepancies = Annotated[
    list[str] | None,
    typer.Option("--discrepancy", metavar="ID", help="That it closes. Again for each. 一并处理的差异。"),
]
BookedOn = Annotated[
    str,
    typer.Option(
        metavar="DAY",
        help="Day of an open month that it belongs to; else that of its approval. 记账日。",
        show_default=False,
    ),
]

_AMOUNT: Final = re.compile(r"([+-]?)([0-9]{1,9})(?:\.([0-9]{1,2}))?")
_EXTRAS: Final = {"case": "case_id", "item": "item"}


@app.callback()
def correction() -> None:
    """Corrections of the books, by two persons. 更正:一人提出,另一人批准。"""


@app.command()
@with_options(Asked)
def propose(
    asked: Asked,
    leg: Legs = None,
    discrepancy: Discrepancies = None,
    booked_on: BookedOn = "",
    by: By = "",
    reason: Reason = "",
) -> None:
    """Ask for postings whose amounts sum to 0; or, without any, for discrepancies to be left as they are. Nothing is
    posted before another person approves it. 提出更正:各行金额之和为 0;只写差异则为保持原样。另一人批准后才入账。

    aftersales correction propose --leg promotion=1.20 --leg channel/taobao=-1.20,item=2026100522 --by 小钱 --reason …
    """
    with told(asked.json):
        must_be_told(by, reason, dry_run=False)
        body: dict[str, Any] = {"reason": reason, "legs": [*map(_leg, leg or ())], "discrepancies": discrepancy or []}
        body |= {"booked_on": booked_on} if booked_on else {}
        _do(asked, "finance", by, ("corrections",), body)


@app.command()
@with_options(Asked)
def approve(asked: Asked, correction: CorrectionId, by: By = "", role: Decider = "finance") -> None:
    """Agree to what another person proposed: it is posted, and its discrepancies are closed. 批准他人提出的更正:入账,
    并关闭其差异。
    """
    with told(asked.json):
        must_be_by_somebody(by, dry_run=False)
        _do(asked, role, by, ("corrections", correction, "approve"), {})


@app.command()
@with_options(Asked)
def decline(
    asked: Asked, correction: CorrectionId, by: By = "", reason: Reason = "", role: Decider = "finance"
) -> None:
    """Say no to a correction, or take back one's own: nothing is posted. 驳回更正,或撤回自己提出的:不入账。"""
    with told(asked.json):
        must_be_told(by, reason, dry_run=False)
        _do(asked, role, by, ("corrections", correction, "decline"), {"reason": reason})


@app.command("list")
@with_options(Asked)
def list_(
    asked: Asked,
    state: Annotated[
        Literal["proposed", "approved", "declined"] | None, typer.Option(help="Only these. 只看某一状态。")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=MAX_ROWS, help="How many. 条数。")] = 50,
) -> None:
    """Corrections, newest first. 更正列表。"""
    show_books(asked, corrections_sheet, "corrections", state=state, limit=limit)


@app.command()
@with_options(Asked)
def show(asked: Asked, correction: CorrectionId) -> None:
    """A correction: why, by whom, what it posts and closes. 查看更正:原因、提出与处理人、分录、差异。"""
    show_books(asked, correction_sheet, "corrections", correction)


def _leg(text: str) -> dict[str, Any]:
    """A posting as it is written at the command line. Raises `Failure`."""
    place, sign, rest = text.partition("=")
    amount, *extras = rest.split(",")
    account, _, party = place.strip().partition("/")
    leg: dict[str, Any] = {"account": account, "party": party, "amount_fen": _fen(amount.strip(), text)}
    for extra in extras:
        name, equals, value = extra.partition("=")
        if name.strip() not in _EXTRAS or not equals:
            raise _unreadable(text)
        leg[_EXTRAS[name.strip()]] = value.strip()
    if not sign or not account:
        raise _unreadable(text)
    return leg


def _fen(amount: str, text: str) -> int:
    match = _AMOUNT.fullmatch(amount)
    if match is None:
        raise _unreadable(text)
    sign, yuan, rest = match.groups()
    fen = int(yuan) * 100 + int((rest or "").ljust(2, "0"))
    return -fen if sign == "-" else fen


def _unreadable(text: str) -> Failure:
    return Failure(
        "invalid",
        f"--leg:{text} 无法读取。写作 channel/taobao=-1.20,以元计,最多两位小数;可加 ,case=TB1001-1 和 ,item=流水号。",
        f"--leg: {text} cannot be read. Write channel/taobao=-1.20, in yuan with at most two decimals;"
        " ,case=TB1001-1 and ,item=REFERENCE may follow.",
    )


def _do(asked: Asked, role: str, by: str, path: tuple[str, ...], body: dict[str, Any]) -> None:
    """Have something done, and show the correction as it is then."""
    settings, words = asked.begin()
    document = asyncio.run(_done(settings, asked, role, by, path, body))
    show_document(asked, words, correction_sheet, document)


async def _done(
    settings: Settings, asked: Asked, role: str, by: str, path: tuple[str, ...], body: dict[str, Any]
) -> dict[str, Any]:
    async with acting(settings, role, by, asked.url, asked.token) as act:
        answer = await act.post(*path, json=body)
        return await act.get("corrections", answer["events"][0]["data"]["correction"])

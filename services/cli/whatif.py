"""`aftersales replay what-if`: history decided again by another policy, in memory, and what would have come of it."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
import yaml

from contracts.policy import Policy, load_policy_file
from services.cli.by_name import By, Reason
from services.cli.database import logs_there
from services.cli.environment import settings_in_force
from services.cli.failure import Failure, told
from services.cli.operated import operated
from services.cli.output import AsJson, DataDir, InLanguage, paper, show_json
from services.cli.whatif_sheet import show_report
from services.kernel.clock import clock_seen
from services.kernel.logging import set_up
from services.kernel.refusal import Refusal
from services.kernel.settings import Settings
from services.policy import policy_in_force
from services.whatif.report import Report
from services.whatif.run import TOLD_MOST, Question, what_if
from services.wording.words import Language, Words, usual_language

app = typer.Typer(no_args_is_help=True, help="Replay history, in memory. 重演历史(只在内存中)。")

#: Whose log is read, in the order in which they are opened.
_POINT: Final = "a position of the log of cases (included), a day or a time"
_POINT_ZH: Final = "受理日志的位置(含)、日期或时间"


@app.callback()
def replay() -> None:
    """Replay history, in memory. 重演历史(只在内存中)。"""


@app.command("what-if")
def ask(
    policy: Annotated[
        Path, typer.Option(help="The policy to decide by: a shop's policy file (YAML). 用来重新判定的政策文件。")
    ],
    begin: Annotated[
        str, typer.Option("--from", help=f"Decisions from {_POINT}. 起:{_POINT_ZH}。", show_default=False)
    ] = "",
    end: Annotated[str, typer.Option("--to", help=f"Up to {_POINT}. 止:{_POINT_ZH}。", show_default=False)] = "",
    order: Annotated[str, typer.Option(help="Of this order. 某一订单。", show_default=False)] = "",
    case: Annotated[str, typer.Option(help="Of this case. 某一售后单。", show_default=False)] = "",
    most: Annotated[
        int, typer.Option(min=0, help="Cases to tell one by one, 0: all. 逐一列出多少个售后单,0 为全部。")
    ] = TOLD_MOST,
    by: By = "",
    reason: Reason = "",
    data_dir: Annotated[Path | None, DataDir] = None,
    lang: Annotated[Language | None, InLanguage] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Decide history again by another policy (authority limits, causes and their parties, promises, who bears freight)
    and tell who would have borne what, what would have needed approval and which promises would have been broken.
    Reads only: no data, topic or payment is touched; with --by, it is noted in the log of cases that it was asked.
    用另一份政策重新判定历史(权限、原因与责任方、承诺时限、运费承担),报告谁会承担多少、哪些须审批、哪些承诺会逾期。
    只读,不改动任何数据、主题或打款;写明 --by 时,在受理日志里记一笔是谁问的。
    """
    with told(json):
        set_up("error", "pretty")
        settings = settings_in_force(data_dir=data_dir)
        asked = load_policy_file(policy)
        words = Words(asked, lang or usual_language(os.environ))
        question = Question(
            policy=asked,
            in_force=policy_in_force(settings),
            begin=begin,
            end=end,
            order=order,
            case=case,
            most=most,
        )
        work = {"by": by, "reason": reason, "title": words.say("重新判定", "deciding again"), "shown": not json}
        with _refused(question.in_force):
            report = asyncio.run(_asked(settings, question, policy, work))
        show_json(report) if json else show_report(paper(), words, report)


async def _asked(settings: Settings, question: Question, file: Path, work: Mapping[str, Any]) -> Report:
    operation = operated(settings, "cases", "what_if", options=_options(question, file), **work)
    async with logs_there(settings) as logs, operation as tell:
        report = await what_if(logs, question, clock_seen(settings).now(), tell)
        tell.outcome |= {
            "policy": report.policy,
            "orders": report.orders,
            "cases": report.cases,
            "cases_that_differ": report.cases_that_differ,
            "net": msgspec.to_builtins(report.net),
        }
        return report


def _options(question: Question, file: Path) -> dict[str, Any]:
    """What is asked, as the operation of this kind keeps it."""
    narrowed = {"order": question.order or None, "case": question.case or None}
    said = {"begin": question.begin, "end": question.end, "most": question.most, **narrowed}
    return {"policy": yaml.safe_load(file.read_bytes()) or {}, **said}


@contextmanager
def _refused(policy: Policy) -> Iterator[None]:
    """What cannot be asked, told as a `Failure`."""
    try:
        yield
    except Refusal as refusal:
        if refusal.errors:
            error = refusal.errors[0]
            option = f"--{error['field']}"
            raise Failure("invalid", f"{option}:{error['zh']}。", f"{option}: {error['en']}.") from None
        said = policy.refusal_text(refusal.code, refusal.params)
        raise Failure(refusal.code, said.zh, said.en) from None

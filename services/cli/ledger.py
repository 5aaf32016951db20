"""`aftersales ledger`: the books of after-sales, made from the logs on demand: trial balance, postings, and a check."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
import typer

from contracts.policy import Policy
from services.cli.bar import bar
from services.cli.database import logs_there
from services.cli.environment import settings_in_force, to_answer, words_in
from services.cli.failure import NOT_SO, Failure, told
from services.cli.ledger_sheet import chart_sheet, check_sheet, entries_sheet, statement_sheet, trial_sheet
from services.cli.options import with_options
from services.cli.output import AsJson, DataDir, InLanguage, paper, show_json
from services.finance.ledger.accounts import CHART, external_parties
from services.finance.ledger.entries import Chosen, Entries, entries_of
from services.finance.ledger.identities import Break
from services.finance.ledger.ledger import OrderLedger, orders
from services.finance.ledger.postings import Posting
from services.finance.ledger.report import Check, check_of
from services.finance.ledger.statement import Statement, is_move, statement_of
from services.finance.ledger.trial import Trial, TrialBalance, is_month
from services.histories import Logs
from services.kernel.clock import clock_seen
from services.kernel.long_work import Tell
from services.kernel.naming import order_of
from services.kernel.refusal import Refusal
from services.kernel.settings import Settings
from services.kernel.shop_time import shop_month
from services.policy import policy_in_force
from services.wording.words import Language, Words

app = typer.Typer(no_args_is_help=True, help="The ledger, made from the logs. 总账(由日志即时生成)。")

#: Whose log is read, in the order in which they are opened.
#: Breaks that a check tells one by one.
_TOLD_MOST: Final = 100

T = TypeVar("T")
Month = Annotated[str, typer.Option(help="A month of the shop's, as 2026-10. 月份。", show_default=False)]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Where the logs are, and how the answer is told."""

    data_dir: Annotated[Path | None, DataDir] = None
    lang: Annotated[Language | None, InLanguage] = None
    json: Annotated[bool, AsJson] = False

    def made(self, make: "Callable[[Books], Awaitable[T]]") -> tuple[T, Words]:
        """What is made of the logs, which are only read, and the words to tell it in."""
        settings, words = to_answer(self.data_dir, self.lang)
        with bar(words.say("过账", "posting"), shown=not self.json) as tell:
            return asyncio.run(_made(settings, tell, make)), words


class Books:
    """The logs that the ledger is made from, and the policy in force, which says who is outside the business."""

    def __init__(self, logs: Logs, policy: Policy, now: datetime, tell: Tell) -> None:
        self.policy = policy
        self.breaks = 0
        self._logs = logs
        self._last = now
        self._tell = tell

    async def orders(self, order_id: str = "") -> AsyncIterator[OrderLedger]:
        """What every order posted, or one; `breaks` counts what of them does not hold."""
        async for order in orders(self._logs, external_parties(self.policy), self._tell, order_id):
            self.breaks += len(order.breaks)
            if order.postings:
                self._last = max(self._last, order.postings[-1].time)
            yield order

    async def chosen(self, chosen: Chosen) -> Sequence[Posting]:
        """The postings that are asked for; memory holds these. Raises `Refusal` `unknown_order`, `unknown_case`."""
        found: list[Posting] = []
        async for order in self.orders(chosen.order or order_of(chosen.case)):
            if chosen.case and chosen.case not in order.cases and not order.breaks:
                raise Refusal("unknown_case", case_id=chosen.case)
            found += filter(chosen.holds, order.postings)
        return found

    def check_begun(self, month: str) -> None:
        """Once the logs were read: raises `Failure` for a month that neither the clock nor any event has come to."""
        last = shop_month(self._last)
        if month > last:
            zh = f"--month:{month} 还没有开始,最近的月份是 {last}。"
            raise Failure("invalid", zh, f"--month: {month} has not begun; the latest month is {last}.")


async def _made(settings: Settings, tell: Tell, make: Callable[[Books], Awaitable[T]]) -> T:
    async with logs_there(settings) as logs:
        policy = policy_in_force(settings)
        with _refused(policy):
            return await make(Books(logs, policy, clock_seen(settings).now(), tell))


@contextmanager
def _refused(policy: Policy) -> Iterator[None]:
    """What is not there, told as a `Failure`."""
    try:
        yield
    except Refusal as refusal:
        said = policy.refusal_text(refusal.code, refusal.params)
        raise Failure(refusal.code, said.zh, said.en, status=NOT_SO) from None


@app.callback()
def ledger() -> None:
    """The ledger, made from the logs: money events as balanced postings. 总账:涉及金额的事件按复式记账生成。"""


@app.command()
def accounts(
    lang: Annotated[Language | None, InLanguage] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """The chart of accounts: codes, names and what each account holds. 会计科目表:代码、名称、含义。"""
    with told(json):
        if json:
            show_json({"accounts": list(CHART.values())})
        else:
            chart_sheet(paper(), words_in(settings_in_force(), lang))


@app.command()
@with_options(Asked)
def balance(asked: Asked, month: Month = "") -> None:
    """The trial balance: what each account held, its debits and credits, and what it holds; of all time or a month.
    试算平衡表:各科目期初、借方、贷方、期末;可指定月份。
    """

    async def make(books: Books) -> TrialBalance:
        trial, count = Trial(month), 0
        async for order in books.orders():
            trial.add(order.postings)
            count += 1
        books.check_begun(month)
        return trial.balance(count, books.breaks)

    with told(asked.json):
        _check_month(month)
        found, words = asked.made(make)
        show_json(found) if asked.json else trial_sheet(paper(), words, found)


@app.command()
@with_options(Asked)
def entries(
    asked: Asked,
    order: Annotated[str, typer.Option(help="Of this order. 某一订单。", show_default=False)] = "",
    case: Annotated[str, typer.Option(help="Of this case. 某一售后单。", show_default=False)] = "",
    account: Annotated[
        str, typer.Option(help="Of this account, as losses or losses/courier/YTO. 某一科目。", show_default=False)
    ] = "",
    month: Month = "",
) -> None:
    """Postings of an order, a case or an account, with what the account holds after each; of all time or a month.
    订单、售后单或科目的分录,逐笔列出余额;可指定月份。
    """
    chosen = Chosen(order, case, account, month)

    async def make(books: Books) -> Entries:
        postings = await books.chosen(chosen)
        books.check_begun(month)
        return entries_of(postings, chosen, books.breaks)

    with told(asked.json):
        _check_month(month)
        _check(chosen)
        found, words = asked.made(make)
        show_json(found) if asked.json else entries_sheet(paper(), words, found)


def _check_month(month: str) -> None:
    """Raises `Failure` for what is not written like a month."""
    if month and not is_month(month):
        zh = f"--month:{month} 不是月份,请写作 2026-10。"
        raise Failure("invalid", zh, f"--month: {month} is no month; write it like 2026-10.")


def _check(chosen: Chosen) -> None:
    """Raises `Failure` where nothing is chosen, and for an account that the chart has not."""
    if not (chosen.order or chosen.case or chosen.account):
        zh = "请用 --order、--case 或 --account 指明要看的分录。"
        raise Failure("invalid", zh, "Say which postings: --order, --case or --account.")
    if chosen.order and chosen.case and order_of(chosen.case) != chosen.order:
        zh = f"--case:{chosen.case} 不属于订单 {chosen.order}。"
        raise Failure("invalid", zh, f"--case: {chosen.case} is no case of the order {chosen.order}.")
    code = chosen.account.partition("/")[0]
    if code and code not in CHART:
        known = [f"{name}: {account.name.zh} / {account.name.en}" for name, account in CHART.items()]
        zh = f"--account:没有科目 {code}。可选:"
        raise Failure("unknown_account", zh, f"--account: there is no account {code}. There are:", mistakes=known)


@app.command()
@with_options(Asked)
def statement(
    asked: Asked,
    party: Annotated[str, typer.Argument(metavar="PARTY", help="As courier/YTO or production. 责任方。")],
    month: Month = "",
) -> None:
    """What a party was charged, what of it was reversed, credited and recovered, down to case and event; of all time or
    a month. 责任方对账单:承担、转出、冲减、追偿,逐单逐笔;可指定月份。
    """

    async def make(books: Books) -> Statement:
        if party.partition("/")[0] not in books.policy.parties:
            known = "、".join(books.policy.parties)
            zh = f"没有责任方 {party}。可选:{known};有名字的写作 courier/YTO。"
            en = f"There is no party {party}. There are: {known}; one with a name is written courier/YTO."
            raise Failure("unknown_party", zh, en)
        moves = [one async for order in books.orders() for one in order.postings if is_move(one, party)]
        books.check_begun(month)
        return statement_of(moves, party, month, books.breaks)

    with told(asked.json):
        _check_month(month)
        found, words = asked.made(make)
        show_json(found) if asked.json else statement_sheet(paper(), words, found)


@app.command()
@with_options(Asked)
def check(asked: Asked) -> None:
    """Whether debits are credits by event, order and day, and whether accounts say what refunds, deposits and liability
    say. Ends with 1 where something does not balance. 核对借贷,并与退款、押金、定责核对;不平则以 1 结束。
    """

    async def make(books: Books) -> Check:
        trial, count = Trial(), 0
        breaks: list[Break] = []
        async for order in books.orders():
            trial.add(order.postings)
            count += 1
            breaks += order.breaks[: _TOLD_MOST - len(breaks)]
        return check_of(trial, count, books.breaks, breaks)

    with told(asked.json):
        report, words = asked.made(make)
        show_json({**msgspec.to_builtins(report), "sound": report.sound}) if asked.json else check_sheet(
            paper(), words, report
        )
    if not report.sound:
        raise typer.Exit(NOT_SO)

"""The ledger on paper: trial balance, postings, a party's statement, and what a check found."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.finance.ledger.accounts import CHART, Kind
from services.finance.ledger.entries import Entries
from services.finance.ledger.identities import Break
from services.finance.ledger.report import Check
from services.finance.ledger.statement import Statement
from services.finance.ledger.trial import Row, TrialBalance
from services.kernel.money import yuan
from services.wording.books import ACCOUNT_KINDS, MEMOS
from services.wording.facts import entry, moment, money
from services.wording.words import Words, plural

_SIDES: Final = (("借方", "debit"), ("贷方", "credit"))
#: Memos that the name of their event says already.
_SAID: Final = frozenset({"charged", "reversed", "recovered"})


def trial_sheet(console: Console, words: Words, trial: TrialBalance) -> None:
    """Each account with its parties, kind by kind, and the sums."""
    title = ("试算平衡表(元)", "Trial balance (yuan)")
    table = _table(words, title, trial.month)
    table.add_column(words.say("科目", "account"), overflow="fold")
    for label in (("期初", "opening"), *_SIDES, ("期末", "closing")):
        table.add_column(words.say(*label), justify="right", no_wrap=True)
    for kind, rows in _by_kind(trial.rows):
        table.add_row(f"[dim]{words.say(*ACCOUNT_KINDS[kind])}[/]")
        for row in rows:
            figures = (yuan(row.opening_fen), _side(row.debit_fen), _side(row.credit_fen))
            table.add_row(f"  {escape(_place(words, row.account, row.party))}", *figures, yuan(row.closing_fen))
    table.add_section()
    sums = (trial.opening_fen, trial.debit_fen, trial.credit_fen, trial.closing_fen)
    table.add_row(f"= {words.say('合计', 'sum')}", *map(yuan, sums), style="bold")
    console.print(table)
    console.print(f"[dim]{words.say('余额:正数为借方,负数为贷方', 'Balances: debits above zero, credits below')}[/]")
    if trial.balances and not trial.breaks:
        console.print(f"[green]✓[/] {words.say('借贷平衡', 'debits are credits')}")
    _warn(console, words, trial.breaks)


def chart_sheet(console: Console, words: Words) -> None:
    """Every account: its code, which commands take, its name and what it holds."""
    table = _table(words, ("会计科目", "Chart of accounts"), "")
    table.add_column(words.say("代码", "code"), no_wrap=True)
    for label in (("类别", "kind"), ("科目", "account"), ("含义", "what it holds")):
        table.add_column(words.say(*label), overflow="fold")
    for code, account in CHART.items():
        kept_by = "" if not account.by else f"/{account.by.upper()}"
        table.add_row(
            f"{code}{kept_by}", words.say(*ACCOUNT_KINDS[account.kind]), *map(words.text, (account.name, account.means))
        )
    console.print(table)


def entries_sheet(console: Console, words: Words, found: Entries) -> None:
    """Posting by posting; what an account held before is told first."""
    table = _table(words, ("分录(元)", "Postings (yuan)"), found.chosen.month)
    for label in (("时间", "time"), ("售后单", "case"), ("事件", "event"), ("科目", "account")):
        table.add_column(words.say(*label), overflow="fold")
    for label in (*_SIDES, ("余额", "balance")):
        table.add_column(words.say(*label), justify="right", no_wrap=True)
    for account, fen in found.opening.items():
        before = words.say("期初", "opening")
        table.add_row("", "", before, escape(_place(words, account, "")), "", "", yuan(fen))
    for one in found.entries:
        what = words.event(one.type) if one.memo in _SAID else f"{words.event(one.type)} · {_memo(words, one.memo)}"
        table.add_row(
            moment(one.time.isoformat()),
            escape(one.case_id),
            escape(what),
            escape(_place(words, one.account, one.party)),
            _side(one.debit_fen),
            _side(one.credit_fen),
            yuan(one.balance_fen),
        )
    console.print(table)
    counted = words.say(f"{len(found.entries)} 条分录", plural(len(found.entries), "posting"))
    console.print(f"[dim]{counted}[/]")
    _warn(console, words, found.breaks)


def statement_sheet(console: Console, words: Words, found: Statement) -> None:
    """A party's month: sums first, then what they are made of."""
    sums = _table(words, ("对账单(元)", "Statement (yuan)"), f"{words.party(found.party)} {found.month}".rstrip())
    sums.add_column("")
    sums.add_column("", justify="right", no_wrap=True)
    sums.show_header = False
    sums.add_row(words.say("期初", "opening"), yuan(found.opening_fen))
    sums.add_row(f"+ {_memo(words, 'charged')}", yuan(found.charged_fen))
    for move, fen in (
        ("reversed", found.reversed_fen),
        ("credited", found.credited_fen),
        ("recovered", found.recovered_fen),
    ):
        sums.add_row(f"− {_memo(words, move)}", yuan(fen))
    sums.add_row(f"= {words.say('期末', 'closing')}", yuan(found.closing_fen), style="bold")
    console.print(sums)
    table = _table(words, ("明细(元)", "What they are made of (yuan)"), "")
    for label in (("时间", "time"), ("售后单", "case"), ("", "")):
        table.add_column(words.say(*label), overflow="fold")
    for label in (("金额", "amount"), ("余额", "balance")):
        table.add_column(words.say(*label), justify="right", no_wrap=True)
    for one in found.moves:
        figures = (yuan(one.amount_fen), yuan(one.balance_fen))
        table.add_row(moment(one.time.isoformat()), escape(one.case_id), _memo(words, one.move), *figures)
    console.print(table)
    _warn(console, words, found.breaks)


def check_sheet(console: Console, words: Words, report: Check) -> None:
    """What was looked at, and each break with its order and events."""
    looked = words.stacked(
        f"{report.orders} 个订单,{report.postings} 条分录,{report.accounts} 个科目,{report.days} 天",
        f"{plural(report.orders, 'order')}, {plural(report.postings, 'posting')},"
        f" {plural(report.accounts, 'account')}, {plural(report.days, 'day')}",
    )
    sums = words.say(
        f"借方合计 {yuan(report.debit_fen)},贷方合计 {yuan(report.credit_fen)}",
        f"debits {yuan(report.debit_fen)}, credits {yuan(report.credit_fen)}",
    )
    console.print(f"{looked}\n{sums}")
    if report.sound:
        console.print(f"[green]✓[/] {words.say('全部相符', 'everything balances and agrees')}")
        return
    wrong = words.say(f"{report.found} 处不符", f"{plural(report.found, 'break')} found")
    console.print(f"[red]✗[/] {wrong}")
    for one in report.breaks:
        console.print("\n".join(_break(words, one)), markup=False, soft_wrap=True)
    if report.found > len(report.breaks):
        console.print(words.say("其余未列出", "the others are not told"))
    console.print(
        words.stacked(
            "日志是否被改动:aftersales verify;改动过就从备份恢复。订单的分录:aftersales ledger entries --order ORDER",
            "Whether a log was altered: aftersales verify; if so, restore it from a backup."
            " The order's postings: aftersales ledger entries --order ORDER",
        ),
        markup=False,
        soft_wrap=True,
    )


def _warn(console: Console, words: Words, breaks: int) -> None:
    """Figures of orders of which something does not hold are not to be relied on, and those of some may be missing."""
    if breaks:
        wrong = words.say(f"{breaks} 处不符,数字可能不全", f"{plural(breaks, 'break')}: figures may be incomplete")
        console.print(f"[red]✗[/] {wrong} → aftersales ledger check", soft_wrap=True)


def _break(words: Words, one: Break) -> Iterator[str]:
    yield f"  {one.case_id or one.order_id} ({one.code}) {words.say(one.zh, one.en)}"
    expected, found = money(words, one.expected_fen), money(words, one.found_fen)
    yield f"    {words.say(f'应为 {expected},实为 {found}', f'should be {expected}, is {found}')}"
    for event in one.events:
        yield f"    {event.source} {event.type} {event.id}".rstrip()


def _by_kind(rows: Sequence[Row]) -> Iterator[tuple[Kind, list[Row]]]:
    for kind in Kind:
        if some := [row for row in rows if CHART[row.account].kind is kind]:
            yield kind, some


def _place(words: Words, account: str, party: str) -> str:
    """An account and what it is kept by: parties and carriers have names, channels are as they are written."""
    known = CHART[account]
    named = party if known.by == "channel" else words.party(party)
    return f"{words.text(known.name)} {named}".rstrip()


def _memo(words: Words, memo: str) -> str:
    return words.say(*MEMOS[memo]) if memo in MEMOS else entry(words, memo)


def _side(fen: int) -> str:
    return yuan(fen) if fen else ""


def _table(words: Words, title: tuple[str, str], about: str) -> Table:
    text = f"{words.say(*title)} {about}".rstrip()
    return Table(title=escape(text), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)

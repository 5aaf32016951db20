"""A bill on paper: which it is, its rows, its sums by kind, what it says of itself, and every mistake."""

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.finance.bills.examination import Check
from services.finance.bills.mistakes import Mistake
from services.finance.bills.reading import Report
from services.finance.bills.rows import BillKind, Row
from services.kernel.money import yuan
from services.wording.books import ROW_KINDS, ROW_STATUSES
from services.wording.words import Words, plural

BILLS: Final = {
    BillKind.WECHAT_TRADE: ("微信支付交易账单", "WeChat Pay transactions"),
    BillKind.WECHAT_FUND: ("微信支付资金账单", "WeChat Pay fund bill"),
    BillKind.ALIPAY_TRADE: ("支付宝业务账单", "Alipay transactions"),
    BillKind.ALIPAY_FUND: ("支付宝账务账单", "Alipay fund bill"),
    BillKind.MAPPED: ("按映射读取的账单", "bill read by a mapping"),
}
#: What the totals of WeChat Pay and Alipay are called in English.
FIGURES: Final = {
    "总交易单数": "transactions",
    "应结订单总金额": "orders, to be settled",
    "总交易额": "orders, to be settled",
    "退款总金额": "refunds",
    "总退款金额": "refunds",
    "充值券退款总金额": "coupons refunded",
    "总企业红包退款金额": "coupons refunded",
    "总代金券或立减优惠退款金额": "coupons refunded",
    "手续费总金额": "fees",
    "订单总金额": "orders, before coupons",
    "申请退款总金额": "refunds asked for",
    "资金流水总笔数": "movements",
    "收入笔数": "income, rows",
    "收入金额": "income",
    "支出笔数": "expenses, rows",
    "支出金额": "expenses",
    "交易合计 笔数": "payments, rows",
    "交易合计 金额": "payments",
    "交易合计 商家优惠": "payments, shop's coupons",
    "退款合计 笔数": "refunds, rows",
    "退款合计 金额": "refunds",
    "退款合计 商家优惠": "refunds, shop's coupons",
    "收入合计 笔数": "income, rows",
    "收入合计 金额": "income",
    "支出合计 笔数": "expenses, rows",
    "支出合计 金额": "expenses",
    "交易订单总笔数": "summary: payments, rows",
    "退款订单总笔数": "summary: refunds, rows",
    "商家实收(元)": "summary: received, less refunds",
    "收入金额(+元)": "summary: income",
    "支出金额(-元)": "summary: expenses",
    "总金额(元)": "summary: income less expenses",
}


def bill_sheet(console: Console, words: Words, report: Report, rows: Sequence[Row]) -> None:
    """All of it; `rows` are the first ones."""
    _title(console, words, report)
    if rows:
        console.print(_rows(words, rows))
        if more := report.rows - len(rows):
            said = words.stacked(f"… 还有 {more} 行", f"… {plural(more, 'more row')}")
            console.print(said, markup=False)
    if report.sums:
        console.print(_sums(words, report))
    if left_out := report.left_out:
        zh, en = f"另有 {left_out} 行有误,未计入合计", f"{plural(left_out, 'row')} with mistakes left out of these sums"
        console.print(words.stacked(zh, en), markup=False)
    if report.checks:
        console.print(_checks(words, report.checks))
    _outcome(console, words, report)


def _title(console: Console, words: Words, report: Report) -> None:
    bill = words.say(*BILLS[report.kind]) if report.kind else words.say("无法识别的账单", "unknown bill")
    merchant = report.merchant or words.say("文件未写", "not said")
    title = [
        f"{bill} {report.variant}".rstrip(),
        f"{words.say('商户', 'merchant')} {merchant}",
        report.currency,
        _days(report),
    ]
    console.print(" · ".join(filter(None, title)), markup=False)
    console.print(f"SHA-256 {report.sha256}", markup=False)


def _days(report: Report) -> str:
    if report.first is None or report.last is None:
        return ""
    first, last = f"{report.first:%Y-%m-%d}", f"{report.last:%Y-%m-%d}"
    return first if first == last else f"{first} – {last}"


def _rows(words: Words, rows: Sequence[Row]) -> Table:
    has_balance = any(row.balance_fen is not None for row in rows)
    has_fee = any(row.fee_fen for row in rows)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for zh, en in (("行", "line"), ("时间", "time"), ("类型", "kind"), ("我方单号", "our number")):
        table.add_column(words.say(zh, en), overflow="fold")
    table.add_column(words.say("渠道单号", "channel's number"), overflow="fold")
    table.add_column(words.say("状态", "status"), overflow="fold")
    table.add_column(words.say("金额", "amount"), justify="right", no_wrap=True)
    if has_fee:
        table.add_column(words.say("手续费", "fee"), justify="right", no_wrap=True)
    if has_balance:
        table.add_column(words.say("余额", "balance"), justify="right", no_wrap=True)
    for row in rows:
        cells = [
            str(row.line),
            f"{row.occurred_at:%m-%d %H:%M:%S}",
            words.say(*ROW_KINDS[row.kind]),
            row.refund_ref or row.order_ref,
            row.channel_ref or row.channel_order_ref,
            _status(words, row),
            yuan(row.amount_fen),
        ]
        if has_fee:
            cells.append(yuan(row.fee_fen))
        if has_balance:
            cells.append("" if row.balance_fen is None else yuan(row.balance_fen))
        table.add_row(*map(escape, cells))
    return table


def _status(words: Words, row: Row) -> str:
    """Ours, and the channel's word where it says more."""
    status = words.say(*ROW_STATUSES[row.status])
    return status if row.channel_status == "SUCCESS" else f"{status} {row.channel_status}".rstrip()


def _sums(words: Words, report: Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(words.say("合计", "sums"))
    for zh, en in (("笔数", "rows"), ("金额", "amount"), ("手续费", "fee")):
        table.add_column(words.say(zh, en), justify="right", no_wrap=True)
    for one in report.sums:
        table.add_row(words.say(*ROW_KINDS[one.kind]), str(one.rows), yuan(one.amount_fen), yuan(one.fee_fen))
    if report.opening_fen is not None and report.closing_fen is not None:
        balances = (
            (("期初余额", "opening balance"), report.opening_fen),
            (("期末余额", "closing balance"), report.closing_fen),
        )
        for label, balance in balances:
            table.add_row(words.say(*label), "", yuan(balance), "")
    return table


def _checks(words: Words, checks: Sequence[Check]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(words.say("账单汇总", "the bill's totals"), overflow="fold")
    table.add_column(words.say("账单写", "it says"), justify="right", no_wrap=True)
    table.add_column(words.say("逐行合计", "its rows give"), justify="right", no_wrap=True)
    table.add_column("")
    for check in checks:
        said, found = (str(one) if check.is_count else yuan(one) for one in (check.says, check.found))
        figure = words.say(check.figure, FIGURES.get(check.figure, check.figure))
        table.add_row(escape(figure), said, found, "[green]✓[/]" if check.agrees else "[red]✗[/]")
    return table


def _outcome(console: Console, words: Words, report: Report) -> None:
    if report.sound:
        zh = f"{report.rows} 行,与自身的汇总一致" if report.checks else f"{report.rows} 行,账单自身没有汇总可核对"
        en = "as its totals say" if report.checks else "and it has no totals to compare them with"
        told = words.stacked(zh, f"{plural(report.rows, 'row')}, {en}")
        console.print(f"[green]✓[/] {escape(told)}".replace("\n", "\n  "), soft_wrap=True)
        return
    count = report.mistake_count
    told = words.stacked(f"有误 {count} 处,不可导入", f"{plural(count, 'mistake')}; not to be imported")
    console.print(f"[red]✗[/] {escape(told)}".replace("\n", "\n  "), soft_wrap=True)
    for mistake in report.mistakes:
        console.print(f"  {_printable(_place(mistake))}", markup=False, soft_wrap=True)
        told = _printable(words.stacked(mistake.zh, mistake.en))
        console.print(f"    {told}".replace("\n", "\n    "), markup=False, soft_wrap=True)
    if more := count - len(report.mistakes):
        console.print(f"  {words.say(f'… 还有 {more} 处', f'… {more} more')}", markup=False)


def _place(mistake: Mistake) -> str:
    """Where it is, as editors jump to it: `bill.csv:12 手续费 (fee_sign)`."""
    place = f"{mistake.file}:{mistake.line}" if mistake.line else mistake.file
    return f"{place} {mistake.field} ({mistake.rule})".replace("  ", " ")


def _printable(text: str) -> str:
    """A text that may quote a file, as a terminal can show it: what would steer the terminal is written out."""
    return "".join(one if one.isprintable() or one == "\n" else f"\\x{ord(one):02x}" for one in text)

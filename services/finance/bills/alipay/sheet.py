"""What both bills of Alipay have in common: lines about the bill, a list between marks, totals, and a summary."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

from services.finance.bills.amounts import count_of, fen_of
from services.finance.bills.columns import PADDING, Columns, name_of, row_of
from services.finance.bills.examination import Examination
from services.finance.bills.lines import Lines, records
from services.finance.bills.mistakes import Unreadable, Wrong
from services.finance.bills.rows import Row
from services.kernel.shop_time import SHOP_TIME

CHANNEL: Final = "alipay"

_ACCOUNT: Final = re.compile(r"#\s*账号[:\uff1a]\s*\[(?P<account>[^\]]*)\]")
_PERIOD: Final = re.compile(r"#\s*起始日期[:\uff1a]\s*\[(?P<first>[^\]]*)\]\s*终止日期[:\uff1a]\s*\[(?P<end>[^\]]*)\]")
_TOTAL: Final = re.compile(
    r"#\s*(?P<what>交易|退款|收入|支出)合计[:\uff1a]\s*(?P<rows>[^笔]*)笔[,\uff0c][^共]*共(?P<amount>[^元]*)元"
    r"(?:[,\uff0c][^共]*共(?P<discount>[^元]*)元)?$"
)
_MOMENT: Final = "%Y年%m月%d日 %H:%M:%S"
#: Behind the number of a merchant, the number of an account says which of its accounts it is.
_ACCOUNT_SUFFIX: Final = "0156"


class Totals:
    """Rows and amounts in fen of one direction, as the footer adds them up."""

    def __init__(self) -> None:
        self.rows = self.amount = self.discount = 0


def must_be_within(moment: datetime, field: str, text: str, seen: Examination) -> None:
    """Raises `Wrong` for a moment that the bill does not cover."""
    if seen.period and not seen.period[0] <= moment < seen.period[1]:
        raise Wrong("outside_period", field, found=text)


def sheet(
    lines: Lines,
    seen: Examination,
    columns: Columns,
    take: Callable[[dict[str, str], int], Row],
    totals: Mapping[str, Totals],
) -> Iterator[Row]:
    """The rows between `…明细列表` and `…明细列表结束`, as `take` reads them; the totals behind them are checked."""
    names: list[str] = []
    owner = ended = False
    open_totals = dict(totals)
    for begins, fields in records(lines):
        if not any(field.strip(PADDING) for field in fields):
            continue
        if fields[0].startswith("#"):
            about = ",".join(fields).rstrip(", \t")
            owner = owner or bool(_ACCOUNT.match(about))
            ended = ended or "列表结束" in about
            _about(about, lines, seen, open_totals)
        elif ended:
            lines.wrong(Wrong("after_footer"), begins)
            return
        elif not names:
            names = columns.of(fields, lines)
        else:
            try:
                yield take(row_of(names, fields), begins)
            except Wrong as wrong:
                seen.leave_out(lines, wrong, begins)
    if not ended:
        raise Unreadable("cut", missing_zh="“列表结束”行", missing_en="its line 列表结束")
    if not names:
        raise Unreadable("cut", missing_zh="表头", missing_en="its header")
    if not owner:
        raise Unreadable("cut", missing_zh="“账号”行", missing_en="its line 账号")
    for what, total in open_totals.items():
        if total.rows:
            raise Unreadable("cut", missing_zh=f"“{what}合计”行", missing_en=f"its line {what}合计")


def summary_of(lines: Lines) -> dict[str, str]:
    """What the second file of an archive says of all rows: the row 合计, by the names of its columns."""
    names: list[str] = []
    said: dict[str, str] = {}
    for _, fields in records(lines):  # to its end, where a zip says whether it was whole
        if fields and not fields[0].startswith("#"):
            cells = [name_of(field) for field in fields]
            if not names:
                names = cells
            elif cells[0] == "合计":
                said = row_of(names, fields)
    if not said:
        raise Unreadable("cut", missing_zh="“合计”行", missing_en="its row 合计")
    return said


def check_summary(lines: Lines, said: Mapping[str, str], seen: Examination) -> None:
    """Compare what the second file says with what the rows of the details gave."""
    for figure, found in seen.figures.items():
        if figure not in said:
            continue
        is_count = figure.endswith("笔数")
        try:
            says = count_of(said[figure], figure) if is_count else fen_of(said[figure], figure)
            seen.check(lines, figure, says, found, is_count=is_count)
        except Wrong as wrong:
            lines.wrong(wrong)


def _about(text: str, lines: Lines, seen: Examination, totals: dict[str, Totals]) -> None:
    """What a line that begins with `#` says of the bill. A total is taken out of those that are still to come."""
    try:
        if found := _ACCOUNT.match(text):
            seen.whose(_merchant(found["account"].strip(), seen.merchant), "账号")
        elif found := _PERIOD.match(text):
            seen.period = (_date(found["first"], "起始日期"), _date(found["end"], "终止日期"))
        elif (found := _TOTAL.match(text)) and found["what"] in totals:
            what, total = found["what"], totals.pop(found["what"])
            seen.check(lines, f"{what}合计 笔数", count_of(found["rows"], f"{what}合计"), total.rows, is_count=True)
            seen.check(lines, f"{what}合计 金额", fen_of(found["amount"], f"{what}合计"), total.amount)
            if found["discount"] is not None:
                seen.check(lines, f"{what}合计 商家优惠", fen_of(found["discount"], f"{what}合计"), total.discount)
    except Wrong as wrong:
        lines.wrong(wrong)


def _merchant(account: str, expected: str) -> str:
    """The merchant of an account: its number without what says which account it is, unless the caller names that."""
    return account if account == expected else account.removesuffix(_ACCOUNT_SUFFIX)


def _date(text: str, field: str) -> datetime:
    try:
        return datetime.strptime(text.strip(), _MOMENT).replace(tzinfo=SHOP_TIME)
    except ValueError:
        raise Wrong("time", field, found=text, wanted="2026年01月02日 00:00:00") from None

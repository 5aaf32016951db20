"""Rows of a shop as its bills have them, and how a test reads what it wrote."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from services.finance.bills.mapping import TableMapping
from services.finance.bills.reading import Bill, Report
from services.finance.bills.rows import BillKind, Expected, Row, RowKind, Status
from services.kernel.shop_time import SHOP_TIME
from services.sample import writing

MERCHANT: Final = "1627859777"
PID: Final = "2088123456789012"
DAY: Final = datetime(2026, 5, 1, tzinfo=SHOP_TIME)


def wechat_payment(number: int, amount_fen: int, fee_fen: int = 0, **changes: Any) -> Row:
    """A payment in a trade bill; equal numbers are one payment."""
    order = f"42000020862026050100000{number:05d}"
    row = Row(
        key=f"wechat-trade:payment:{order}",
        line=0,
        channel="wechat",
        merchant=MERCHANT,
        kind=RowKind.PAYMENT,
        order_ref=f"TB{number}",
        channel_order_ref=order,
        channel_ref=order,
        amount_fen=amount_fen,
        gross_fen=amount_fen,
        fee_fen=fee_fen,
        channel_status="SUCCESS",
        status=Status.SUCCEEDED,
        occurred_at=DAY + timedelta(seconds=number),
        raw={},
    )
    return msgspec.structs.replace(row, **changes)


def wechat_refund(number: int, amount_fen: int, fee_fen: int = 0, **changes: Any) -> Row:
    """A refund of the payment of this number; the amount as it is paid back."""
    refund = f"50300008082026050100000{number:05d}"
    own = {
        "key": f"wechat-trade:refund:{refund}",
        "kind": RowKind.REFUND,
        "refund_ref": f"TB{number}-1:refund:F1",
        "channel_ref": refund,
        "amount_fen": -amount_fen,
        "gross_fen": -amount_fen,
        "fee_fen": -fee_fen,
    }
    return msgspec.structs.replace(wechat_payment(number, amount_fen), **{**own, **changes})


def wechat_movement(number: int, amount_fen: int, balance_fen: int, kind: str = "交易", **changes: Any) -> Row:
    """A movement in a fund bill."""
    kinds = {"交易": RowKind.PAYMENT, "退款": RowKind.REFUND, "扣除交易手续费": RowKind.FEE, "其他": RowKind.OTHER}
    is_refund = kind == "退款"
    row = Row(
        key="",
        line=0,
        channel="wechat",
        merchant=MERCHANT,
        kind=kinds[kind],
        order_ref="" if is_refund else f"TB{number}",
        refund_ref=f"TB{number}-1:refund:F1" if is_refund else "",
        channel_order_ref=f"50300008{number:05d}",
        channel_ref=f"4200000920{number:05d}",
        amount_fen=amount_fen,
        gross_fen=amount_fen,
        channel_status=kind,
        status=Status.SUCCEEDED,
        occurred_at=DAY + timedelta(seconds=number),
        balance_fen=balance_fen,
        raw={},
    )
    return msgspec.structs.replace(row, **changes)


def alipay_trade(number: int, amount_fen: int, fee_fen: int = 0, **changes: Any) -> Row:
    """A payment of Alipay; a refund where the amount is negative."""
    is_refund = amount_fen < 0
    trade, what = f"2026050122001458860{number:05d}", "退款" if is_refund else "交易"
    refund = f"TB{number}-1:refund:F1" if is_refund else ""
    row = Row(
        key=f"alipay-trade:{what}:{trade}:{refund}",
        line=0,
        channel="alipay",
        merchant=PID,
        kind=RowKind.REFUND if is_refund else RowKind.PAYMENT,
        order_ref=f"TB{number}",
        refund_ref=refund,
        channel_order_ref=trade,
        channel_ref=trade,
        amount_fen=amount_fen,
        gross_fen=amount_fen,
        fee_fen=fee_fen,
        channel_status=what,
        status=Status.SUCCEEDED,
        occurred_at=DAY + timedelta(seconds=number),
        raw={},
    )
    return msgspec.structs.replace(row, **changes)


def alipay_movement(number: int, amount_fen: int, balance_fen: int, kind: str = "在线支付", **changes: Any) -> Row:
    """A movement on an account at Alipay."""
    kinds = {"在线支付": RowKind.PAYMENT, "交易退款": RowKind.REFUND, "收费": RowKind.FEE, "其它": RowKind.OTHER}
    flow = f"54632446{number:07d}"
    row = Row(
        key=f"alipay-fund:{flow}",
        line=0,
        channel="alipay",
        merchant=PID,
        kind=kinds[kind],
        order_ref=f"TB{number}",
        channel_order_ref=f"2026050129{number:05d}",
        channel_ref=flow,
        amount_fen=amount_fen,
        gross_fen=amount_fen,
        channel_status=kind,
        status=Status.SUCCEEDED,
        occurred_at=DAY + timedelta(seconds=number),
        balance_fen=balance_fen,
        raw={},
    )
    return msgspec.structs.replace(row, **changes)


def read(
    folder: Path,
    content: str | bytes,
    *,
    kind: BillKind | None = None,
    mapping: TableMapping | None = None,
    merchant: str = "",
    name: str = "bill.csv",
) -> tuple[list[Row], Report]:
    """The rows and the report of a file with this content."""
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    bill = Bill(file, kind=kind, mapping=mapping, expected=Expected(merchant))
    rows = list(bill.rows())
    return rows, bill.report


def plain(rows: Sequence[Row]) -> list[Row]:
    """Rows without what a file adds: where they stand, and every field."""
    return [msgspec.structs.replace(row, line=0, part="", raw={}) for row in rows]


def rules(report: Report) -> list[str]:
    """The rules that a bill breaks, each once, in order."""
    return list(dict.fromkeys(mistake.rule for mistake in report.mistakes))


def mistake_of(report: Report, rule: str) -> tuple[int, str]:
    """Where the first mistake of a rule is: line and field."""
    return next((mistake.line, mistake.field) for mistake in report.mistakes if mistake.rule == rule)


_FEN: Final = st.integers(0, 10**9)
#: What buyers and shops write: quotes, commas, formulas, line breaks, whatever GBK has and what it lacks.
NAMES: Final = st.text(st.sampled_from("智能锁 Aa1\"',=+-@#`|\\\t\n\r;€𠀀🔒<>[]{}"), max_size=12).filter(
    lambda name: name == name.strip() and "`" not in name and "\r" not in name
)


@st.composite
def wechat_trades(draw: st.DrawFn, refunds_only: bool = False, payments_only: bool = False) -> list[Row]:
    """Rows of a trade bill."""
    rows = []
    for number in range(1, draw(st.integers(0, 12)) + 1):
        amount, fee = draw(_FEN), draw(st.integers(0, 10**6))
        is_refund = refunds_only or (not payments_only and draw(st.booleans()))
        raw = {"商品名称": draw(NAMES)}
        gross = amount + draw(st.integers(0, 500))
        if not is_refund:
            rows.append(wechat_payment(number, amount, fee, gross_fen=gross, raw=raw))
            continue
        word, status = draw(
            st.sampled_from([("SUCCESS", Status.SUCCEEDED), ("PROCESSING", Status.ACCEPTED), ("CHANGE", Status.FAILED)])
        )
        rows.append(wechat_refund(number, amount, fee, gross_fen=-gross, raw=raw, channel_status=word, status=status))
    return rows


@st.composite
def movements(draw: st.DrawFn, one: Callable[..., Row], kinds: Sequence[str]) -> list[Row]:
    """Rows of a fund bill, whose balances follow one another: oldest first, or newest first."""
    balance = draw(_FEN)
    rows = []
    for number in range(1, draw(st.integers(0, 12)) + 1):
        amount = draw(st.integers(-(10**8), 10**8))
        balance += amount
        rows.append(one(number, amount, balance, draw(st.sampled_from(kinds)), raw={"备注": draw(NAMES)}))
    return rows[::-1] if draw(st.booleans()) else rows


@st.composite
def alipay_trades(draw: st.DrawFn) -> list[Row]:
    """Rows of Alipay's trade bill."""
    rows = []
    for number in range(1, draw(st.integers(0, 12)) + 1):
        amount = draw(st.integers(-(10**9), 10**9))
        fee = draw(st.integers(0, 10**6)) * (-1 if amount < 0 else 1)
        rows.append(alipay_trade(number, amount, fee, raw={"商品名称": draw(NAMES)}))
    return rows


def alipay_zip(rows: Sequence[Row], what: str = "业务") -> bytes:
    """The archive of these rows: details and summary."""
    write = writing.alipay_trade if what == "业务" else writing.alipay_fund
    return writing.zipped(**{f"{what}明细": write(rows), f"{what}明细(汇总)": writing.alipay_summary(rows, what)})


def damaged(text: str, change: Callable[[list[str]], None]) -> str:
    """The same with its lines changed."""
    lines = text.split("\r\n")
    change(lines)
    return "\r\n".join(lines)

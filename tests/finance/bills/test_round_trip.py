"""What a channel writes is what is read: each row, each sum, whatever people put into names."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.finance.bills.reading import Report
from services.finance.bills.rows import BillKind, Row
from services.sample import writing
from tests.finance.bills import shop

WECHAT_KINDS: Final = ("交易", "退款", "扣除交易手续费", "其他")
ALIPAY_KINDS: Final = ("在线支付", "交易退款", "收费", "其它")


def _read(content: str | bytes, merchant: str) -> tuple[list[Row], Report]:
    with TemporaryDirectory() as folder:
        return shop.read(Path(folder), content, merchant=merchant)


def _sums_are_kept(rows: list[Row], report: Report) -> None:
    assert sum(one.amount_fen for one in report.sums) == sum(row.amount_fen for row in rows)
    assert sum(one.fee_fen for one in report.sums) == sum(row.fee_fen for row in rows)
    assert sum(one.rows for one in report.sums) == report.rows == len(rows)


@pytest.mark.parametrize("variant", ["ALL", "SUCCESS", "REFUND"])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_transactions_of_wechat_pay(variant: str, data: st.DataObject) -> None:
    """All three trade bills come back row for row, plain, gzipped, with and without a byte order mark."""
    rows = data.draw(shop.wechat_trades(refunds_only=variant == "REFUND", payments_only=variant == "SUCCESS"))
    text = writing.wechat_trade(rows, variant)
    content = data.draw(st.sampled_from([text.encode(), text.encode("utf-8-sig"), writing.packed(text)]))
    got, report = _read(content, shop.MERCHANT)
    assert report.mistakes == ()
    assert (report.kind, report.variant) == (BillKind.WECHAT_TRADE, variant)
    assert shop.plain(got) == shop.plain(rows)
    names = [row.raw["商品名称"].replace("\n", "\\n").strip() for row in rows]
    assert [row.raw["商品名称"] for row in got] == names
    _sums_are_kept(rows, report)


@given(rows=shop.movements(shop.wechat_movement, WECHAT_KINDS))
@settings(max_examples=40, deadline=None)
def test_fund_bill_of_wechat_pay(rows: list[Row]) -> None:
    """Movements come back with their balances, whether the bill begins with the oldest or the newest."""
    got, report = _read(writing.wechat_fund(rows), shop.MERCHANT)
    assert report.mistakes == ()
    keyless = [{**vars_of(row), "key": ""} for row in shop.plain(got)]
    assert keyless == [vars_of(row) for row in shop.plain(rows)]
    _sums_are_kept(rows, report)
    if rows:
        assert report.opening_fen is not None
        assert report.closing_fen == report.opening_fen + sum(row.amount_fen for row in rows)


@given(rows=shop.alipay_trades())
@settings(max_examples=40, deadline=None)
def test_transactions_of_alipay(rows: list[Row]) -> None:
    """A zip of GBK files comes back row for row, and its summary is compared."""
    got, report = _read(shop.alipay_zip(rows), shop.PID)
    assert report.mistakes == ()
    assert report.kind is BillKind.ALIPAY_TRADE
    assert shop.plain(got) == shop.plain(rows)
    assert [row.raw["商品名称"] for row in got] == [row.raw["商品名称"] for row in rows]
    _sums_are_kept(rows, report)
    assert {"交易合计 笔数", "退款合计 金额", "交易订单总笔数"} <= {check.figure for check in report.checks}


@given(rows=shop.movements(shop.alipay_movement, ALIPAY_KINDS))
@settings(max_examples=40, deadline=None)
def test_fund_bill_of_alipay(rows: list[Row]) -> None:
    """Movements come back with their balances, signed by their column."""
    got, report = _read(shop.alipay_zip(rows, "账务"), shop.PID)
    assert report.mistakes == ()
    assert report.kind is BillKind.ALIPAY_FUND
    assert shop.plain(got) == shop.plain(rows)
    _sums_are_kept(rows, report)


def vars_of(row: Row) -> dict[str, object]:
    """The fields of a row by name."""
    return {name: getattr(row, name) for name in Row.__struct_fields__}

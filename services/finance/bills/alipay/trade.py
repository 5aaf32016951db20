"""The trade bill: payments and refunds (业务账单, `trade`)."""

from collections.abc import Iterator
from typing import Final

from services.finance.bills.alipay.sheet import CHANNEL, Totals, must_be_within, sheet
from services.finance.bills.amounts import fen_of
from services.finance.bills.columns import Columns
from services.finance.bills.examination import Examination
from services.finance.bills.keys import key_of, must_be_a_number
from services.finance.bills.lines import Lines
from services.finance.bills.mistakes import Wrong
from services.finance.bills.rows import BillKind, Row, RowKind, Status
from services.finance.bills.times import moment_of

COLUMNS: Final = Columns(
    needed=(
        *("支付宝交易号", "商户订单号", "业务类型", "完成时间", "订单金额(元)", "商家实收(元)", "商家优惠(元)"),
        *("退款批次号/请求号", "服务费(元)"),
    ),
    optional=(
        *("商品名称", "创建时间", "门店编号", "门店名称", "操作员", "终端号", "对方账户", "支付宝红包(元)"),
        *("集分宝(元)", "支付宝优惠(元)", "券核销金额(元)", "券名称", "商家红包消费金额(元)", "卡消费金额(元)"),
        *("分润(元)", "备注", "实收净额(元)", "商户识别号", "交易方式", "花呗分期手续费", "花呗分期数"),
    ),
    earlier={"交易号": "支付宝交易号", "退款批次号": "退款批次号/请求号"},
)


def rows(lines: Lines, seen: Examination) -> Iterator[Row]:
    """The rows of the details of a trade bill; its footer is checked behind the last."""
    totals = {"交易": Totals(), "退款": Totals()}

    def take(raw: dict[str, str], line: int) -> Row:
        discount = fen_of(raw["商家优惠(元)"], "商家优惠(元)")
        row = seen.take(_row(raw, line, lines, seen))
        total = totals[raw["业务类型"]]
        total.rows += 1
        total.amount += row.amount_fen
        total.discount += discount
        return row

    yield from sheet(lines, seen, COLUMNS, take, totals)
    payments, refunds = totals["交易"], totals["退款"]
    seen.figures["交易订单总笔数"] += payments.rows
    seen.figures["退款订单总笔数"] += refunds.rows
    seen.figures["商家实收(元)"] += payments.amount + refunds.amount


def _row(raw: dict[str, str], line: int, lines: Lines, seen: Examination) -> Row:
    if raw["业务类型"] not in ("交易", "退款"):
        raise Wrong("unknown_kind", "业务类型", found=raw["业务类型"])
    is_refund = raw["业务类型"] == "退款"
    sign = -1 if is_refund else 1
    amount, gross = fen_of(raw["商家实收(元)"], "商家实收(元)"), fen_of(raw["订单金额(元)"], "订单金额(元)")
    for name, fen in (("商家实收(元)", amount), ("订单金额(元)", gross)):
        if fen * sign < 0:
            raise Wrong("amount_sign", name, found=raw[name])
    fee = -fen_of(raw["服务费(元)"], "服务费(元)")
    if fee * sign < 0:
        raise Wrong("fee_sign", "服务费(元)", found=raw["服务费(元)"])
    trade = must_be_a_number(raw, "支付宝交易号")
    order = must_be_a_number(raw, "商户订单号")
    refund = must_be_a_number(raw, "退款批次号/请求号") if is_refund else ""
    moment = moment_of(raw["完成时间"], "完成时间")
    must_be_within(moment, "完成时间", raw["完成时间"], seen)
    return Row(
        key=key_of(BillKind.ALIPAY_TRADE, raw["业务类型"], trade, refund),
        part=lines.part.name,
        line=line,
        channel=CHANNEL,
        merchant=seen.merchant,
        kind=RowKind.REFUND if is_refund else RowKind.PAYMENT,
        order_ref=order,
        refund_ref=refund,
        channel_order_ref=trade,
        channel_ref=trade,
        amount_fen=amount,
        gross_fen=gross,
        fee_fen=fee,
        currency=seen.in_currency("CNY", ""),
        channel_status=raw["业务类型"],
        status=Status.SUCCEEDED,
        occurred_at=moment,
        raw=raw,
    )

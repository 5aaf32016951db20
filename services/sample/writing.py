"""Bills as the channels write them, made from rows: columns in their order, padding, footers, encodings, archives.

The same rows give the same bytes. `services.finance.bills` reads what is written here.
"""

import gzip
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from services.finance.bills.rows import Row, RowKind, Status


def _names(header: str) -> list[str]:
    """The columns of a header."""
    return header.split(",")


TRADE_ALL: Final = _names(
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,"
    "费率,订单金额,申请退款金额,费率备注"
)
_REFUND_ONLY: Final = (
    "微信退款单号",
    "商户退款单号",
    "退款金额",
    "充值券退款金额",
    "退款类型",
    "退款状态",
    "申请退款金额",
)
TRADE_SUCCESS: Final = [name for name in TRADE_ALL if name not in _REFUND_ONLY]
TRADE_REFUND: Final = [*TRADE_ALL[:14], "退款申请时间", "退款成功时间", *TRADE_ALL[14:]]
TRADE: Final = {"ALL": TRADE_ALL, "SUCCESS": TRADE_SUCCESS, "REFUND": TRADE_REFUND}
TRADE_TOTALS: Final = _names(
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
)
FUND: Final = _names(
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,备注,业务凭证号"
)
FUND_TOTALS: Final = _names("资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额")

ALIPAY_TRADE: Final = _names(
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,"
    "卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
ALIPAY_FUND: Final = _names(
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,交易渠道,业务类型,备注"
)
#: Fields that Alipay pads with a tab.
PADDED: Final = frozenset(
    _names(
        "支付宝交易号,商户订单号,业务类型,门店编号,门店名称,操作员,终端号,对方账户,商家红包消费金额（元）,退款批次号/请求号,"
        "账务流水号,业务流水号,对方账号"
    )
)

#: Their full-width comma and colon, which no code here may mistake for ASCII ones.
COMMA: Final = "\uff0c"
COLON: Final = "\uff1a"


def yuan(fen: int, decimals: int = 2) -> str:
    """Fen as bills write them."""
    sign = "-" if fen < 0 else ""
    whole, rest = divmod(abs(fen), 100)
    return f"{sign}{whole}.{rest:02d}".ljust(len(f"{sign}{whole}.") + decimals, "0")


def usual(moment: datetime) -> str:
    """A time by the shop's clock."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def wechat_trade(rows: Sequence[Row], variant: str = "ALL", *, columns: Sequence[str] | None = None) -> str:
    """A trade bill."""
    names = list(columns or TRADE[variant])
    written = [_wechat_fields(row) for row in rows]
    refunds = [row for row in rows if row.kind is RowKind.REFUND]
    payments = [row for row in rows if row.kind is RowKind.PAYMENT]
    totals = [
        str(len(rows)),
        yuan(sum(row.amount_fen for row in payments)),
        yuan(-sum(row.amount_fen for row in refunds)),
        "0.00",
        yuan(sum(row.fee_fen for row in rows), 5),
        yuan(sum(row.gross_fen for row in payments)),
        yuan(-sum(row.gross_fen for row in refunds)),
    ]
    return _wechat(names, written, TRADE_TOTALS, totals)


def _wechat_fields(row: Row) -> dict[str, str]:
    is_refund = row.kind is RowKind.REFUND
    amount, gross = abs(row.amount_fen), abs(row.gross_fen)
    return {
        "交易时间": usual(row.occurred_at),
        "公众账号ID": "wx8888888888888888",
        "商户号": row.merchant,
        "特约商户号": "0",
        "微信订单号": row.channel_order_ref,
        "商户订单号": row.order_ref,
        "用户标识": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
        "交易类型": "JSAPI",
        "交易状态": "REFUND" if is_refund else "SUCCESS",
        "付款银行": "OTHERS",
        "货币种类": row.currency,
        "应结订单金额": yuan(0 if is_refund else amount),
        "代金券金额": "0.00",
        "退款申请时间": usual(row.occurred_at),
        "退款成功时间": usual(row.occurred_at) if row.status is Status.SUCCEEDED else "",
        "微信退款单号": row.channel_ref if is_refund else "0",
        "商户退款单号": row.refund_ref if is_refund else "0",
        "退款金额": yuan(amount if is_refund else 0),
        "充值券退款金额": "0.00",
        "退款类型": "ORIGINAL" if is_refund else "",
        "退款状态": row.channel_status if is_refund else "",
        "商品名称": row.raw.get("商品名称", "智能锁"),
        "手续费": yuan(row.fee_fen, 5),
        "费率": "0.60%",
        "订单金额": yuan(0 if is_refund else gross),
        "申请退款金额": yuan(gross if is_refund else 0),
    }


def wechat_fund(rows: Sequence[Row]) -> str:
    """A fund bill."""
    names = {RowKind.PAYMENT: "交易", RowKind.REFUND: "退款", RowKind.FEE: "交易", RowKind.TRANSFER: "充值/提现"}
    written = [
        {
            "记账时间": usual(row.occurred_at),
            "微信支付业务单号": row.channel_order_ref,
            "资金流水单号": row.channel_ref,
            "业务名称": names.get(row.kind, "其他"),
            "业务类型": row.channel_status,
            "收支类型": "收入" if row.amount_fen >= 0 else "支出",
            "收支金额(元)": yuan(abs(row.amount_fen)),
            "账户结余(元)": yuan(row.balance_fen or 0),
            "资金变更提交申请人": "system",
            "备注": row.raw.get("备注", ""),
            "业务凭证号": row.refund_ref or row.order_ref,
        }
        for row in rows
    ]
    came = [row.amount_fen for row in rows if row.amount_fen >= 0]
    went = [-row.amount_fen for row in rows if row.amount_fen < 0]
    totals = [f"{len(rows)}.0", str(len(came)), yuan(sum(came)), str(len(went)), yuan(sum(went))]
    return _wechat(FUND, written, FUND_TOTALS, totals)


def _wechat(
    names: Sequence[str], rows: Iterable[Mapping[str, str]], totals: Sequence[str], values: Sequence[str]
) -> str:
    """Line breaks in a field arrive as letters, as WeChat Pay writes them."""
    lines = [",".join(names)]
    for row in rows:
        fields = [row.get(name, "").replace("\r", "\\r").replace("\n", "\\n") for name in names]
        lines.append(",".join(f"`{field}" for field in fields))
    lines += [",".join(totals), ",".join(f"`{value}" for value in values)]
    return "\r\n".join(lines) + "\r\n"


def packed(text: str, *, bom: bool = True) -> bytes:
    """A bill of WeChat Pay, gzipped."""
    return gzip.compress(text.encode("utf-8-sig" if bom else "utf-8"), mtime=0)


#: What a bill covers: its first moment, and the one behind its last.
Period = tuple[datetime, datetime]
#: An account at Alipay: a merchant, and which of its accounts it is.
ACCOUNT: Final = "20881234567890120156"


def alipay_trade(rows: Sequence[Row], account: str = ACCOUNT, period: Period | None = None) -> str:
    """The details of a trade bill; it covers the days of its rows unless a period is given."""
    written = [
        {
            "支付宝交易号": row.channel_order_ref,
            "商户订单号": row.order_ref,
            "业务类型": row.channel_status,
            "商品名称": row.raw.get("商品名称", "智能锁"),
            "创建时间": usual(row.occurred_at),
            "完成时间": usual(row.occurred_at),
            "对方账户": "*三(138****0000)",
            "订单金额（元）": yuan(row.gross_fen),
            "商家实收（元）": yuan(row.amount_fen),
            **dict.fromkeys(("支付宝红包（元）", "集分宝（元）", "支付宝优惠（元）", "商家优惠（元）"), "0.00"),
            **dict.fromkeys(("券核销金额（元）", "商家红包消费金额（元）", "卡消费金额（元）", "分润（元）"), "0.00"),
            "退款批次号/请求号": row.refund_ref,
            "服务费（元）": yuan(-row.fee_fen),
        }
        for row in rows
    ]
    payments = [row.amount_fen for row in rows if row.kind is RowKind.PAYMENT]
    refunds = [row.amount_fen for row in rows if row.kind is RowKind.REFUND]
    totals = [
        f"#交易合计{COLON}{len(payments)}笔{COMMA}商家实收共{yuan(sum(payments))}元{COMMA}商家优惠共0.00元",
        f"#退款合计{COLON}{len(refunds)}笔{COMMA}商家实收退款共{yuan(sum(refunds))}元{COMMA}商家优惠退款共0.00元",
    ]
    return _alipay("业务", ALIPAY_TRADE, written, totals, account, period or _period(rows))


def alipay_fund(rows: Sequence[Row], account: str = ACCOUNT, period: Period | None = None) -> str:
    """The details of a fund bill; it covers the days of its rows unless a period is given."""
    written = [
        {
            "账务流水号": row.channel_ref,
            "业务流水号": row.channel_order_ref,
            "商户订单号": row.order_ref,
            "商品名称": row.raw.get("商品名称", ""),
            "发生时间": usual(row.occurred_at),
            "收入金额（+元）": yuan(max(row.amount_fen, 0)),
            "支出金额（-元）": yuan(min(row.amount_fen, 0)),
            "账户余额（元）": yuan(row.balance_fen or 0),
            "交易渠道": "支付宝",
            "业务类型": row.channel_status,
        }
        for row in rows
    ]
    came = [row.amount_fen for row in rows if row.amount_fen >= 0]
    went = [row.amount_fen for row in rows if row.amount_fen < 0]
    totals = [
        f"#支出合计{COLON}{len(went)}笔{COMMA}共{yuan(sum(went))}元",
        f"#收入合计{COLON}{len(came)}笔{COMMA}共{yuan(sum(came))}元",
    ]
    return _alipay("账务", ALIPAY_FUND, written, totals, account, period or _period(rows))


def _period(rows: Sequence[Row]) -> Period:
    """The days of the rows."""
    moments = [row.occurred_at for row in rows] or [datetime(2026, 5, 1)]
    return min(moments), max(moments) + timedelta(days=1)


def _alipay(
    what: str,
    names: Sequence[str],
    written: Sequence[Mapping[str, str]],
    totals: Sequence[str],
    account: str,
    period: Period,
) -> str:
    first, end = period
    lines = [
        f"#支付宝{what}明细查询",
        f"#账号{COLON}[{account}]",
        f"#起始日期{COLON}[{first:%Y年%m月%d日} 00:00:00]   终止日期{COLON}[{end:%Y年%m月%d日} 00:00:00]",
        f"#-----------------------------------------{what}明细列表----------------------------------------",
        ",".join(names),
        *(",".join(_alipay_field(name, row.get(name, "")) for name in names) for row in written),
        f"#-----------------------------------------{what}明细列表结束------------------------------------",
        *totals,
        f"#导出时间{COLON}[{end:%Y年%m月%d日} 06:27:10]",
    ]
    return "\r\n".join(lines) + "\r\n"


def _alipay_field(name: str, text: str) -> str:
    padded = f"{text}\t" if name in PADDED else text
    return f'"{padded.replace(chr(34), chr(34) * 2)}"' if any(sign in padded for sign in '",\n\r') else padded


def alipay_summary(rows: Sequence[Row], what: str) -> str:
    """The second file of an archive, for 业务 or 账务."""
    if what == "业务":
        payments = [row for row in rows if row.kind is RowKind.PAYMENT]
        names = "门店编号,门店名称,交易订单总笔数,退款订单总笔数,商家实收（元）"
        amount = yuan(sum(row.amount_fen for row in rows))
        values = f"合计,,{len(payments)},{len(rows) - len(payments)},{amount}"
    else:
        came = [row.amount_fen for row in rows if row.amount_fen >= 0]
        went = [row.amount_fen for row in rows if row.amount_fen < 0]
        names = "类型,收入笔数,收入金额（+元）,支出笔数,支出金额（-元）,总金额（元）"
        sums = [yuan(sum(amounts)) for amounts in (came, went, came + went)]
        values = f"合计,{len(came)},{sums[0]},{len(went)},{sums[1]},{sums[2]}"
    return f"#支付宝{what}汇总查询\r\n#----{what}汇总列表----\r\n{names}\r\n{values}\r\n#----{what}汇总列表结束----\r\n"


def zipped(*, account: str = ACCOUNT, day: str = "20260501", **texts: str) -> bytes:
    """A zip of GBK files, named in GBK without saying so: `业务明细` becomes `2088…_20260501_业务明细.csv`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            # The name goes through `ZipInfo` as Latin letters of the same bytes, so that no flag says UTF-8.
            info = _Gbk(f"{account}_{day}_{name}.csv")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, text.encode("gb18030"))
    return buffer.getvalue()


class _Gbk(zipfile.ZipInfo):
    """An entry whose name is written in GBK."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("gbk"), self.flag_bits

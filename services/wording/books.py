"""The books: what codes of bills, reconciliations, discrepancies, corrections, months and claims are called."""

from collections.abc import Mapping
from typing import Final

#: A code's name, in zh and en.
Names = Mapping[str, tuple[str, str]]

ROW_KINDS: Final[Names] = {
    "payment": ("支付", "payment"),
    "refund": ("退款", "refund"),
    "fee": ("手续费", "fee"),
    "transfer": ("转账", "transfer"),
    "other": ("其他", "other"),
}
ROW_STATUSES: Final[Names] = {
    "succeeded": ("成功", "succeeded"),
    "accepted": ("已受理", "accepted"),
    "failed": ("失败", "failed"),
}
DISCREPANCIES: Final[Names] = {
    "missing_with_us": ("我方无记录", "missing with us"),
    "missing_at_channel": ("渠道无记录", "missing at the channel"),
    "amount": ("金额不符", "another amount"),
    "currency": ("币种不符", "another currency"),
    "status": ("渠道为失败", "failed at the channel"),
    "duplicate": ("渠道重复打款", "paid twice by the channel"),
    "accepted_not_settled": ("已受理未到账", "accepted, not settled"),
    "closed_after_acceptance": ("受理后退款关闭", "closed after it was accepted"),
    "fee": ("手续费不符", "another fee"),
    "cut_off": ("跨期", "days apart"),
    "insurance_not_deducted": ("运费险未抵扣", "insurance not deducted"),
    "insurance_paid_twice": ("运费险重复赔付", "insurance paid twice"),
    "compensation_paid_twice": ("补偿重复支付", "compensation paid twice"),
    "liability_unassigned": ("损失未定责", "loss that nobody bears"),
    "bill_footer_wrong": ("账单合计不符", "bill's total wrong"),
}
DISCREPANCY_STATES: Final[Names] = {"open": ("未处理", "open"), "closed": ("已关闭", "closed")}
#: By what a row of a bill and an event were found to be the same.
MATCH_RULES: Final[Names] = {
    "exact": ("我方单号与金额", "our reference and the amount"),
    "channel_ref": ("渠道单号与金额", "the channel's number and the amount"),
    "order_sum": ("订单与金额合计", "the order and the sum"),
    "roll_up": ("合并打款", "several paid together"),
    "cut_off": ("跨日", "across midnight"),
    "fee": ("手续费", "fees"),
}
#: What became of rows and postings in a reconciliation.
ENDED: Final[Names] = {
    "matched": ("相符", "agree"),
    "carried": ("结转", "carried"),
    "outside": ("与售后无关", "no after-sales money"),
    "discrepancy": ("差异", "in discrepancies"),
}
#: The totals of a day of a reconciliation.
DAY_TOTALS: Final[Names] = {
    "books_fen": ("账上售后(收减付)", "books: after-sales, in less out"),
    "trade_payments_fen": ("交易:收款", "trade: payments"),
    "trade_refunds_fen": ("交易:退款", "trade: refunds"),
    "fund_payments_fen": ("资金:收款", "fund: payments"),
    "fund_refunds_fen": ("资金:退款", "fund: refunds"),
    "fund_fees_fen": ("资金:手续费", "fund: fees"),
    "fund_others_fen": ("资金:其他", "fund: others"),
    "differs_fen": ("资金减交易", "fund less trade"),
}
CORRECTION_STATES: Final[Names] = {
    "proposed": ("待批准", "waits for approval"),
    "approved": ("已批准", "approved"),
    "declined": ("未通过", "declined"),
}
PERIOD_STATES: Final[Names] = {"open": ("未结", "open"), "closed": ("已结", "closed")}
CLAIM_STATES: Final[Names] = {
    "insured": ("已投保", "insured"),
    "filed": ("已报案", "filed"),
    "paid": ("已赔付", "paid"),
    "failed": ("拒赔", "refused"),
    "paid_late": ("返还运费后才赔", "paid late"),
    "paid_twice": ("重复赔付", "paid twice"),
    "lapsed": ("未退货", "lapsed"),
}
CLAIM_DIFFERENCES: Final[Names] = {
    "insurance_not_deducted": ("赔付未扣", "not deducted"),
    "insurance_paid_twice": ("重复赔付", "paid twice"),
}
PAYERS: Final[Names] = {"buyer": ("买家", "buyer"), "merchant": ("商家", "merchant")}
ACCOUNT_KINDS: Final[Names] = {
    "asset": ("资产", "assets"),
    "liability": ("负债", "liabilities"),
    "income": ("收入", "income"),
    "expense": ("费用", "expenses"),
    "clearing": ("过渡", "clearing"),
}
#: Memos of postings that are no term of a loss and no kind of payout, which have names already.
MEMOS: Final[Names] = {
    "charged": ("承担", "charged"),
    "reversed": ("转由他方承担", "reversed"),
    "credited": ("冲减", "credited"),
    "recovered": ("追偿到账", "recovered"),
    "deposit": ("押金", "deposit"),
    "insurance": ("运费险已赔", "paid by the insurance"),
}
IMPORT_OUTCOMES: Final[Names] = {
    "imported": ("已导入", "imported"),
    "known": ("此前已导入,未改动", "imported before, nothing changed"),
    "sound": ("可导入,未改动", "can be imported, nothing changed"),
}

"""The chart of accounts: what each account holds, and which events touch it.

It is a sub-ledger of after-sales. Channel, bank and goods accounts hold what after-sales moved, not what is there.
An amount is positive as a debit and negative as a credit.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from contracts.policy import Policy, Text


class Kind(StrEnum):
    """What an account is to an accountant. A clearing account is empty once a case is finished."""

    ASSET = "asset"
    LIABILITY = "liability"
    INCOME = "income"
    EXPENSE = "expense"
    CLEARING = "clearing"


class Account(msgspec.Struct, frozen=True):
    """One account. `by` says what it is kept by (`party`, `channel` or `carrier`), empty where it is one whole;
    `touched_by` are the types of events that post to it."""

    code: str
    kind: Kind
    name: Text
    means: Text
    touched_by: tuple[str, ...]
    by: str = ""

    @property
    def ends_empty(self) -> bool:
        """Whether nothing of a case is left in it once the case is finished."""
        return self.kind is Kind.CLEARING or self.code in _OPEN_ITEMS


#: Accounts of what is still to be paid, or to be given back: not clearing, but empty too when a case is finished.
_OPEN_ITEMS: Final = frozenset({"buyer_payables", "payouts_in_transit", "deposits_held"})

_PAYOUTS: Final = ("payout.requested", "payout.failed", "payout.succeeded")
_CHARGES: Final = ("loss.charged", "loss.reversed")


def _account(
    code: str, kind: Kind, name: tuple[str, str], means: tuple[str, str], touched_by: tuple[str, ...], by: str = ""
) -> Account:
    return Account(code, kind, Text(zh=name[0], en=name[1]), Text(zh=means[0], en=means[1]), touched_by, by)


def _cost(term: str, zh: str, en: str, fact: str, credit: bool = False) -> Account:
    """The clearing account of one term of the net loss: the fact enters it, the entry of the loss clears it."""
    zh_sign, en_sign = ("减少", "lowers") if credit else ("增加", "raises")
    means = (
        f"{zh_sign}净损失的事实,尚未记为损失分录的部分",
        f"A fact that {en_sign} the net loss, until it is recorded as an entry of the loss",
    )
    return _account(account_of_term(term), Kind.CLEARING, (zh, en), means, (fact, "loss.recorded"))


def external_parties(policy: Policy) -> frozenset[str]:
    """Codes of the parties outside the business: what they bear, they owe."""
    return frozenset(code for code, party in policy.parties.items() if party.external)


#: Terms that lower a net loss: credits.
CREDITS: Final = frozenset({"goods_returned", "deduction", "buyer_payment", "deposit_forfeited"})


def account_of_term(term: str) -> str:
    """The account of a term of the net loss: `cost.cash`, `credit.deduction`."""
    return f"{'credit' if term in CREDITS else 'cost'}.{term}"


_ALL: Final = (
    _account(
        "channel",
        Kind.ASSET,
        ("渠道账户", "Channel account"),
        (
            "经订单所属渠道收付买家的钱;应与渠道账单一致",
            "Money to and from buyers by the order's channel; to agree with the channel's bill",
        ),
        ("compensation.paid", "buyer.paid", "deposit.collected", "payout.succeeded"),
        "channel",
    ),
    _account(
        "bank",
        Kind.ASSET,
        ("银行(追偿款)", "Bank (claims collected)"),
        ("从外部责任方收到的追偿款", "What parties outside the business paid of what they owed"),
        ("loss.recovered",),
    ),
    _account(
        "recoverable",
        Kind.ASSET,
        ("应收追偿", "Recoverable"),
        (
            "外部责任方(快递、厂家、安装师傅)应赔而未付;为负则是多收了",
            "Charged to a party outside the business (courier, supplier, installer) and not collected; below zero,"
            " too much was collected",
        ),
        (*_CHARGES, "loss.recovered"),
        "party",
    ),
    _account(
        "inventory",
        Kind.ASSET,
        ("库存(成本价)", "Inventory at cost"),
        ("售后发出和可再售退回的货物成本", "Cost of goods that after-sales sent out or took back to sell again"),
        ("reshipment.shipped", "return.received"),
    ),
    _account(
        "buyer_payables",
        Kind.LIABILITY,
        ("应付买家", "Buyer payables"),
        (
            "已确定应给买家、尚未交付打款的钱(退款、运费、押金、退还的收费)",
            "Owed to buyers and not handed to a payout yet: refunds, freight, deposits, charges that go back",
        ),
        ("return.received", "refund.calculated", "reshipment.cancelled", "return_freight.reimbursed", *_PAYOUTS),
    ),
    _account(
        "payouts_in_transit",
        Kind.LIABILITY,
        ("在途打款", "Payouts in transit"),
        ("已发起而未有结果的打款(含结果未知)", "Payouts that were requested and have not ended, unknown ones included"),
        _PAYOUTS,
    ),
    _account(
        "deposits_held",
        Kind.LIABILITY,
        ("持有押金", "Deposits held"),
        (
            "买家已交、未退还也未没收的押金",
            "Deposits that came in and went neither back to the buyer nor to the shop",
        ),
        ("deposit.collected", "deposit.forfeited", "deposit.returned"),
    ),
    _account(
        "vouchers",
        Kind.LIABILITY,
        ("已发优惠券", "Vouchers issued"),
        (
            "作为补偿发出的优惠券;是否使用没有事件,由渠道结算时核销",
            "Vouchers given as compensation; no event tells of their use, the channel's settlement does",
        ),
        ("compensation.paid",),
    ),
    _account(
        "carrier_payables",
        Kind.LIABILITY,
        ("应付运费", "Carrier payables"),
        (
            "补发和上门取件应付承运商的运费;由承运商账单结清",
            "Freight of reshipments and pickups, owed to the carrier until its statement is paid",
        ),
        ("reshipment.shipped", "pickup.arranged"),
        "carrier",
    ),
    _account(
        "sales_returned",
        Kind.INCOME,
        ("销售退回", "Sales returned"),
        (
            "已结清退款所撤销的销售额(扣减补偿之前)",
            "Sales undone by settled refunds, before compensation is taken off",
        ),
        ("refund.settled",),
    ),
    _account(
        "claims",
        Kind.INCOME,
        ("外部追偿收益", "Claims on external parties"),
        (
            "外部责任方承担的损失,与应收追偿相对:不由本店负担",
            "Losses that parties outside the business bear, the other side of what is recoverable: no cost of the shop",
        ),
        _CHARGES,
        "party",
    ),
    _account(
        "losses",
        Kind.EXPENSE,
        ("各方承担的损失", "Losses by party"),
        ("各责任方承担的售后损失(净额)", "After-sales losses that each party was charged, less what was reversed"),
        _CHARGES,
        "party",
    ),
    _account(
        "promotion",
        Kind.EXPENSE,
        ("好评奖励(推广费)", "Good-review rewards (promotion)"),
        ("好评奖励计入推广费,不算损失", "Good-review rewards: promotion, and no loss"),
        ("compensation.paid",),
    ),
    _account(
        "channel_fees",
        Kind.EXPENSE,
        ("渠道手续费", "Channel fees"),
        ("以更正入账的渠道手续费", "What channels kept, as far as corrections book it"),
        ("correction.approved",),
    ),
    _account(
        "differences",
        Kind.EXPENSE,
        ("收付差异", "Payment differences"),
        (
            "查明或核销的收付差额,以更正入账",
            "Differences between what was to be paid and what was, booked by corrections",
        ),
        ("correction.approved",),
    ),
    _account(
        "cost_of_sales",
        Kind.EXPENSE,
        ("销售成本转出", "Cost of sales taken out"),
        (
            "退款商品的成本:由销售成本转为售后损失",
            "Cost of refunded goods: no cost of a sale any more, but of after-sales",
        ),
        ("refund.settled",),
    ),
    _account(
        "suspense",
        Kind.CLEARING,
        ("待定损失", "Suspense"),
        ("已记损失而责任方未定", "Losses that are recorded and that nobody bears yet"),
        ("loss.recorded", *_CHARGES),
    ),
    _account(
        "obligations",
        Kind.CLEARING,
        ("已定未结", "Decided, not settled"),
        (
            "应付买家的对方科目:已确定、尚未结清,因此未入损益",
            "The other side of what buyers are owed: decided, and no cost before it is settled",
        ),
        (
            "return.received",
            "refund.calculated",
            "reshipment.cancelled",
            "payout.requested",
            "payout.succeeded",
            "refund.settled",
            "return_freight.reimbursed",
            "deposit.returned",
        ),
    ),
    _cost("cash", "现金补偿", "Cash compensation", "compensation.paid"),
    _cost("price_difference", "差价补偿", "Price-difference compensation", "compensation.paid"),
    _cost("voucher", "优惠券补偿", "Voucher compensation", "compensation.paid"),
    _cost("return_freight", "返还的退回运费", "Return freight reimbursed", "return_freight.reimbursed"),
    _cost("pickup_freight", "上门取件运费", "Pickup freight", "pickup.arranged"),
    _cost("reshipment", "补发货物与运费", "Reshipped goods and freight", "reshipment.shipped"),
    _cost("goods", "退款商品的成本", "Cost of refunded goods", "refund.settled"),
    _cost("charge_return", "退还买家付款", "Buyer's payment returned", "payout.succeeded"),
    _cost("goods_returned", "退回可再售", "Goods back, resalable", "return.received", credit=True),
    _cost("deduction", "退款时扣回的补偿", "Compensation taken back", "refund.settled", credit=True),
    _cost("buyer_payment", "向买家收费", "Charges to buyers", "buyer.paid", credit=True),
    _cost("deposit_forfeited", "没收押金", "Deposits forfeited", "deposit.forfeited", credit=True),
)

#: Every account by its code, in the order of a trial balance.
CHART: Final[Mapping[str, Account]] = {account.code: account for account in _ALL}

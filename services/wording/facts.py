"""What an event says, field by field, as a person would put it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from services.kernel.money import yuan
from services.kernel.shop_time import SHOP_TIME
from services.wording.words import Words

#: What fields are called, in zh and en; in the order in which an event has them.
LABELS: Final[Mapping[str, tuple[str, str]]] = {
    "accepted": ("验收通过", "accepted"),
    "action": ("操作", "action"),
    "affects_use": ("影响使用", "affects use"),
    "amount_fen": ("金额", "amount"),
    "approver_role": ("须审批", "needs approval by"),
    "attempt": ("第几次", "attempt"),
    "bill": ("账单", "bill"),
    "bills": ("账单", "bills"),
    "booked_on": ("记账日", "booked on"),
    "carried": ("待后续账单", "carried"),
    "carried_deduction_fen": ("未扣完", "still to deduct"),
    "carrier": ("快递", "carrier"),
    "cause": ("原因", "cause"),
    "channel": ("渠道", "channel"),
    "channel_ref": ("渠道流水", "channel's reference"),
    "channel_refund_id": ("渠道退款单", "channel's refund"),
    "charge": ("收费", "charge"),
    "charge_return_fen": ("退还收费", "charge returned"),
    "code": ("错误", "error"),
    "compensation_deducted_fen": ("扣已付补偿", "compensation deducted"),
    "correction": ("更正", "correction"),
    "currency": ("币种", "currency"),
    "cut_off_at": ("截止", "cut off"),
    "day": ("日期", "day"),
    "deductions": ("扣除", "deducted"),
    "department": ("部门", "department"),
    "deposit": ("押金", "deposit"),
    "description": ("描述", "description"),
    "discrepancies": ("差异", "discrepancies"),
    "discrepancy": ("差异", "discrepancy"),
    "due_at": ("期限", "due"),
    "entry": ("科目", "entry"),
    "evidence": ("凭证", "evidence"),
    "expected_fen": ("应为", "expected"),
    "fee_fen": ("手续费", "fees"),
    "file_name": ("文件", "file"),
    "finding": ("核实", "finding"),
    "first_answer_due_at": ("首次答复期限", "first answer by"),
    "first_day": ("首日", "first day"),
    "found_fen": ("实为", "found"),
    "freight_advanced_fen": ("垫付运费", "freight advanced"),
    "freight_borne_by": ("运费承担", "freight borne by"),
    "freight_fen": ("运费", "freight"),
    "goods_cost_fen": ("货物成本", "cost of goods"),
    "goods_fen": ("商品价值", "goods"),
    "human_caused": ("人为", "caused by the buyer"),
    "in_fen": ("收入", "came in"),
    "in_warranty": ("保修期内", "in warranty"),
    "insurance_deducted_fen": ("扣运费险", "insurance deducted"),
    "items": ("货品", "goods"),
    "kind": ("类型", "kind"),
    "known_rows": ("已有明细", "known rows"),
    "last_day": ("末日", "last day"),
    "late": ("迟到分录", "late postings"),
    "lines": ("商品行", "lines"),
    "mapping": ("列映射", "mapping"),
    "matched": ("相符", "matched"),
    "merchant": ("商户", "merchant"),
    "misposted": ("自相矛盾的事件", "events that contradict themselves"),
    "month": ("月份", "month"),
    "note": ("备注", "note"),
    "order_channels": ("订单渠道", "channels of orders"),
    "order_total_fen": ("订单累计", "total of the order"),
    "out_fen": ("支出", "went out"),
    "owner": ("负责人", "owner"),
    "party": ("责任方", "party"),
    "payment_ref": ("流水", "reference"),
    "person": ("涉及", "about"),
    "postings": ("分录", "postings"),
    "previous": ("原为", "before"),
    "price_difference_deducted_fen": ("扣已付差价", "price difference deducted"),
    "problem": ("问题", "problem"),
    "promise": ("承诺", "promise"),
    "proposal": ("补偿", "proposal"),
    "purpose": ("用途", "purpose"),
    "quantity": ("数量", "quantity"),
    "reason": ("原因", "reason"),
    "refund": ("退款单", "refund"),
    "refund_fen": ("退款", "refund"),
    "refund_only": ("仅退款", "goods stay with the buyer"),
    "reshipment": ("补发", "reshipment"),
    "resolution": ("结论", "resolution"),
    "return_id": ("退回", "return"),
    "role": ("岗位", "role"),
    "score": ("评分", "score"),
    "settlement": ("买家实得", "net to the buyer"),
    "shares": ("比例", "shares"),
    "sku": ("货号", "SKU"),
    "solution_due_at": ("解决期限", "solution by"),
    "status": ("状态", "status"),
    "summary": ("摘要", "summary"),
    "to": ("交给", "to"),
    "topic": ("主题", "topic"),
    "tracking_no": ("运单", "tracking no."),
    "trigger": ("放行条件", "goes"),
    "unreconciled": ("未对账渠道", "not reconciled with"),
    "urgent": ("加急", "urgent"),
}

#: What the reader knows already, or needs no person to know.
UNSAID: Final = frozenset(
    {
        *("type", "case_id", "order_id", "order", "allocation", "proposed_by", "item", "payout", "cause_id"),
        *("sha256", "media_type", "size_bytes", "ordered_at", "text_lock"),
        *("operation", "options", "outcome", "zh", "en"),
        *("content", "accounts", "root", "report", "result", "run", "legs", "rows", "events", "position"),
    }
)

#: Entries of a net loss (`domain.md` §5) that are not a compensation's kind.
ENTRIES: Final[Mapping[str, tuple[str, str]]] = {
    "pickup_freight": ("上门取件运费", "pickup freight"),
    "reshipment": ("补发货物与运费", "reshipped goods and freight"),
    "buyer_payment": ("买家付款", "paid by the buyer"),
    "deposit_forfeited": ("没收押金", "deposit forfeited"),
    "goods": ("退款商品的成本", "cost of refunded goods"),
    "goods_returned": ("退回可再售", "came back resalable"),
    "return_freight": ("返还的退回运费", "return freight reimbursed"),
    "deduction": ("退款时扣回的补偿", "compensation taken back"),
    "charge_return": ("退还买家付款", "buyer's payment returned"),
}

_PROMISES: Final = {"first_answer": ("首次答复", "first answer"), "solution": ("解决", "solution")}
_ACTIONS: Final = {"urge": ("催促", "urged"), "replace": ("更换", "replaced")}
#: Said even when it is zero or no.
_ALWAYS: Final = frozenset({"accepted", "amount_fen", "refund_fen"})


def said(words: Words, data: Mapping[str, Any]) -> str:
    """The fields of an event in words; what is empty, zero or no says nothing."""
    told = [
        _field(words, name, value)
        for name, value in data.items()
        if name not in UNSAID and (value or name in _ALWAYS) and not (name == "attempt" and value == 1)
    ]
    return (";" if words.language == "zh" else "; ").join(told)


def money(words: Words, fen: int) -> str:
    """An amount in yuan with its unit, without spaces where a line could break."""
    return f"{yuan(fen).replace(' ', '')} {words.say('元', 'yuan') if words.language != 'both' else '元'}"


def moment(time: str) -> str:
    """A time as the shop's clock showed it."""
    return datetime.fromisoformat(time).astimezone(SHOP_TIME).strftime("%Y-%m-%d %H:%M:%S")


def entry(words: Words, name: str) -> str:
    """What an entry of a loss is for."""
    return words.say(*ENTRIES[name]) if name in ENTRIES else words.term(name)


def _field(words: Words, name: str, value: Any) -> str:
    label = words.say(*LABELS[name]) if name in LABELS else name
    if value is True:
        return label
    if value is False:
        return words.say(f"未{label}", f"not {label}") if words.language != "both" else f"未验收通过 not {name}"
    return f"{label} {_value(words, name, value)}"


def _value(words: Words, name: str, value: Any) -> str:
    if name == "settlement":
        return money(words, value.get("net_fen", 0))
    if isinstance(value, list):
        return words.comma.join(_part(words, part) for part in value)
    if name.endswith("_fen"):
        return money(words, value)
    if name.endswith("_at"):
        return moment(value)
    return _NAMED.get(name, _plain)(words, str(value))


def _plain(words: Words, value: str) -> str:
    return words.term(value)


def _choice(table: Mapping[str, tuple[str, str]]) -> Callable[[Words, str], str]:
    return lambda words, value: words.say(*table[value]) if value in table else value


def _as_it_is(_: Words, value: str) -> str:
    return value


_NAMED: Final[Mapping[str, Callable[[Words, str], str]]] = {
    "problem": Words.problem,
    "previous": Words.problem,
    "cause": Words.cause,
    "party": Words.party,
    "to": Words.actor,
    "entry": entry,
    "promise": _choice(_PROMISES),
    "action": _choice(_ACTIONS),
    "reason": Words.reason,
    **dict.fromkeys(("description", "note", "summary", "finding", "resolution", "purpose"), _as_it_is),
}


def _part(words: Words, part: Mapping[str, Any] | str) -> str:
    """One of several: units of a line, goods, a share, a deduction; or what is only named."""
    if isinstance(part, str):
        return part
    told = [words.party(part["party"]) if "party" in part else part.get("sku") or part.get("line_id", "")]
    if "quantity" in part:
        told.append(f"×{part['quantity']}")
    if "share_bp" in part:
        told.append(f"{part['share_bp'] // 100}.{part['share_bp'] % 100:02d} %")
    fen = part.get("refund_fen", part.get("amount_fen"))
    if fen is not None:
        told.append(money(words, fen))
    if "resalable" in part:
        resalable = words.say("可再售", "resalable"), words.say("不可再售", "not resalable")
        told.append(resalable[0] if part["resalable"] else resalable[1])
    return " ".join(told)

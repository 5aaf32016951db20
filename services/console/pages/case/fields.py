"""What is asked for each command on a case: the one table of forms. What is allowed, the API says."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from contracts.policy import Policy
from services.console import forms
from services.console.formatting import money
from services.console.session import Person
from services.wording.words import Words

#: How a field looks, and how what is typed into it is read.
Look = Literal["line", "long", "amount", "number", "share", "choice", "yes_no", "tick", "fixed", "lines", "files"]
Pairs = Sequence[tuple[str, str]]


class Subject(NamedTuple):
    """What forms are made from: the case and its order as the API tells of them, and who looks."""

    case: Mapping[str, Any]
    order: Mapping[str, Any]
    action: Mapping[str, Any]
    """The command's entry among the next actions."""
    policy: Policy
    words: Words
    person: Person

    def order_line(self, line_id: str) -> Mapping[str, Any]:
        """A line of the order; empty where it has none such."""
        return next((line for line in self.order["order"]["lines"] if line["line_id"] == line_id), {})


class Field(NamedTuple):
    """A field of a command's body. `choices`: what can be chosen; `first`: what stands there at first."""

    name: str
    look: Look = "line"
    required: bool = True
    choices: Callable[[Subject], Pairs] = lambda _: ()
    first: Callable[[Subject], str] = lambda _: ""
    suggested: Callable[[Subject], Pairs] = lambda _: ()
    """Texts that are offered while somebody types."""
    read: forms.Reader | None = None
    """How it is read, where that does not follow from its look."""

    @property
    def reader(self) -> forms.Reader:
        """How what was typed is read."""
        return self.read or _READERS.get(self.look, forms.text)


class Rows(NamedTuple):
    """A field that is a list. Rows that the case suggests stand there at first; `counted` says by which column such a
    row is meant to be sent, and others are sent where anything is typed in them."""

    name: str
    columns: Sequence[Field]
    counted: str
    offered: Callable[[Subject], Sequence[Mapping[str, str]]] = lambda _: ()
    blank: int = 0
    """Empty rows behind those; where there are any, more can be had."""
    required: bool = True
    made: Callable[[dict[str, Any]], dict[str, Any]] = dict
    """What is sent for a row that was read."""


Asked = Sequence[Field | Rows]

_READERS: Final[Mapping[str, forms.Reader]] = {
    "amount": forms.fen,
    "number": forms.whole,
    "share": forms.share_bp,
    "yes_no": forms.yes_no,
    "tick": lambda typed: typed == "yes",
}


# -- what can be chosen


def _terms(*codes: str) -> Callable[[Subject], Pairs]:
    return lambda s: [(code, s.words.term(code)) for code in codes]


def _said(*choices: tuple[str, str, str]) -> Callable[[Subject], Pairs]:
    """Codes that the policy has no name for."""
    return lambda s: [(code, s.words.say(zh, en)) for code, zh, en in choices]


def _allowed(list_name: str, key: str, told: Callable[[Subject, Mapping[str, Any]], str]) -> Callable[[Subject], Pairs]:
    """The items of the case that the command can be given for, in words."""

    def pairs(s: Subject) -> Pairs:
        items = s.action.get("items") or ()
        return [(one[key], f"{one[key]} · {told(s, one)}") for one in s.case[list_name] if one[key] in items]

    return pairs


def _proposal(s: Subject, one: Mapping[str, Any]) -> str:
    return f"{s.words.term(one['kind'])} {money(one['amount_fen'])}"


def _reshipment(s: Subject, one: Mapping[str, Any]) -> str:
    goods = s.words.comma.join(f"{item['sku']} ×{item['quantity']}" for item in one["items"])
    return f"{goods} · {s.words.term(one['status'])}"


def _return(s: Subject, one: Mapping[str, Any]) -> str:
    goods = s.words.comma.join(f"{line_id} ×{units}" for line_id, units in one["lines"].items())
    told = (goods, one["carrier"], one["tracking_no"], s.words.term(one["status"]))
    return " · ".join(part for part in told if part)


def _payout(s: Subject, one: Mapping[str, Any]) -> str:
    return f"{s.words.term(one['kind'])} {money(one['amount_fen'])} · {s.words.term(one['status'])}"


def _evidence(s: Subject, one: Mapping[str, Any]) -> str:
    return s.words.term(one["kind"])


_PROPOSALS: Final = _allowed("proposals", "proposal", _proposal)
_RESHIPMENTS: Final = _allowed("reshipments", "reshipment", _reshipment)
_RETURNS: Final = _allowed("returns", "return_id", _return)
_PAYOUTS: Final = _allowed("payouts", "payout", _payout)
_EVIDENCE: Final = _allowed("evidence", "evidence", _evidence)


def _problems(s: Subject) -> Pairs:
    return [(code, s.words.text(one.name)) for code, one in s.policy.problems.items() if code != s.case["problem"]]


def _reasons(s: Subject) -> Pairs:
    return [(code, s.words.text(name)) for code, name in s.policy.return_reasons.items()]


def _causes(s: Subject) -> Pairs:
    return [(code, s.words.text(one.name)) for code, one in s.policy.causes.items()]


def _parties(s: Subject) -> Pairs:
    return [(code, s.words.text(one.name)) for code, one in s.policy.parties.items()]


def _debtors(s: Subject) -> Pairs:
    return [(party, s.words.party(party)) for party in s.action.get("items") or ()]


def _departments(s: Subject) -> Pairs:
    return [(s.words.text(one.name), "") for one in s.policy.parties.values()]


def _lines(s: Subject) -> Pairs:
    return [(one["line_id"], _line(s, one["line_id"])) for one in s.case["lines"]]


def _goods_lines(s: Subject) -> Pairs:
    return [(key, text) for key, text in _lines(s) if s.order_line(key).get("kind") != "service"]


def _skus(s: Subject) -> Pairs:
    return [(line["sku"], "") for line in s.order["order"]["lines"] if line["kind"] != "service"]


def _line(s: Subject, line_id: str) -> str:
    sku = s.order_line(line_id).get("sku", "")
    return f"{line_id} · {sku}" if sku else line_id


# -- what stands there at first


def _only(pairs: Callable[[Subject], Pairs]) -> Callable[[Subject], str]:
    """The first choice: mostly the only one."""
    return lambda s: next((code for code, _ in pairs(s)), "")


def _me(s: Subject) -> str:
    return s.person.name


def _tracked(s: Subject) -> str:
    """The waybill of what went out last."""
    return next((one["tracking_no"] for one in reversed(s.case["reshipments"]) if one["tracking_no"]), "")


def _carrier(s: Subject) -> str:
    return str(s.order["order"].get("carrier", ""))


def _deposit(s: Subject) -> str:
    return money(s.policy.deposit_fen).replace(",", "")


def _returned_units(s: Subject) -> Sequence[Mapping[str, str]]:
    """What was sent back, as authorised; whoever inspects it says in which state it is."""
    under_way = [one for one in s.case["returns"] if one["status"] == "shipped"]
    units = {line_id: units for one in under_way for line_id, units in one["lines"].items()}
    only = len(under_way) == 1  # of several, nobody knows which one has arrived
    return [
        {"line_id": line_id, "quantity": str(number) if only else "", "resalable": ""}
        for line_id, number in units.items()
    ]


def _units(s: Subject) -> Sequence[Mapping[str, str]]:
    """The case's lines. Where the command can be given for one of them only, all its units."""
    allowed = s.action.get("items") or ()
    return [
        {"line_id": one["line_id"], "quantity": str(one["quantity"]) if list(allowed) == [one["line_id"]] else ""}
        for one in s.case["lines"]
        if not allowed or one["line_id"] in allowed
    ]


def _goods(s: Subject) -> Sequence[Mapping[str, str]]:
    """The case's goods once more, at what they cost."""
    found = [s.order_line(one["line_id"]) for one in s.case["lines"]]
    return [
        {"sku": line["sku"], "quantity": "", "unit_cost_fen": money(line["unit_cost_fen"]).replace(",", "")}
        for line in found
        if line and line["kind"] != "service"
    ]


def _shares(s: Subject) -> Sequence[Mapping[str, str]]:
    """Who bears it now."""
    split = [party.partition("/") for party in s.case["losses"]]
    return [{"party": code, "party_name": name, "share_bp": ""} for code, _, name in split]


def _party_with_name(row: dict[str, Any]) -> dict[str, Any]:
    """`courier` and `YTO` are sent as `courier/YTO`."""
    name = row.pop("party_name", "")
    return {**row, "party": f"{row.get('party', '')}/{name}"} if name else row


# -- the table

_LINE: Final = Field("line_id", "fixed")
_QUANTITY: Final = Field("quantity", "number")
_UNITS: Final = Rows("lines", (_LINE, _QUANTITY), "quantity", _units)
_RESALABLE: Final = Field(
    "resalable", "choice", choices=_said(("yes", "可再售", "yes"), ("no", "不可再售", "no")), read=forms.yes_no
)
_RECEIVED: Final = Rows("lines", (_LINE, _QUANTITY, _RESALABLE), "quantity", _returned_units, required=False)
_GOODS: Final = Rows(
    "items",
    (
        Field("sku", suggested=_skus),
        _QUANTITY,
        Field("unit_cost_fen", "amount"),
        Field("replaces", "choice", required=False, choices=_goods_lines),
    ),
    "quantity",
    _goods,
    blank=1,
)
_SHARES: Final = Rows(
    "shares",
    (Field("party", "choice", choices=_parties), Field("party_name", required=False), Field("share_bp", "share")),
    "share_bp",
    _shares,
    blank=2,
    made=_party_with_name,
)
_WHICH_PROPOSAL: Final = Field("proposal", "choice", choices=_PROPOSALS, first=_only(_PROPOSALS))
_WHICH_RESHIPMENT: Final = Field("reshipment", "choice", choices=_RESHIPMENTS, first=_only(_RESHIPMENTS))
_WHICH_RETURN: Final = Field("return_id", "choice", required=False, choices=_RETURNS, first=_only(_RETURNS))
_WHICH_PAYOUT: Final = Field("payout", "choice", choices=_PAYOUTS, first=_only(_PAYOUTS))
_REASON: Final = Field("reason", "long")
_WHY: Final = Field("reason", "long", required=False)
_PAYMENT: Final = Field("payment_ref")
_AMOUNT: Final = Field("amount_fen", "amount")
_FREIGHT: Final = Field("freight_fen", "amount")

_INSTALLER: Final = Field("action", "choice", choices=_said(("urge", "催促", "urge"), ("replace", "更换", "replace")))

#: What any command can carry along.
NOTE: Final = Field("note", "long", required=False)

#: What is asked, by command and in this order; every command has a note besides.
ASKED: Final[Mapping[str, Asked]] = {
    "reclassify": (
        Field("problem", "choice", choices=_problems),
        Field("reason", "choice", required=False, choices=_reasons),
    ),
    "assign_case": (Field("to", first=_me),),
    "submit_evidence": (
        Field("kind", "choice", choices=_terms("photo", "video", "chat_log", "waybill", "weight")),
        Field("file", "files"),
    ),
    "review_evidence": (
        Field("evidence", "choice", choices=_EVIDENCE, first=_only(_EVIDENCE)),
        Field("accepted", "yes_no"),
    ),
    "assess_cause": (
        Field("cause", "choice", choices=_causes),
        Field("party_name", required=False),
        Field("in_warranty", "yes_no", required=False),
        Field("human_caused", "yes_no", required=False),
        Field("affects_use", "yes_no", required=False),
    ),
    "give_guidance": (Field("topic", required=False),),
    "contact_installer": (
        Field("action", "choice", choices=_said(("urge", "催促", "urge"), ("replace", "更换", "replace"))),
    ),
    "trace_parcel": (Field("tracking_no", first=_tracked), Field("status")),
    "arrange_pickup": (
        _FREIGHT,
        Field("carrier", required=False),
        Field("tracking_no", required=False),
    ),
    "propose_compensation": (
        Field("kind", "choice", choices=_terms("cash", "price_difference", "voucher", "good_review_reward")),
        _AMOUNT,
        Field("lines", "lines", required=False, choices=_lines),
    ),
    "approve": (_WHICH_PROPOSAL,),
    "decline_approval": (_WHICH_PROPOSAL, _WHY),
    "record_buyer_reply": (_WHICH_PROPOSAL, Field("accepted", "yes_no")),
    "pay_compensation": (_WHICH_PROPOSAL, _PAYMENT),
    "withdraw_proposal": (_WHICH_PROPOSAL, _REASON),
    "charge_buyer": (_AMOUNT, Field("purpose")),
    "record_buyer_payment": (_PAYMENT,),
    "order_reshipment": (
        _GOODS,
        Field("trigger", "choice", choices=_terms("now", "on_tracking", "on_receipt", "on_deposit", "on_payment")),
    ),
    "ship_reshipment": (_WHICH_RESHIPMENT, Field("carrier", first=_carrier), Field("tracking_no"), _FREIGHT),
    "confirm_delivery": (_WHICH_RESHIPMENT,),
    "cancel_reshipment": (_WHICH_RESHIPMENT, _WHY),
    "request_deposit": (Field("amount_fen", "amount", required=False, first=_deposit),),
    "record_deposit": (_PAYMENT,),
    "forfeit_deposit": (_REASON,),
    "authorise_return": (
        _UNITS,
        Field("freight_borne_by", "choice", required=False, choices=_terms("buyer", "merchant")),
    ),
    "ship_return": (
        _WHICH_RETURN,
        Field("carrier"),
        Field("tracking_no"),
        _FREIGHT,
        Field("freight_collect", "tick"),
    ),
    "receive_return": (_WHICH_RETURN, _RECEIVED, Field("accepted", "yes_no")),
    "cancel_return": (_WHICH_RETURN, _REASON),
    "record_insurance_result": (
        Field("result", "choice", choices=_said(("paid", "已赔付", "paid"), ("failed", "未赔付", "not paid"))),
        Field("amount_fen", "amount", required=False),
    ),
    "request_refund": (_UNITS, Field("refund_only", "tick")),
    "escalate": (Field("role", "choice", choices=_terms("team_lead", "store_manager")), _REASON),
    "report_issue": (
        Field("department", suggested=_departments),
        Field("summary", "long"),
        Field("person", required=False),
    ),
    "record_finding": (Field("finding", "long"),),
    "close_case": (Field("resolution", "long"),),
    "reopen_case": (_WHY,),
    "follow_up": (),
    "invite_review": (),
    "rate": (Field("score", "choice", choices=lambda _: [(one, one) for one in "54321"], read=forms.whole),),
    "confirm_payout": (
        _WHICH_PAYOUT,
        Field("status", "choice", choices=_terms("succeeded", "failed")),
        Field("channel_ref", required=False),
    ),
    "retry_payout": (_WHICH_PAYOUT,),
    "assign_liability": (_SHARES, _REASON),
    "record_recovery": (Field("party", "choice", choices=_debtors, first=_only(_debtors)), _AMOUNT, _PAYMENT),
}

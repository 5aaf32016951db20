"""What became of a case between two moments, in words: one sentence for the money, and what changed."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from services.wording.facts import LABELS, money
from services.wording.past import asked_for
from services.wording.words import Words

Document = Mapping[str, Any]

_LABELS: Final = {**LABELS, "payout": ("打款", "payout")}
#: Money that came in, by kind.
_RECEIVED: Final = {
    "buyer_payment": ("买家付款", "paid by the buyer"),
    "deposit": ("押金", "deposit"),
    "recovery": ("追偿", "recovered from a party"),
}
#: How items stand, where that is no term of the policy or a term means something else there.
_STATES: Final = {
    ("evidence", "submitted"): ("待审核", "submitted"),
    ("evidence", "accepted"): ("已采信", "accepted"),
    ("evidence", "rejected"): ("未采信", "rejected"),
    ("proposal", "offered"): ("待买家答复", "offered"),
    ("proposal", "waits_for_approval"): ("待审批", "waits for approval"),
    ("proposal", "agreed"): ("买家已接受", "agreed"),
    ("proposal", "paid"): ("已支付", "paid"),
    ("charge", "asked"): ("待付款", "to be paid"),
    ("charge", "paid"): ("已付款", "paid"),
    ("charge", "replaced"): ("已被新收费取代", "replaced"),
}


def sentence(words: Words, difference: Document) -> str:
    """The difference in one sentence: from when to when, the money that moved, who bears it."""
    (begin_zh, begin_en), (end_zh, end_en) = asked_for(difference["from"]), asked_for(difference["to"])
    when = words.say(f"{begin_zh} 至 {end_zh}", f"between {begin_en} and {end_en}")
    semicolon = ";" if words.language == "zh" else "; "
    parts = list(_parts(words, difference)) or [_without_money(words, difference)]
    return f"{when}{':' if words.language == 'zh' else ': '}{semicolon.join(parts)}"


class Changed(NamedTuple):
    """Something that is not as it was: what it is, its number if it has one, and how it stood and stands."""

    what: str
    item: str
    before: str
    after: str


def changes(words: Words, difference: Document) -> list[Changed]:
    """All that changed, in words."""
    return [
        Changed(
            words.say(*_LABELS[one["what"]]),
            one["item"],
            *(_state(words, one["what"], state) for state in (one["before"], one["after"])),
        )
        for one in difference["changed"]
    ]


def _parts(words: Words, difference: Document) -> Iterator[str]:
    paid, received = difference["paid_fen"], difference["received_fen"]
    if paid:
        kinds = {words.term(kind): fen for kind, fen in paid.items()}
        yield f"{_signed(words, sum(paid.values()))} {words.say('已付给买家', 'paid')} ({_each(words, kinds)})"
    if received:
        kinds = {words.say(*_RECEIVED[kind]): fen for kind, fen in received.items()}
        yield f"{_signed(words, sum(received.values()))} {words.say('已收到', 'received')} ({_each(words, kinds)})"
    if charged := difference["charged_fen"]:
        each = [f"{words.party(party)} {_signed(words, fen)}" for party, fen in charged.items()]
        yield f"{words.say('责任计入', 'charged to')} {words.comma.join(each)}"
    if difference["suspense_fen"]:
        yield f"{words.say('待定', 'in suspense')} {_signed(words, difference['suspense_fen'])}"


def _each(words: Words, kinds: Mapping[str, int]) -> str:
    return words.comma.join(f"{name} {money(words, fen)}" for name, fen in kinds.items())


def _without_money(words: Words, difference: Document) -> str:
    if difference["events"]:
        return words.say("没有款项变动", "no money moved")
    return words.say("没有任何变化", "nothing happened")


def _signed(words: Words, fen: int) -> str:
    return f"{'+' if fen > 0 else ''}{money(words, fen)}"


def _state(words: Words, what: str, state: str) -> str:
    named = {"problem": words.problem, "cause": words.cause, "to": words.actor}.get(what, words.term)
    if not state:
        return words.say("无", "–")
    return words.say(*_STATES[what, state]) if (what, state) in _STATES else named(state)

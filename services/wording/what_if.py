"""What would have been under other rules, in words: what differs in a case, who bears, who approves.

Reads the report as the API tells it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from services.kernel.money import yuan
from services.wording.facts import entry
from services.wording.words import Words

Document = Mapping[str, Any]

PROMISES: Final = {"first_answer": ("首次答复", "first answer"), "solution": ("解决", "solution")}
#: Who approves what is above everybody's limit, in reports.
_NOBODY: Final = "nobody"
_SUSPENSE: Final = ("待定(原因未判定)", "in suspense (cause not known)")
_WHAT: Final = {"party": ("责任方", "party"), "freight_borne_by": ("退回运费承担", "return freight borne by")}
_UNDECIDED: Final = {
    "unknown_cause": ("新政策没有这个原因,照当时记录", "these rules have no such cause: it stands as it was recorded"),
    "party_name_required": ("责任方须有名字,但无人说过", "the party needs a name and nobody said one"),
}


def lines(words: Words, case: Document) -> Iterator[str]:
    """What differs in a case, a line each."""
    yield from (_change(words, one) for one in case["changes"])
    yield from (_undecided(words, one) for one in case["undecided"])
    yield from (_approval(words, one) for one in case["approvals"])
    yield from (_promise(words, one) for one in case["promises"])
    for amount in case["entries"]:
        yield _moved(entry(words, amount["name"]), amount)
    for amount in case["payouts"]:
        _, kind, item = amount["name"].rsplit(":", 2)
        yield _moved(f"{words.say('打款', 'payout')} {words.term(kind)} {item}", amount)
    for amount in case["parties"]:
        yield _moved(f"→ {party(words, amount['name'])}", amount)


def role(words: Words, code: str) -> str:
    """Who must approve: a role, nobody, or more than everybody may."""
    if code == _NOBODY:
        return words.say("超出所有人的权限", "above everybody's limit")
    return words.term(code) if code else words.say("无须审批", "no approval")


def party(words: Words, code: str) -> str:
    """Who bears: a party, or suspense."""
    return words.say(*_SUSPENSE) if code == "suspense" else words.party(code)


def _change(words: Words, one: Document) -> str:
    named = words.party if one["what"] == "party" else words.term
    about = words.cause(one["item"])
    return f"{words.say(*_WHAT[one['what']])} ({about}): {named(one['was'])} → {named(one['would_be'])}"


def _undecided(words: Words, one: Document) -> str:
    return f"{words.cause(one['cause'])}, {words.party(one['party'])}: {words.say(*_UNDECIDED[one['code']])}"


def _approval(words: Words, one: Document) -> str:
    offer = f"{one['proposal']} {words.term(one['kind'])} {yuan(one['amount_fen'])}"
    return f"{offer}: {role(words, one['was'])} → {role(words, one['would_be'])}"


def _promise(words: Words, one: Document) -> str:
    became = ("会逾期", "would have been broken") if one["would_be_broken"] else ("不会逾期", "would have been kept")
    return f"{words.say(*PROMISES[one['promise']])}: {words.say(*became)}"


def _moved(name: str, amount: Document) -> str:
    return f"{name}: {yuan(amount['was_fen'])} → {yuan(amount['would_be_fen'])}"

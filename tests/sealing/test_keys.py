"""What seals and opens the words of people."""

from typing import Any

import msgspec
import pytest

from contracts.event import CaseEvent, Event, free_texts
from contracts.events import cases as c
from contracts.events import liability as li
from contracts.registry import EVENT_TYPES
from services.kernel.event_store import KeyRow
from services.kernel.sealing import ELSEWHERE, ERASED, Key, Lock, find_sealed, reveal
from services.kernel.sealing.keeping import Obtained, Texts
from tests.shop import NOON

WORDS = '李先生 13800138000 "引号"\n第二行'
#: Strings of events that nobody writes freely: what they are instead.
NOT_FREE = {
    "ids": "case_id order_id evidence proposal reshipment deposit charge refund return_id payout item cause_id",
    "codes": "problem previous kind cause freight_borne_by action role trigger promise entry approver_role reason",
    "of the trade": "sku carrier tracking_no payment_ref channel_ref channel_refund_id sha256 media_type",
    "parties and staff": "party to proposed_by department person",
    "the lock": "text_lock",
}


class Keys(Texts):
    """The keys of one order."""

    def __init__(self, *keys: Key | None) -> None:
        self._keys = dict(enumerate(keys, 1))

    async def sealer(self, order_id: str) -> Obtained:
        raise NotImplementedError

    async def erase(self, order_id: str, now: object) -> Obtained:
        raise NotImplementedError

    async def keys(self, order_id: str) -> dict[int, Key | None]:
        return self._keys if order_id == "TB1" else {}


def test_key_opens_what_it_and_its_lock_sealed() -> None:
    """Protects the words: they come back as they were, and are nowhere in what is recorded."""
    key = Key.new("订单 1:2", 3)
    lock = Lock.told("订单 1:2", str(key.lock))
    assert lock is not None
    for text in (key.seal(WORDS), lock.seal(WORDS), lock.lock.seal(WORDS)):
        assert "13800138000" not in text
        assert text.isascii()
        [sealed] = find_sealed(f"说:{text},完")
        assert (sealed.order_id, sealed.number) == ("订单 1:2", 3)
        assert key.open(sealed) == WORDS
    assert key.seal(WORDS) != key.seal(WORDS)
    assert Key("订单 1:2", 3, key.row.secret or b"").open(sealed) == WORDS


@pytest.mark.parametrize("by_lock", [False, True])
def test_nothing_else_opens_it(by_lock: bool) -> None:
    """A text that was altered, or that stands under another order or number, is not read as if it belonged there."""
    key = Key.new("TB1", 1)
    secret = key.row.secret or b""
    text = (key.lock if by_lock else key).seal(WORDS)
    [sealed] = find_sealed(text)
    other = "B" if sealed.body[20] != "B" else "C"
    altered = sealed._replace(body=sealed.body[:20] + other + sealed.body[21:])
    assert key.open(altered) is None
    assert key.open(sealed._replace(body="AAAA")) is None
    assert key.open(sealed._replace(body="A")) is None
    assert Key("TB2", 1, secret).open(sealed) is None
    assert Key("TB1", 2, secret).open(sealed) is None
    assert Key.new("TB1", 1).open(sealed) is None


def test_destroyed_key_has_no_secret() -> None:
    """What is stored instead of a key says when it was destroyed, and nothing that opens anything."""
    assert Key.new("TB1", 4).destroyed(NOON) == KeyRow("TB1", 4, None, NOON)


async def test_words_stand_where_sealed_texts_stood() -> None:
    """Whoever reads a document reads words, an honest mark where there is no key, and never broken JSON."""
    gone, key = Key.new("TB1", 1), Key.new("TB1", 2)
    foreign, old, new, known = Key.new("TB9", 1).seal("x"), gone.seal("x"), key.lock.seal(WORDS), key.seal("k")
    tricky = key.seal(f"我写 {old}")  # words that look like a sealed text
    looks_alike = "sealed:1:TB1:2:AAAA"
    document = [new, f"人工判定:{new}。", old, foreign, known, looks_alike, tricky, {new: "sealed: no"}]
    read = await reveal(msgspec.json.encode(document), Keys(None, key), {known: 'from "memory"'})
    expected = [WORDS, f"人工判定:{WORDS}。", ERASED, ELSEWHERE, 'from "memory"', looks_alike]
    assert msgspec.json.decode(read) == [*expected, f"我写 {old}", {WORDS: "sealed: no"}]


def test_every_text_of_an_event_is_free_or_known_not_to_be() -> None:
    """A new field for words of people cannot be forgotten: every text field is sealed or listed as something else."""
    known = set(" ".join(NOT_FREE.values()).split())
    for name, event in EVENT_TYPES.items():
        if not issubclass(event, CaseEvent):
            continue
        texts = [field.name for field in msgspec.structs.fields(event) if _is_text(field.type)]
        filled = event(**{**_least(event), **dict.fromkeys(texts, "Two words")})
        assert set(texts) - free_texts(filled).keys() <= known, name
        assert "note" in free_texts(filled)


def _is_text(annotation: object) -> bool:
    return msgspec.json.schema(annotation).get("type") == "string" and "format" not in msgspec.json.schema(annotation)


def _least(event: type[Event]) -> dict[str, Any]:
    """Values for the fields that must be there and hold no text."""
    return {field.name: None for field in msgspec.structs.fields(event) if field.required}


def test_codes_that_rules_compare_stay() -> None:
    """A return reason decides who pays freight: rules must be able to read it, but not what somebody wrote there."""
    opened = c.CaseOpened(
        case_id="T-1", order_id="T", problem="p", lines=(), description="d", reason="no_reason_7_days"
    )
    assert free_texts(opened).keys() == {"description"}
    wrote = msgspec.structs.replace(opened, reason="李先生 no_reason")
    assert free_texts(wrote).keys() == {"description", "reason"}
    assert free_texts(li.LiabilityAssigned(case_id="T-1", shares=(), reason="zhangsan")).keys() == {"reason"}

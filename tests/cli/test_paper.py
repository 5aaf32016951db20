"""What is shown of cases: every field in words, sums that add up, times as people say them."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.events.refunds import Settlement
from contracts.policy import load_policy
from contracts.registry import EVENT_TYPES
from services.cli.money_sheet import settlement_table
from services.cli.timeline import words_for
from services.liability.domain import entry as entries
from services.wording.facts import ENTRIES, LABELS, UNSAID, said
from services.wording.words import Language, Words

EXAMPLES = sorted((Path(__file__).parent.parent.parent / "contracts/examples").glob("*.json"))
ENGLISH = Words(load_policy(), Language.EN)


def _fields() -> Iterator[tuple[str, str]]:
    for name, event in EVENT_TYPES.items():
        for field in msgspec.structs.fields(event):
            yield name, field.encode_name


def test_every_field_of_every_event_is_said_or_left_out_on_purpose() -> None:
    """Nobody reads `freight_borne_by` in a timeline because a new field was forgotten."""
    known = LABELS.keys() | UNSAID
    assert [(event, field) for event, field in _fields() if field not in known] == []
    assert LABELS.keys() - {field for _, field in _fields()} == set()


def test_every_event_has_a_name() -> None:
    """No timeline says `exception.raised`."""
    assert EVENT_TYPES.keys() - load_policy().texts.events.keys() == set()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"reason": "confirmed_failed"}, "reason finance found that it was not paid"),
        ({"reason": "quality"}, "reason Quality problem"),
        ({"reason": "the door is too thin"}, "reason the door is too thin"),
        ({"kind": "insurance_second", "amount_fen": 1000}, "kind second insurance result; amount 10.00 yuan"),
    ],
)
def test_codes_are_named_and_words_of_people_stay(data: dict[str, Any], told: str) -> None:
    """Why a payout failed is a code, why a buyer is unhappy is not."""
    assert said(ENGLISH, data).lower() == told.lower()


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_reads_as_words(example: Path, language: Language) -> None:
    """No event shows names of fields, Python values or amounts in fen."""
    words = Words(load_policy(), language)
    data = msgspec.json.decode(example.read_bytes())
    told = said(words, data)
    for raw in ("_fen", "_bp", "None", "True", "False", "{", "["):
        assert raw not in told


def test_every_entry_of_a_loss_has_a_name() -> None:
    """Finance reads what a loss is made of, not a code."""
    source = Path(entries.__file__).read_text(encoding="utf-8")
    assert set(re.findall(r'case_id, "(\w+)"', source)) == ENTRIES.keys()


@given(
    *(st.integers(0, 10**9) for _ in range(6)),
    st.booleans(),
)
def test_the_lines_of_a_settlement_add_up(
    refund: int, cash: int, difference: int, reimbursed: int, insured: int, rest: int, pending: bool
) -> None:
    """Whoever adds up the lines with a calculator comes to the sums that are shown, to the fen."""
    settlement = Settlement(
        goods_fen=refund + cash + difference,
        compensation_deducted_fen=cash,
        price_difference_deducted_fen=difference,
        refund_fen=refund,
        freight_advanced_fen=reimbursed + insured + rest,
        insurance_deducted_fen=insured,
        freight_reimbursed_fen=reimbursed,
        freight_pending=pending,
        net_fen=refund + reimbursed,
    )
    lines = list(_lines(msgspec.structs.asdict(settlement)))
    running, nets = 0, 0
    for label, fen in lines:
        if label.startswith("= net"):
            assert fen == nets
        elif label.startswith("="):
            assert fen == running
            running, nets = 0, nets + fen
        else:
            running += fen


def _lines(settlement: dict[str, Any]) -> Iterator[tuple[str, int]]:
    table = settlement_table(ENGLISH, settlement)
    labels, amounts = (list(column.cells) for column in table.columns)
    for label, amount in zip(labels, amounts, strict=True):
        digits = str(amount).replace(" ", "").replace(".", "").replace("−", "-")
        yield str(label), int(digits)


@pytest.mark.parametrize(
    ("seconds", "said_en", "said_zh"),
    [
        (0, "", ""),
        (0.9, "", ""),
        (59, "59 s", "59 秒"),
        (60, "1 min", "1 分"),
        (3_661, "1 h 1 min", "1 小时 1 分"),
        (90_000, "1 d 1 h", "1 天 1 小时"),
        (-5, "", ""),
    ],
)
def test_gaps_are_said_in_two_units(seconds: float, said_en: str, said_zh: str) -> None:
    """A reader sees at a glance where a case stood still; a clock that went back is no gap."""
    gap = timedelta(seconds=seconds)
    assert words_for(ENGLISH, gap) == said_en
    assert words_for(Words(load_policy(), Language.ZH), gap) == said_zh

"""What people type is read exactly, or said at the field to be unreadable."""

from typing import Any

import pytest

from services.console import forms


@pytest.mark.parametrize(
    ("typed", "fen"),
    [
        ("12.5", 1250),
        (" 12 ", 1200),
        ("0.07", 7),
        ("12.50元", 1250),
        ("¥1,234.50", 123450),
        ("1 234.00", 123400),
        ("0", 0),
    ],
)
def test_yuan_are_read_to_the_fen(typed: str, fen: int) -> None:
    """Money is never read by way of a fraction that cannot be exact, and as Chinese keyboards write it."""
    assert forms.fen(typed) == fen


@pytest.mark.parametrize(
    ("reader", "typed"),
    [
        (forms.fen, "1.234"),
        (forms.fen, "-1"),
        (forms.fen, "1e3"),
        (forms.fen, "12,50"),
        (forms.fen, "十元"),
        (forms.fen, "9" * 30),
        (forms.whole, "1.5"),
        (forms.whole, "-2"),
        (forms.share_bp, "33.333"),
        (forms.yes_no, "maybe"),
        (forms.moment, "yesterday"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(reader: forms.Reader, typed: str) -> None:
    """Nothing is guessed: what is not clear is asked again, in both languages."""
    with pytest.raises(forms.Unreadable) as unreadable:
        reader(typed)
    assert unreadable.value.zh
    assert unreadable.value.en


@pytest.mark.parametrize(
    ("reader", "typed", "value"),
    [
        (forms.whole, "3", 3),
        (forms.share_bp, "33.33 %", 3333),
        (forms.share_bp, "100", 10000),
        (forms.yes_no, "no", False),
        (forms.moment, "2026-10-06 09:00", "2026-10-06T09:00:00+08:00"),
    ],
)
def test_other_fields_are_read_as_they_are_meant(reader: forms.Reader, typed: str, value: Any) -> None:
    """Numbers, shares in per cent, choices, and moments by the shop's clock."""
    assert reader(typed) == value

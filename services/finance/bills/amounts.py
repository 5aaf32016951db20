"""Amounts and counts as channels write them: exact, or refused by name."""

import re
from decimal import Decimal
from typing import Final

from contracts.event import MAX_FEN
from services.finance.bills.mistakes import Wrong

#: What nearly every amount looks like, and always fits.
_USUAL: Final = re.compile(r"(-?[0-9]{1,9})\.([0-9]{2})(0*)")
_PLAIN: Final = re.compile(r"-?[0-9]{1,15}(?:\.([0-9]{1,9}))?")
_COUNT: Final = re.compile(r"([0-9]{1,9})(?:\.0)?")
#: Yuan have two decimals. What is exactly a number of fen may be written finer where a channel does so.
YUAN_DECIMALS: Final = 2


def fen_of(text: str, field: str, *, decimals: int = YUAN_DECIMALS) -> int:
    """The fen in an amount of yuan such as `-12.30`, with at most so many decimals.

    Raises `Wrong` for whatever else it is: `1,234.50`, `1e3`, `１２`, `0.005`.
    """
    usual = _USUAL.fullmatch(text)
    if usual and YUAN_DECIMALS + len(usual[3]) <= decimals:
        return int(usual[1] + usual[2])
    plain = _PLAIN.fullmatch(text)
    if plain is None:
        raise Wrong(_what(text), field, found=text)
    fen = Decimal(text) * 100
    if len(plain[1] or "") > decimals or fen != fen.to_integral_value():
        raise Wrong("amount_decimals", field, found=text)
    return _sane(int(fen), text, field)


def whole_fen_of(text: str, field: str) -> int:
    """The fen in an amount that is written in fen; raises `Wrong`."""
    plain = _PLAIN.fullmatch(text)
    if plain is None:
        raise Wrong(_what(text), field, found=text)
    if plain[1] is not None:
        raise Wrong("amount_decimals", field, found=text)
    return _sane(int(text), text, field)


def count_of(text: str, field: str) -> int:
    """A number of rows; WeChat Pay writes `20` and `20.0`. Raises `Wrong`."""
    plain = _COUNT.fullmatch(text)
    if plain is None:
        raise Wrong("count", field, found=text)
    return int(plain[1])


def _sane(fen: int, text: str, field: str) -> int:
    if abs(fen) > MAX_FEN:
        raise Wrong("amount_too_large", field, found=text)
    return fen


def _what(text: str) -> str:
    """The rule that a text which is no amount breaks."""
    if not text:
        return "missing"
    if not text.isascii() and any(letter.isdigit() and not letter.isascii() for letter in text):
        return "amount_fullwidth"
    if re.fullmatch(r"[+-]?[0-9.]+[eE][+-]?[0-9]+", text):
        return "amount_scientific"
    if re.fullmatch(r"-?[0-9]+([,_' ][0-9]+)+(\.[0-9]+)?", text):
        return "amount_grouped"
    return "amount"

"""Texts in delimited files: what a spreadsheet must not take for a formula.

A text that it would take for one gets an apostrophe before it, which the spreadsheet shows: in a file without types
there is no other way to keep it a text.
"""

from typing import Final

#: With a byte order mark before it, Excel reads Chinese in a CSV file.
ENCODING: Final = "utf-8-sig"
#: What formulas begin with, wide signs of East Asian keyboards included, and what spreadsheets skip before those.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def harmless(value: object) -> str:
    """A text that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text

"""The fields of commands: what texts, numbers and times may be, wherever they arrive.

A pattern's end is `$(?!\\n)`: in Python `$` alone would let a line break through, and JSON Schema knows no `\\Z`.
"""

from datetime import datetime
from typing import Annotated

import msgspec

from contracts.event import MAX_FEN

_VISIBLE = r"^[^\x00]*[^\s\x00][^\x00]*$(?!\n)"

#: A text that may be empty.
Note = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$(?!\n)", max_length=4000)]
Reference = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$(?!\n)", max_length=200)]
Text = Annotated[str, msgspec.Meta(pattern=_VISIBLE, max_length=4000)]
Name = Annotated[str, msgspec.Meta(pattern=_VISIBLE, max_length=100)]
Code = Annotated[str, msgspec.Meta(pattern=r"^[^\s\x00-\x1f\x7f]+$(?!\n)", max_length=64)]
OrderId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$(?!\n)", max_length=64)]
Word = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z_]*$(?!\n)", max_length=32)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
Amount = Annotated[int, msgspec.Meta(ge=1, le=MAX_FEN)]
AmountOrZero = Annotated[int, msgspec.Meta(ge=0, le=MAX_FEN)]
Quantity = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]

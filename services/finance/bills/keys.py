"""What makes a row this row and no other: numbers, keys, and which keys came before."""

from array import array
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

from services.finance.bills.mistakes import Wrong


class SeenKeys:
    """Which keys came before, and in which line: 12 bytes a slot, so that a million rows take 24 megabytes.

    Keys are told apart by 64 bits; that two of a million are wrongly taken for one is a chance of 1 : 37 million.
    """

    _EMPTY: Final = 0

    def __init__(self) -> None:
        self._size = 1 << 12
        self._count = 0
        self._digests = array("Q", bytes(8 * self._size))
        self._lines = array("I", bytes(4 * self._size))

    def first(self, key: str, line: int) -> int:
        """The line in which this key came before; 0, and from now on this line, where it did not."""
        digest = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big") or 1
        slot = self._slot(digest)
        if self._digests[slot] == digest:
            return self._lines[slot]
        self._digests[slot], self._lines[slot] = digest, line
        self._count += 1
        if 2 * self._count > self._size:
            self._grow()
        return 0

    def _slot(self, digest: int) -> int:
        """Where a digest stands, or belongs."""
        mask = self._size - 1
        slot = digest & mask
        while self._digests[slot] not in (self._EMPTY, digest):
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        before = zip(self._digests, self._lines, strict=True)
        self._size *= 2
        self._digests = array("Q", bytes(8 * self._size))
        self._lines = array("I", bytes(4 * self._size))
        for digest, line in before:
            if digest != self._EMPTY:
                slot = self._slot(digest)
                self._digests[slot], self._lines[slot] = digest, line


def key_of(*parts: str) -> str:
    """A key of these parts, of which only the last may hold a colon."""
    return ":".join(parts)


def key_of_all(kind: str, raw: Mapping[str, str]) -> str:
    """The key of a row that has no number of its own: all that it says, whatever the order of its columns."""
    said = "\0".join(f"{name}\1{raw[name]}" for name in sorted(raw))
    return key_of(kind, blake2b(said.encode(), digest_size=16).hexdigest())


def must_be_a_number(raw: Mapping[str, str], field: str) -> str:
    """A number that says which transaction a row is of; raises `Wrong` where it is missing or not whole any more."""
    number = number_of(raw, field)
    if not number:
        raise Wrong("missing", field)
    return number


def number_of(raw: Mapping[str, str], field: str) -> str:
    """A number that may be missing. WeChat Pay writes `0` for none; spreadsheets write 28 digits as `4.00123E+27`."""
    number = raw.get(field, "")
    if number == "0":
        return ""
    if "E+" in number and number.replace("E+", "", 1).replace(".", "", 1).isdigit():
        raise Wrong("id_spreadsheet", field, found=number)
    return number

"""The tree of nested elements that a video container (MP4 boxes, EBML) is made of."""

from dataclasses import dataclass, field

# Far above what a minute of video needs, and low enough that hostile files cost little time and memory.
MAX_ELEMENTS = 100_000


class Malformed(ValueError):
    """A file whose structure is not whole; the text is for the log."""


@dataclass(slots=True, eq=False)
class Element:
    """One box or EBML element: header at `start`, content in `body..end` (byte offsets into the file)."""

    kind: bytes
    start: int
    body: int
    end: int
    inside: list["Element"] = field(default_factory=list)

    def every(self, kind: bytes) -> list["Element"]:
        """Return the direct children of a kind."""
        return [child for child in self.inside if child.kind == kind]

    def maybe(self, kind: bytes) -> "Element | None":
        """Return the only direct child of a kind, or None; raises Malformed when there are several."""
        found = self.every(kind)
        if len(found) > 1:
            raise Malformed(f"{kind!r} occurs {len(found)} times")
        return found[0] if found else None

    def one(self, kind: bytes) -> "Element":
        """Return the only direct child of a kind; raises Malformed when there is none or several."""
        found = self.maybe(kind)
        if found is None:
            raise Malformed(f"{kind!r} is missing")
        return found


def number(raw: bytes, element: Element, offset: int, size: int) -> int:
    """Return the unsigned big-endian number at an offset of an element's content."""
    at = element.body + offset
    if at + size > element.end:
        raise Malformed(f"{element.kind!r} is too short")
    return int.from_bytes(raw[at : at + size], "big")

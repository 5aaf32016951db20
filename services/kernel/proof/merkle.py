"""One hash over many: the root of a Merkle tree, shaped as in RFC 6962."""

import hashlib

import msgspec

from services.kernel.log import GENESIS

LEAF_BYTES = 32
_encode = msgspec.json.Encoder().encode


def leaf(stream: str, version: int, hash: bytes) -> bytes:
    """The leaf of a stream whose last record has this version and hash: SHA-256 over a zero byte and the JSON array
    of the three (the hash in base64)."""
    return hashlib.sha256(b"\0" + _encode((stream, version, hash))).digest()


class Tree(msgspec.Struct):
    """A tree that grows leaf by leaf. It keeps the root of each complete subtree only: one for each doubling."""

    subtrees: list[tuple[int, bytes]] = []
    """(leaves, root), each at most half as large as the one before."""

    @property
    def leaves(self) -> int:
        """How many leaves it has."""
        return sum(leaves for leaves, _ in self.subtrees)

    def add(self, leaves: bytes) -> None:
        """Add leaves, `LEAF_BYTES` each, behind those that are there."""
        for start in range(0, len(leaves), LEAF_BYTES):
            grown = (1, leaves[start : start + LEAF_BYTES])
            while self.subtrees and self.subtrees[-1][0] == grown[0]:
                grown = _joined(self.subtrees.pop(), grown)
            self.subtrees.append(grown)

    def root(self) -> bytes:
        """The root over all leaves; 32 zero bytes where there is none."""
        if not self.subtrees:
            return GENESIS
        *larger, tree = self.subtrees
        for subtree in reversed(larger):
            tree = _joined(subtree, tree)
        return tree[1]


def _joined(left: tuple[int, bytes], right: tuple[int, bytes]) -> tuple[int, bytes]:
    return left[0] + right[0], hashlib.sha256(b"\1" + left[1] + right[1]).digest()

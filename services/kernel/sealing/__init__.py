"""What people write is sealed before it is recorded, and can be read only with the key of its order
(`contracts/decisions/0007-free-texts-are-sealed.md`).

`keys.py`: what seals and opens. `keeping.py`: where a service finds it. `revealing.py`: words for those who read.
"""

from services.kernel.sealing.keeping import KeptKeys, LearnedLocks, Sealer, Texts, key_rows
from services.kernel.sealing.keys import Key, Lock, find_sealed
from services.kernel.sealing.revealing import ELSEWHERE, ERASED, holds_sealed, reveal

__all__ = [
    "ELSEWHERE",
    "ERASED",
    "KeptKeys",
    "Key",
    "LearnedLocks",
    "Lock",
    "Sealer",
    "Texts",
    "find_sealed",
    "holds_sealed",
    "key_rows",
    "reveal",
]

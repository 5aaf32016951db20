"""Building read tables anew beside the live ones, while their service is at work: `beside.py` is where to begin.

What is built is a copy of each table, `<table>_beside`. It is filled stream by stream as of one position
(`building.py`; `workers.py` with several processes), then follows the log as the live tables do, and is compared with
them row by row (`comparing.py`). Where it is put in place, that is one transaction: readers see the whole of the old
rows or of the new ones. Nothing but that transaction touches the live tables.
"""

from services.kernel.rebuild.beside import (
    AnotherKept,
    Outcome,
    Plan,
    TakenOver,
    discard,
    lease_of,
    planned,
    rebuild,
)
from services.kernel.rebuild.building import Unbuildable
from services.kernel.rebuild.comparing import Compared, Difference
from services.kernel.rebuild.tables import Kept

__all__ = [
    "AnotherKept",
    "Compared",
    "Difference",
    "Kept",
    "Outcome",
    "Plan",
    "TakenOver",
    "Unbuildable",
    "discard",
    "lease_of",
    "planned",
    "rebuild",
]

"""Operations: work that an operator started, as events of the log that it works on.

Who started, paused, resumed or cancelled it, and why, stands in the stream of the operation. Whoever is at work on it
looks there, so that it can be steered from any process. How far it is, is a row beside the log, and no event.
"""

from services.kernel.operations.desk import Desk, Ticket, lease_of
from services.kernel.operations.operation import (
    ENDED,
    STATES,
    Operation,
    Progress,
    Trouble,
    new_operation_id,
    service_in,
)
from services.kernel.operations.watch import Watch

__all__ = [
    "ENDED",
    "STATES",
    "Desk",
    "Operation",
    "Progress",
    "Ticket",
    "Trouble",
    "Watch",
    "lease_of",
    "new_operation_id",
    "service_in",
]

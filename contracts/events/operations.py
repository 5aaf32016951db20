"""What operators had done: long work on the log of a service (any service's topic, key `~operation:` and its id).

Nobody has to hear of it: no case, refund or loss depends on it.
"""

from typing import Annotated, Any

import msgspec

from contracts.event import Event

Options = Annotated[dict[str, Any], msgspec.Meta(description="By name; which ones there are depends on the kind")]


class OperationEvent(Event, frozen=True, kw_only=True):
    """A fact about one operation. Who did it is the record's actor."""

    operation: str

    @property
    def subject(self) -> str:
        return self.operation


class OperationStarted(OperationEvent, frozen=True, kw_only=True, tag="operation.started"):
    """Somebody had work begun on the log of the service that tells of it."""

    kind: str
    reason: str
    options: Options = {}


class OperationPaused(OperationEvent, frozen=True, kw_only=True, tag="operation.paused"):
    """It is to be held up where it is."""

    reason: str = ""


class OperationResumed(OperationEvent, frozen=True, kw_only=True, tag="operation.resumed"):
    """It is to go on: after a pause, or because whatever was at work on it had ended."""

    reason: str = ""


class OperationCancelled(OperationEvent, frozen=True, kw_only=True, tag="operation.cancelled"):
    """It is not wanted any more. What it had done stays."""

    reason: str = ""


class OperationFinished(OperationEvent, frozen=True, kw_only=True, tag="operation.finished"):
    """It came to its end; `outcome` says what came of it in a few figures."""

    outcome: Options = {}


class OperationFailed(OperationEvent, frozen=True, kw_only=True, tag="operation.failed"):
    """It could not come to its end: why, for machines and in words."""

    code: str
    zh: str
    en: str

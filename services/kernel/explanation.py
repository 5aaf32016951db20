"""Where a figure comes from: amounts that are each the sum of those below them, down to the events."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from contracts.policy import Text
from services.kernel.log import Record
from services.kernel.money import yuan


class EventReference(msgspec.Struct, frozen=True):
    """An event that a figure rests on. `position` is its place in the log of the service that explains.

    An event that this service heard and did not keep has no position here, nor a time, an actor and a policy: its own
    service knows them by the id.
    """

    id: str
    type: str
    source: str
    time: datetime | None = None
    actor: str = ""
    position: int | None = None
    policy: str = ""


class Node(msgspec.Struct, frozen=True):
    """An amount in fen: the signed sum of its `children`, or, without any, one that an event tells.

    `rule` is the code of the rule that it comes by, `text` the rule in words, `policy` the version of the policy that
    was in force when it was decided.
    """

    fen: int
    rule: str
    text: Text
    policy: str
    events: Sequence[EventReference]
    children: Sequence["Node"] = ()


class Explanation(msgspec.Struct, frozen=True):
    """A figure of a case, down to the events. `figure_fen` is what the events say that was decided.

    `tree` is what the rules make of the events now. `holds`: it comes to the same, to the fen and in all its parts.
    `log` is the service that explains; the positions of events are those of its log.
    """

    log: str
    case_id: str
    figure_fen: int
    holds: bool
    tree: Node


def reference(record: Record) -> EventReference:
    """How an explanation names an event of this service's log."""
    return EventReference(
        record.id, record.type, record.source, record.time, record.actor, record.position, record.policy
    )


def leaf(fen: int, rule: str, text: Text, policy: str, records: Iterable[Record]) -> Node:
    """An amount that events tell."""
    return Node(fen, rule, text, policy, tuple(map(reference, records)))


def total(rule: str, text: Text, policy: str, records: Iterable[Record], children: Sequence[Node]) -> Node:
    """The sum of other amounts."""
    fen = sum(child.fen for child in children)
    return Node(fen, rule, text, policy, tuple(map(reference, records)), tuple(children))


def in_yuan(fen: int) -> tuple[str, str]:
    """An amount with its unit, in Chinese and in English."""
    return f"{yuan(fen)} 元", f"{yuan(fen)} yuan"

"""What holds of every explanation, and the records that tests explain from."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from contracts.event import type_of
from services.kernel.explanation import Explanation, Node
from services.kernel.log import Record
from tests.given import Story

POLICY = "1.0+00000000"


def records(told: Story[Any]) -> list[Record]:
    """What a story told, as its log would hold it."""
    return [
        Record(
            stream=told.stream,
            version=place,
            sequence=place,
            id=fact.id,
            type=type_of(fact.event),
            schema=fact.event.schema_version,
            source=fact.source,
            subject=fact.event.subject,
            time=fact.time,
            actor=fact.actor,
            correlation_id="",
            causation_id="",
            policy=POLICY,
            traceparent="",
            event=fact.event,
            data=b"",
            hash=b"",
            position=place,
        )
        for place, fact in enumerate(told.told, start=1)
    ]


def nodes(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    yield node
    for child in node.children:
        yield from nodes(child)


def leaves(explanation: Explanation) -> list[tuple[str, int]]:
    """Rule and amount of each node that has none below it."""
    return [(node.rule, node.fen) for node in nodes(explanation.tree) if not node.children]


def must_add_up(explanation: Explanation, log: Sequence[Record], elsewhere: Collection[str] = ()) -> None:
    """Each amount is the sum of those below it, each leaf names events, and each event that is named is there: in the
    log at its position, or `elsewhere` where it has none."""
    assert explanation.holds, explanation
    assert explanation.tree.fen == explanation.figure_fen
    for node in nodes(explanation.tree):
        assert node.policy == POLICY
        assert node.text.zh
        assert node.text.en
        if node.children:
            assert node.fen == sum(child.fen for child in node.children)
        else:
            assert node.events, node
        for event in node.events:
            if event.position is None:
                assert event.id in elsewhere
                continue
            record = log[event.position - 1]
            assert (event.id, event.type, event.source) == (record.id, record.type, record.source)
            assert (event.time, event.actor, event.policy) == (record.time, record.actor, record.policy)

"""Losses decided again from what cases and refunds would have said, heard in the order in which liability heard them.

What follows does not depend on that order but for its times, and so for the month in which it is posted.
"""

from collections.abc import Mapping, Sequence

from contracts.event import type_of
from contracts.events import liability as li
from services.kernel.log import Record
from services.liability.domain import LiabilityDomain, LiabilityFile
from services.whatif.scratch import Happened, Scratch


def decided_again(
    domain: LiabilityDomain,
    stream: str,
    records: Sequence[Record],
    said: Sequence[Happened],
    heard: Mapping[str, int],
) -> Scratch[LiabilityFile]:
    """What liability would have decided about an order. `said` is what cases and refunds would have said; `heard` is up
    to which event of each liability had heard history: what came later is in neither balance.
    """
    scratch = Scratch(domain, stream)
    facts = {fact.id: fact for fact in said if type_of(fact.event) in domain.hears}
    traced = {_heard_in(record, domain) for record in records}
    # Those that left no trace in history, because they cost nothing then, or did not happen: each at its own time.
    others = [fact for fact in facts.values() if fact.id not in traced and fact.sequence <= heard.get(fact.source, 0)]
    others.sort(key=lambda fact: fact.time)
    for record in records:
        while others and others[0].time < record.time:
            earlier = others.pop(0)
            scratch.hear(earlier, earlier.time)
        if isinstance(record.event, li.LiabilityAssigned | li.LossRecovered):
            scratch.take(Happened.of(record, record.event))
        elif (fact := facts.pop(_heard_in(record, domain), None)) is not None:
            scratch.hear(fact, record.time)
    for fact in others:
        scratch.hear(fact, fact.time)
    return scratch


def _heard_in(record: Record, domain: LiabilityDomain) -> str:
    """The event that a record is, or that it followed from."""
    return record.causation_id if record.source == domain.source else record.id

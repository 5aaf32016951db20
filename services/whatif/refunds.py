"""Refunds decided again from what cases would have said: what is owed is calculated, what was paid stays paid.

A payout that history had keeps its outcome, with the amount that it would have had. One that arises here only is paid
at once; one that does not arise any more is gone, with its outcome.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from contracts.event import Event
from contracts.events import refunds as r
from services.kernel.log import Record
from services.refunds.domain import RefundsDomain, RefundsFile
from services.refunds.domain.payout import succeeded
from services.whatif.scratch import Happened, Recorded, Scratch

#: The channel's reference of a payout that nobody made.
CHANNEL_REF: Final = "what-if"

_Payout = r.PayoutRequested | r.PayoutSucceeded | r.PayoutFailed | r.PayoutUnknown


def decided_again(
    domain: RefundsDomain, stream: str, records: Sequence[Record], said: Mapping[str, Event]
) -> Scratch[RefundsFile]:
    """What refunds would have decided about an order. `said`: what each event of cases would say, by its id."""
    own = [record for record in records if record.source == domain.source]
    scratch = Scratch(domain, stream, Recorded(record for record in own if not _by_others(record.event)))
    known = {record.event.payout for record in own if isinstance(record.event, r.PayoutRequested)}
    for record in records:
        if record.source != domain.source:
            scratch.hear(Happened.of(record, said.get(record.id, record.event)), record.time)
        elif (event := _standing(scratch.file, record.event)) is not None:
            scratch.take(Happened.of(record, event))
        while (paid := _paid_at_once(scratch.file, known)) is not None:
            name = f"what-if:{paid.payout}"
            scratch.take(Happened(paid, record.time, record.actor, name, domain.source))
    return scratch


def _by_others(event: Event) -> bool:
    """Whether a person or the provider decided it: outcomes of payouts, and trying one again."""
    if isinstance(event, r.PayoutRequested):
        return event.attempt > 1
    return isinstance(event, _Payout)


def _standing(file: RefundsFile, event: Event) -> Event | None:
    """What was done about a payout that is there; None for what refunds decides by itself, which it has again."""
    if not isinstance(event, _Payout) or not _by_others(event) or event.payout not in file.payouts:
        return None
    return msgspec.structs.replace(event, amount_fen=file.payouts[event.payout].amount_fen)


def _paid_at_once(file: RefundsFile, known: set[str]) -> r.PayoutSucceeded | None:
    """A payout that history did not have."""
    for payout in file.payouts.values():
        if payout.payout not in known and not payout.succeeded:
            return succeeded(payout, CHANNEL_REF, payout.attempt)
    return None

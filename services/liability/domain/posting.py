"""The double entry of losses: every event posts as much to debit as to credit (`domain.md` §5).

Accounts: `source/<entry>` is where a loss comes from, `suspense` holds what nobody bears yet, `party/<party>`
what a party was charged, `receivable/<party>` what was collected from it, `bank` the money collected. So the
balances of all `party/…` and `suspense` make the net loss; those of `party/X` and `receivable/X`, what X owes.
"""

from typing import NamedTuple

from contracts.event import Event
from contracts.events.liability import LossCharged, LossRecorded, LossRecovered, LossReversed

SUSPENSE = "suspense"
BANK = "bank"


class Posting(NamedTuple):
    """One side of a booking: an account, and an amount in fen on one of its sides."""

    account: str
    debit_fen: int
    credit_fen: int


def postings(event: Event) -> list[Posting]:
    """What an event of liability posts; a decision about shares posts nothing by itself."""
    match event:
        case LossRecorded(entry=entry, amount_fen=amount_fen):
            return _book(SUSPENSE, f"source/{entry}", amount_fen)
        case LossCharged(party=party, amount_fen=amount_fen):
            return _book(f"party/{party}", SUSPENSE, amount_fen)
        case LossReversed(party=party, amount_fen=amount_fen):
            return _book(SUSPENSE, f"party/{party}", amount_fen)
        case LossRecovered(party=party, amount_fen=amount_fen):
            return _book(BANK, f"receivable/{party}", amount_fen)
        case _:
            return []


def _book(debit: str, credit: str, amount_fen: int) -> list[Posting]:
    if amount_fen < 0:
        return _book(credit, debit, -amount_fen)
    return [Posting(debit, amount_fen, 0), Posting(credit, 0, amount_fen)]

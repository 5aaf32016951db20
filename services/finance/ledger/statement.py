"""What a party was charged and what was collected from it, in a month or ever, down to the case and the event."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from services.finance.ledger.postings import Posting
from services.kernel.shop_time import shop_month

#: What moves the balance of a party.
MOVES: Final = ("charged", "reversed", "credited", "recovered")


class Move(msgspec.Struct, frozen=True):
    """One event of a party's account, in fen: what it owes more (above zero) or less, and owes then."""

    time: datetime
    case_id: str
    type: str
    event_id: str
    move: str
    amount_fen: int
    balance_fen: int


class Statement(msgspec.Struct, frozen=True):
    """A party's month, in fen, `month` empty for all time: opening + charged − reversed − credited − recovered is
    closing. Reversed: others bear it now. Credited: there is less to bear. `breaks`: how much of all orders does
    not hold."""

    party: str
    month: str
    opening_fen: int
    charged_fen: int
    reversed_fen: int
    credited_fen: int
    recovered_fen: int
    closing_fen: int
    moves: Sequence[Move]
    breaks: int


def is_move(posting: Posting, party: str) -> bool:
    """Whether a posting moves what a party bears, or what was collected of it."""
    return posting.party == party and (posting.account == "losses" or posting.memo == "recovered")


def statement_of(postings: Iterable[Posting], party: str, month: str = "", breaks: int = 0) -> Statement:
    """A party's statement from its postings, in whatever order they are."""
    opening = balance = 0
    sums = dict.fromkeys(MOVES, 0)
    moves = []
    for posting in sorted((one for one in postings if is_move(one, party)), key=lambda one: one.time):
        booked = shop_month(posting.time) if month else ""
        if booked > month:
            break
        balance += posting.amount_fen
        if booked < month:
            opening = balance
            continue
        sums[posting.memo] += abs(posting.amount_fen)
        moves.append(
            Move(
                posting.time,
                posting.case_id,
                posting.type,
                posting.event_id,
                posting.memo,
                posting.amount_fen,
                balance,
            )
        )
    return Statement(
        party=party,
        month=month,
        opening_fen=opening,
        charged_fen=sums["charged"],
        reversed_fen=sums["reversed"],
        credited_fen=sums["credited"],
        recovered_fen=sums["recovered"],
        closing_fen=balance,
        moves=moves,
        breaks=breaks,
    )

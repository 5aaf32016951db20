"""A movement that is understood, as an outcome."""

from services.finance.reconciling.movement import Movement
from services.finance.reconciling.outcome import Kind, Outcome, What
from services.finance.reconciling.rules import CUT_OFF


def told_match(one: Movement) -> Outcome:
    """Witnesses that agree: in the same day, across a midnight, or further apart, which somebody has to look at."""
    apart = 0 if one.is_of_one_day() else one.days_apart()
    if apart > 1:
        return Outcome(What.DISCREPANCY, Kind.CUT_OFF, one.postings, one.rows, one.amount_fen, one.amount_fen)
    return Outcome(What.MATCHED, CUT_OFF if apart else one.rule, one.postings, one.rows)


def outside(one: Movement) -> Outcome:
    """No business of after-sales."""
    return Outcome(What.OUTSIDE, "", one.postings, one.rows)


def carried(one: Movement) -> Outcome:
    """At an edge of what is known."""
    return Outcome(What.CARRIED, "", one.postings, one.rows)


def discrepancy(kind: Kind, one: Movement, expected_fen: int, found_fen: int) -> Outcome:
    """Something that does not agree."""
    return Outcome(What.DISCREPANCY, kind, one.postings, one.rows, expected_fen, found_fen)

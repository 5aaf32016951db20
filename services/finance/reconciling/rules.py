"""The rules that put witnesses together where our reference and the amount do not do so by themselves."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from services.finance.reconciling.items import TRANSFER, is_payout, reference_of
from services.finance.reconciling.movement import Movement, merged

CHANNEL_REF: Final = "channel_ref"
ORDER_SUM: Final = "order_sum"
ROLL_UP: Final = "roll_up"
CUT_OFF: Final = "cut_off"
FEE: Final = "fee"

#: What movements are looked up by: texts that each of them names.
Names: TypeAlias = Callable[[Movement], Iterable[str]]
#: By what parts of one movement are found: our references, orders, and the channel's numbers.
_NAMES: Final[tuple[Names, ...]] = (Movement.references, Movement.orders, Movement.numbers)


def put_together(ours: list[Movement], theirs: list[Movement]) -> list[Movement]:
    """Apply the rules behind the first to movements of our books that lack a witness, and to those that only bills
    know, of some days. Gives the movements that came of it; those that they are made of are `gone`."""
    ways = {_sign(one) for one in ours}
    theirs = [one for one in theirs if _sign(one) in ways]
    made = list(by_number(ours, theirs))
    for names in _NAMES:
        for own, others in _groups(names, [*ours, *made], [*theirs, *made]):
            made += _split(own, others)
    for names in _NAMES:
        for own, others in _groups(names, [*ours, *made], [*theirs, *made]):
            made += _rolled_up(own, others)
    made += _whole_days([*ours, *made], theirs)
    return [one for one in made if not one.gone]


def by_number(ours: Iterable[Movement], theirs: Iterable[Movement]) -> Iterator[Movement]:
    """A number of the channel's, and the amount."""
    known: dict[tuple[str, int], list[Movement]] = defaultdict(list)
    for one in ours:
        _enter(known, one)
    amounts = {amount_fen for _, amount_fen in known}
    for other in theirs:
        if other.amount_fen not in amounts:
            continue
        for number in dict.fromkeys(other.numbers()):
            found = _first(known.get((number, other.amount_fen), ()) if number else (), other)
            if found is not None:
                one = merged(CHANNEL_REF, found.amount_fen, [found, other])
                _enter(known, one)  # what else may lack
                yield one
                break


def _enter(known: dict[tuple[str, int], list[Movement]], one: Movement) -> None:
    for number in dict.fromkeys(one.numbers()):
        if number:
            known[number, one.amount_fen].append(one)


def _first(candidates: Iterable[Movement], other: Movement) -> Movement | None:
    return next((one for one in candidates if not one.gone and one.takes(other)), None)


def _groups(
    names: Names, ours: Iterable[Movement], theirs: Iterable[Movement]
) -> Iterator[tuple[list[Movement], list[Movement]]]:
    """Our movements and the bills' that have a name in common, in the order of ours."""
    own = _named(names, (one for one in ours if one.postings and not one.gone))
    others = _named(names, (one for one in theirs if not one.postings and not one.gone), only=own)
    for name, group in own.items():
        if name in others:
            yield group, others[name]


def _named(
    names: Names, movements: Iterable[Movement], only: dict[str, list[Movement]] | None = None
) -> dict[str, list[Movement]]:
    found: dict[str, list[Movement]] = {}
    for one in movements:
        for name in dict.fromkeys(names(one)):
            if name and (only is None or name in only):
                found.setdefault(name, []).append(one)
    return found


def _split(ours: list[Movement], theirs: list[Movement]) -> Iterator[Movement]:
    """The amount in one row, or in all the rows that are left together."""
    for place, one in enumerate(ours):
        for other in theirs:
            if one.gone:
                break
            if not other.gone and other.amount_fen == one.amount_fen and _fits(one, other):
                one = ours[place] = merged(ORDER_SUM, one.amount_fen, [one, other])
                yield one
        for parts in _sorts(one, theirs):
            if not one.gone and len(parts) > 1 and _sum(parts) == one.amount_fen:
                one = ours[place] = merged(ORDER_SUM, one.amount_fen, [one, *parts])
                yield one


def _rolled_up(ours: list[Movement], theirs: list[Movement]) -> Iterator[Movement]:
    """Several of ours in one row, or in as many as there are."""
    for other in [*theirs]:
        own = _waiting(ours, other)
        if not other.gone and len(own) > 1 and _sum(own) == other.amount_fen:
            yield merged(ROLL_UP, other.amount_fen, [*own, other])
    left = next((other for other in theirs if not other.gone), None)
    if left is None:
        return
    own = _waiting(ours, left)
    for parts in _sorts(own[0], theirs) if len(own) > 1 else ():
        parts = [one for one in parts if not one.gone]
        if len(parts) > 1 and _sum(own) == _sum(parts) and not any(one.gone for one in own):
            yield merged(ROLL_UP, _sum(own), [*own, *parts])


def _whole_days(ours: Iterable[Movement], theirs: Iterable[Movement]) -> Iterator[Movement]:
    """All that is left of a day in one transfer."""
    days: dict[str, list[Movement]] = defaultdict(list)
    for one in ours:
        if one.postings and not one.gone:
            days[one.postings[0].day].append(one)
    for other in theirs:
        if other.gone or other.first_row.kind != TRANSFER:
            continue
        own = _waiting(days.get(other.first_row.day, []), other)
        if len(own) > 1 and _sum(own) == other.amount_fen:
            yield merged(ROLL_UP, other.amount_fen, [*own, other])


def _sorts(one: Movement, theirs: Iterable[Movement]) -> Iterator[list[Movement]]:
    """What could be the parts of one of ours: the fund's, then the transactions'."""
    fitting = [other for other in theirs if not other.gone and _sign(other) == _sign(one) and _fits(one, other)]
    for sort in ("fund", "trade"):
        yield [other for other in fitting if getattr(other, sort)]


def _waiting(ours: Iterable[Movement], other: Movement) -> list[Movement]:
    """Ours that lack such a witness, and went the same way."""
    return [one for one in ours if not one.gone and _sign(one) == _sign(other) and one.takes(other)]


def _fits(one: Movement, other: Movement) -> bool:
    """Whether another may be a witness of one of ours: unless it names another payout of ours by its reference."""
    if not one.takes(other):
        return False
    named = {reference for row in other.rows if is_payout(reference := reference_of(row))}
    return not named or any(reference.startswith(posting.item) for posting in one.postings for reference in named)


def _sum(movements: Iterable[Movement]) -> int:
    return sum(one.amount_fen for one in movements)


def _sign(one: Movement) -> bool:
    return one.amount_fen < 0

"""What no rule could put together: what is wrong with it, or why it is nothing to look at."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from services.finance.reconciling.items import (
    CURRENCY,
    PAYMENT,
    REFUND,
    TRANSFER,
    BillRow,
    OurPosting,
    is_payout,
    numbers_of,
    reference_of,
)
from services.finance.reconciling.movement import Movement
from services.finance.reconciling.outcome import Kind, Outcome, What
from services.finance.reconciling.rules import Names
from services.finance.reconciling.scope import Scope
from services.finance.reconciling.telling import carried, discrepancy, outside, told_match

#: How channels call a refund that they took on and then did not pay.
_CLOSED: Final = frozenset({"REFUNDCLOSE", "CLOSED"})
#: How they call money that the shop moves between its own accounts.
_OWN_MOVES: Final = frozenset({"提现", "充值", "充值/提现"})
#: Of one movement, so many rows are told.
_ROWS_MOST: Final = 200


class Wanted(msgspec.Struct, frozen=True):
    """What else to look for, wherever it is."""

    references: tuple[str, ...]
    """Our references in rows that we do not know."""
    items: tuple[str, ...]
    """References of postings that are on no bill."""
    orders: tuple[str, ...]
    """Orders of rows that name nothing else of ours."""


class Known(msgspec.Struct, frozen=True):
    """What was found: postings by our reference and by order, rows of this channel by reference, and references on
    other channels' bills."""

    postings: Mapping[str, Sequence[OurPosting]] = {}
    of_orders: Mapping[str, Sequence[OurPosting]] = {}
    rows: Mapping[str, Sequence[BillRow]] = {}
    elsewhere: frozenset[str] = frozenset()


def wanted_of(left: Iterable[Movement]) -> Wanted:
    """What could explain what is left."""
    references, items, orders = dict[str, None](), dict[str, None](), dict[str, None]()
    for one in left:
        named = dict.fromkeys(filter(None, one.references()))
        if one.postings:
            items |= named
        elif named:
            references |= named
        else:
            orders |= dict.fromkeys(filter(None, one.orders()))
    return Wanted(tuple(references), tuple(items), tuple(orders))


def classified(scope: Scope, left: Iterable[Movement], aside: Iterable[BillRow], known: Known) -> Iterator[Outcome]:
    """What became of everything that is left, ours first. `aside`: rows that failed, or in another currency."""
    movements = list(left)
    ours = [one for one in movements if one.postings]
    theirs = [one for one in movements if not one.postings]
    lacking = [one for one in ours if not _is_complete(one)]
    yield from _aside(lacking, aside)
    yield from _closings(lacking, theirs)
    yield from _other_amounts(lacking, theirs)
    for one in ours:
        if not one.gone:
            one.gone = True
            yield told_match(one) if _is_complete(one) else _unseen(scope, one, known, movements)
    yield from _unknown(scope, theirs, known, movements)


def _is_complete(one: Movement) -> bool:
    return bool(one.postings and one.fund)


# -- rows that move nothing


def _aside(lacking: Sequence[Movement], aside: Iterable[BillRow]) -> Iterator[Outcome]:
    """A row that failed, or is in another currency, where the books say that it was paid."""
    by_name = _by_name(lacking)
    for row in aside:
        names = (reference_of(row), *numbers_of(row))
        one = next((one for name in names if name for one in by_name.get(name, ()) if not one.gone), None)
        if row.currency != CURRENCY:
            yield _consumed(Kind.CURRENCY, one, row, row.amount_fen)
        elif one is not None:
            kind = Kind.CLOSED_AFTER_ACCEPTANCE if row.channel_status in _CLOSED else Kind.STATUS
            yield _consumed(kind, one, row, 0)
        else:
            yield Outcome(What.OUTSIDE, "", rows=(row,))


def _consumed(kind: Kind, one: Movement | None, row: BillRow, found_fen: int) -> Outcome:
    if one is None:
        return Outcome(What.DISCREPANCY, kind, rows=(row,), found_fen=found_fen)
    one.gone = True
    return Outcome(What.DISCREPANCY, kind, one.postings, (*one.rows, row), one.amount_fen, found_fen)


# -- a refund that came back


def _closings(lacking: Sequence[Movement], theirs: Sequence[Movement]) -> Iterator[Outcome]:
    """A refund that came back after it went out: nothing where the books never held it, else our buyer has no money."""
    by_name = _by_name([*lacking, *theirs])
    for back in theirs:
        if back.gone or not _is_closing(back):
            continue
        back.gone = True
        names = dict.fromkeys((*back.references(), *back.numbers()))
        out = next(
            (
                one
                for name in names
                for one in by_name.get(name, ())
                if name and not one.gone and one.amount_fen == -back.amount_fen
            ),
            None,
        )
        if out is None:
            yield discrepancy(Kind.CLOSED_AFTER_ACCEPTANCE, back, -back.amount_fen, 0)
            continue
        out.gone = True
        rows = (*out.rows, *back.rows)
        if out.postings:
            yield Outcome(What.DISCREPANCY, Kind.CLOSED_AFTER_ACCEPTANCE, out.postings, rows, out.amount_fen, 0)
        else:
            yield Outcome(What.OUTSIDE, "", rows=rows)


def _is_closing(one: Movement) -> bool:
    return one.amount_fen > 0 and one.first_row.kind == REFUND


# -- the same money, and another amount


def _other_amounts(lacking: Sequence[Movement], theirs: Sequence[Movement]) -> Iterator[Outcome]:
    """What names the same, by its reference, a number of the channel's, or alone of its order without any of these."""
    unknown = [one for one in theirs if not one.gone]
    by_name = _by_name(unknown)
    for one in lacking:
        if one.gone:
            continue
        names = dict.fromkeys((*one.references(), *one.numbers()))
        same = next((group for name in names if name and (group := _like(one, by_name.get(name, ())))), None)
        if same is not None:
            yield _differs(one, same)
    by_order = _by(unknown, Movement.orders)
    for order, own in _by((one for one in lacking if not one.gone), Movement.orders).items():
        others = [other for other in by_order.get(order, ()) if not other.gone and not _has_reference(other)]
        if order and len(own) == len(others) == 1 and _like(own[0], others):
            yield _differs(own[0], others)


def _like(one: Movement, others: Iterable[Movement]) -> list[Movement]:
    """Those that it could be, went the same way, and are of one sort: the fund's where there are any."""
    fitting = [
        other
        for other in others
        if not other.gone and one.takes(other) and (other.amount_fen < 0) == (one.amount_fen < 0)
    ]
    return [other for other in fitting if other.fund] or fitting


def _differs(one: Movement, others: Sequence[Movement]) -> Outcome:
    one.gone = True
    for other in others:
        other.gone = True
    rows = (*one.rows, *(row for other in others for row in other.rows))
    found_fen = sum(other.amount_fen for other in others)
    return Outcome(What.DISCREPANCY, Kind.AMOUNT, one.postings, rows, one.amount_fen, found_fen)


def _has_reference(one: Movement) -> bool:
    return any(is_payout(reference) for reference in one.references())


# -- what we hold and bills do not


def _unseen(scope: Scope, one: Movement, known: Known, movements: Sequence[Movement]) -> Outcome:
    posting = one.postings[0]
    if one.trade:
        return _unsettled(scope, one)
    if elsewhere := [row for posting in one.postings for row in known.rows.get(posting.item, ()) if _far(row, scope)]:
        found_fen = sum(row.amount_fen for row in elsewhere if row.is_trade == elsewhere[0].is_trade)
        kind = Kind.CUT_OFF if found_fen == one.amount_fen else Kind.AMOUNT
        return Outcome(
            What.DISCREPANCY, kind, one.postings, (), one.amount_fen, found_fen, beside=tuple(elsewhere[:_ROWS_MOST])
        )
    if all(posting.item in known.elsewhere for posting in one.postings):
        return outside(one)
    if not scope.is_missed(posting):
        return carried(one)
    if posting.type == "compensation.paid" and _is_held_twice(posting, known, movements):
        return discrepancy(Kind.COMPENSATION_PAID_TWICE, one, one.amount_fen, 0)
    return discrepancy(Kind.MISSING_AT_CHANNEL, one, one.amount_fen, 0)


def _unsettled(scope: Scope, one: Movement) -> Outcome:
    """A transaction bill says that it was accepted; what of it moved, a fund bill says."""
    day = one.trade[-1].day
    if scope.fund.closes(day):
        return discrepancy(Kind.ACCEPTED_NOT_SETTLED, one, one.amount_fen, 0)
    return carried(one) if day in scope.fund.days else told_match(one)


def _far(row: BillRow, scope: Scope) -> bool:
    """Whether the run did not read the day of a row."""
    return not scope.reads(row.day)


def _is_held_twice(posting: OurPosting, known: Known, movements: Sequence[Movement]) -> bool:
    """Whether another posting of the reference took the row that there is for it."""
    open_here = {(one.event_id, one.line) for movement in movements for one in movement.postings}
    others = known.postings.get(posting.item, ())
    return any((one.event_id, one.line) not in open_here for one in others)


# -- what bills hold and we do not


def _unknown(
    scope: Scope, theirs: Sequence[Movement], known: Known, movements: Sequence[Movement]
) -> Iterator[Outcome]:
    unsettled: dict[str, list[Movement]] = defaultdict(list)
    seen: set[tuple[str, int, bool]] = set()
    for one in theirs:
        if one.gone:
            continue
        one.gone = True
        row = one.first_row
        if row.kind == PAYMENT and one.trade and not one.fund and scope.fund.closes(row.day):
            unsettled[row.day].append(one)
        elif row.kind == PAYMENT and one.trade and not one.fund and row.day in scope.fund.days:
            yield carried(one)
        elif row.kind not in (REFUND, TRANSFER) or row.channel_status in _OWN_MOVES:
            yield outside(one)
        else:
            yield _not_ours(scope, one, known, seen, movements)
    yield from (_unsettled_payments(day) for day in unsettled.values())


def _not_ours(
    scope: Scope, one: Movement, known: Known, seen: set[tuple[str, int, bool]], movements: Sequence[Movement]
) -> Outcome:
    """A refund or transfer without a posting: a second one of what we hold, or one that we do not know at all."""
    references = [reference for reference in one.references() if reference]
    postings = [posting for reference in references for posting in known.postings.get(reference, ())]
    if not references:
        postings = _alike(one, known, movements)
    if postings:
        far = [posting for posting in postings if references and not scope.reads(posting.day)]
        rows = [row for reference in references for row in known.rows.get(reference, ()) if _far(row, scope)]
        if far and not rows and sum(posting.amount_fen for posting in far) == one.amount_fen:
            return Outcome(What.DISCREPANCY, Kind.CUT_OFF, tuple(far), one.rows, one.amount_fen, one.amount_fen)
        paid_twice = any(posting.type == "compensation.paid" for posting in postings)
        kind = Kind.COMPENSATION_PAID_TWICE if paid_twice else Kind.DUPLICATE
        return discrepancy(kind, one, 0, one.amount_fen)
    marks = {(reference, one.amount_fen, bool(one.fund)) for reference in references}
    if marks & seen:
        return discrepancy(Kind.DUPLICATE, one, 0, one.amount_fen)
    seen |= marks
    if not scope.books_close(one.first_row.day):
        return carried(one)
    return discrepancy(Kind.MISSING_WITH_US, one, 0, one.amount_fen)


def _alike(one: Movement, known: Known, movements: Sequence[Movement]) -> list[OurPosting]:
    """What the books hold of the order in the same amount, and found on the bill: what names the order alone is then a
    second one."""
    open_here = {(posting.event_id, posting.line) for other in movements for posting in other.postings}
    postings = (posting for order in one.orders() for posting in known.of_orders.get(order, ()))
    return [
        posting
        for posting in postings
        if posting.amount_fen == one.amount_fen and (posting.event_id, posting.line) not in open_here
    ]


def _unsettled_payments(movements: Sequence[Movement]) -> Outcome:
    """The payments of a day that never came to the account: the day's totals differ by so much."""
    rows = tuple(row for one in movements for row in one.rows)
    expected_fen = sum(one.amount_fen for one in movements)
    return Outcome(What.DISCREPANCY, Kind.ACCEPTED_NOT_SETTLED, (), rows, expected_fen, 0)


# -- looking up


def _by_name(movements: Iterable[Movement]) -> dict[str, list[Movement]]:
    return _by(movements, lambda one: (*one.references(), *one.numbers()))


def _by(movements: Iterable[Movement], names: Names) -> dict[str, list[Movement]]:
    found: dict[str, list[Movement]] = {}
    for one in movements:
        for name in dict.fromkeys(names(one)):
            if name:
                found.setdefault(name, []).append(one)
    return found

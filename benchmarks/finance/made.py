"""Days of a shop with bills of so many rows: the same for the same numbers, and made one day at a time.

Of ten movements, four are payments of the sale, listed twice with a fee; five are refunds that the books hold, listed
twice; one is a compensation, listed once. One in 500 refunds is missing on the bills, or another amount.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from services.finance.reconciling.items import BillRow, OurPosting, day_of, ordinal
from services.finance.reconciling.scope import Coverage, Scope

FIRST: Final = ordinal("2026-01-01")
#: Bill rows of ten movements: 4 × 3, 5 × 2, and 1.
_ROWS_OF_TEN: Final = 23
#: Rows of a day in a shop that has a million a year.
ROWS_A_DAY: Final = 120 * _ROWS_OF_TEN
_EVERY: Final = 500


class Day(NamedTuple):
    """What happened on a day."""

    day: str
    postings: list[OurPosting]
    rows: list[BillRow]


def days_of(rows: int) -> int:
    """In how many days a shop with a million rows a year has so many."""
    return max(1, rows // ROWS_A_DAY)


def scope(days: int) -> Scope:
    """A run over so many days."""
    first, last = day_of(FIRST), day_of(FIRST + days - 1)
    covered = [(first, day_of(FIRST + days))]
    return Scope(
        channel="wechat",
        first_day=first,
        last_day=last,
        books_day=day_of(FIRST + days + 5),
        trade=Coverage.of(covered),
        fund=Coverage.of(covered),
        lists_fees=True,
    )


def made(rows: int, days: int) -> Iterator[Day]:
    """Day by day, about so many rows in all, and those days without any that a run reads beside its own."""
    tens = max(1, rows // (_ROWS_OF_TEN * days))
    for number, day in enumerate(scope(days).days):
        if 2 <= number < days + 2:
            yield _day(day, number, tens)
        else:
            yield Day(day, [], [])


def _day(day: str, number: int, tens: int) -> Day:
    postings: list[OurPosting] = []
    rows: list[BillRow] = []
    for at in range(tens * 10):
        order = f"TB26{number:03d}{at:07d}"
        time = f"{day}T02:{at % 60:02d}:{at // 60 % 60:02d}.000000+00:00"
        kind = at % 10
        if kind < 4:
            rows += _payment(order, 9_900 + at, time, day)
        elif kind < 9:
            _refund(order, -(5_000 + at), time, day, at, postings, rows)
        else:
            ref = f"HB{order}"
            postings.append(_posting(ref, -500, time, day, order, "compensation.paid", ""))
            rows.append(_row(f"wechat-fund:{ref}", False, "transfer", ref, "", f"T{order}", -500, 0, time, day))
    return Day(day, postings, rows)


def _payment(order: str, fen: int, time: str, day: str) -> list[BillRow]:
    number, fee = f"42{order}", fen * 6 // 1000
    return [
        _row(f"wechat-trade:{number}", True, "payment", order, "", number, fen, fee, time, day),
        _row(f"wechat-fund:{number}", False, "payment", order, "", number, fen, 0, time, day),
        _row(f"wechat-fund:{number}f", False, "fee", order, "", number, -fee, 0, time, day),
    ]


def _refund(
    order: str, fen: int, time: str, day: str, at: int, postings: list[OurPosting], rows: list[BillRow]
) -> None:
    ref, number = f"{order}-1:refund:F1", f"50{order}"
    postings.append(_posting(ref, fen, time, day, order, "payout.succeeded", number))
    if at % _EVERY == 4:
        return
    paid = fen - 100 if at % _EVERY == 5 else fen
    rows.append(_row(f"wechat-trade:{number}", True, "refund", order, ref, number, paid, 0, time, day))
    rows.append(_row(f"wechat-fund:{number}", False, "refund", "", ref, number, paid, 0, time, day))


def _posting(item: str, fen: int, time: str, day: str, order: str, type_: str, number: str) -> OurPosting:
    return OurPosting(f"e-{item}", 2, type_, time, day, order, f"{order}-1", item, number, fen)


def _row(
    key: str, is_trade: bool, kind: str, order: str, ref: str, number: str, fen: int, fee: int, time: str, day: str
) -> BillRow:
    status, said = ("accepted", "PROCESSING") if is_trade and kind == "refund" else ("succeeded", "SUCCESS")
    return BillRow(key, is_trade, kind, order, ref, number, number, fen, fee, "CNY", status, said, time, day)

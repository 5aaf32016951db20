"""Closing months: in order, each once, and none before it is over. One person finds a month ready and prepares it (the
maker), another one closes it (the checker)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

from msgspec import Meta, Struct

from contracts.events.finance import AccountSum, PeriodClosed, PeriodPrepared
from services.kernel.actor import Actor
from services.kernel.decider import Command, CommandSpec, Context, Events, Fact
from services.kernel.fields import Moment, Name, Sha256
from services.kernel.refusal import Refusal, invalid
from services.kernel.shop_time import shop_month

if TYPE_CHECKING:
    from services.finance.domain.books import Books

#: A month of the shop's, as `2026-10`.
Month = Annotated[str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$(?!\n)")]
_MonthOrNone = Annotated[str, Meta(pattern=r"^([0-9]{4}-(0[1-9]|1[0-2]))?$(?!\n)")]
_Count = Annotated[int, Meta(ge=0)]


class Prepared(NamedTuple):
    """A month that was prepared: what the maker saw, when, and who that is."""

    event: PeriodPrepared
    at: datetime
    by: str


class Closed(NamedTuple):
    """A month that was closed: what was frozen, when and by whom. `prepared` is None where it was closed by one person
    alone, as was possible once."""

    event: PeriodClosed
    at: datetime
    by: str
    prepared: Prepared | None = None


class Periods:
    """The closed months, in the order of the calendar, and the one that is `prepared`: only the one that is due can
    be."""

    def __init__(self, closed: Mapping[str, Closed] | None = None, prepared: Prepared | None = None) -> None:
        self.closed: dict[str, Closed] = dict(closed or {})
        self.prepared = prepared

    @property
    def last(self) -> PeriodClosed | None:
        """The last month that was closed."""
        return next(reversed(self.closed.values())).event if self.closed else None

    @property
    def positions(self) -> Sequence[tuple[str, int]]:
        """Each closed month with the position of the log up to which it holds what there was."""
        return [(month, closed.event.position) for month, closed in self.closed.items()]

    def evolve(self, fact: Fact) -> None:
        """Fold one event."""
        match fact.event:
            case PeriodPrepared() as event:
                self.prepared = Prepared(event, fact.time, fact.actor)
            case PeriodClosed() as event:
                self.closed[event.month] = Closed(event, fact.time, fact.actor, self.prepared_of(event.month))
                self.prepared = None

    def prepared_of(self, month: str) -> Prepared | None:
        """How a month was last prepared, whether it is closed by now or not."""
        if month in self.closed:
            return self.closed[month].prepared
        return self.prepared if self.prepared is not None and self.prepared.event.month == month else None


def next_month(month: str) -> str:
    """The month after one: `2027-01` after `2026-12`."""
    year, number = divmod(int(month[:4]) * 12 + int(month[5:]), 12)
    return f"{year:04}-{number + 1:02}"


class Figures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the books hold of a month, up to `position` of their log. `first_month` is the first month of all in which
    anything was posted, empty where nothing was. The rest is as in `period.prepared`."""

    position: _Count
    postings: _Count
    late: _Count
    accounts: tuple[AccountSum, ...]
    first_month: _MonthOrNone


class FrozenFigures(Figures, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """They, and what is frozen with them, as in `period.closed`."""

    root: Sha256
    report: Sha256
    cut_off_at: Moment
    misposted: _Count = 0
    unreconciled: tuple[Name, ...] = ()


class PreparePeriod(Command, frozen=True, kw_only=True):
    """Find a month ready to be closed, by another person. Nobody may say `figures`: they are added up where the command
    arrives."""

    month: Month
    figures: Figures | None = None


class ClosePeriod(Command, frozen=True, kw_only=True):
    """Close a month for good, which another person prepared and which is still the same. Nobody may say `figures`: they
    are added up where the command arrives."""

    month: Month
    figures: FrozenFigures | None = None


def check_due(periods: Periods, month: str, first_month: str, now: datetime) -> None:
    """Raises `Refusal` where a month cannot be closed now, whatever it holds: `month_not_over`, `period_closed`,
    `nothing_posted`, `earlier_month_open`.

    The first month that is closed is the first in which anything was posted; then follows one upon the other, also
    those without any posting.
    """
    if month >= shop_month(now):
        raise Refusal("month_not_over", month=month, next=next_month(month))
    last = periods.last
    if last is not None and month <= last.month:
        raise Refusal("period_closed", month=month, last=last.month)
    due = next_month(last.month) if last is not None else first_month
    if not due or month < due:
        raise Refusal("nothing_posted", month=month, first=due)
    if month > due:
        raise Refusal("earlier_month_open", month=month, earlier=due)


def check_prepared(periods: Periods, month: str) -> Prepared:
    """How a month was prepared; raises `Refusal` `period_not_prepared` where nobody did."""
    prepared = periods.prepared_of(month)
    if prepared is None:
        raise Refusal("period_not_prepared", month=month)
    return prepared


def _prepare(file: "Books", _: str, body: PreparePeriod, context: Context) -> Events:
    """The same by the same person changes nothing; what else is said later replaces it."""
    figures = body.figures
    if figures is None:
        raise _no_figures()
    check_due(file.periods, body.month, figures.first_month, context.now)
    check_sums(figures.accounts, file.periods.last)
    before = file.periods.prepared_of(body.month)
    if before is not None and Actor.parse(before.by).name == context.actor.name and _unchanged(before, figures):
        return ()
    return (
        PeriodPrepared(
            month=body.month,
            position=figures.position,
            postings=figures.postings,
            late=figures.late,
            accounts=figures.accounts,
        ),
    )


def _close(file: "Books", _: str, body: ClosePeriod, context: Context) -> Events:
    """It is what the maker saw, so what the checker looks at is that and nothing else."""
    figures = body.figures
    if figures is None:
        raise _no_figures()
    check_due(file.periods, body.month, figures.first_month, context.now)
    check_sums(figures.accounts, file.periods.last)
    prepared = check_prepared(file.periods, body.month)
    if Actor.parse(prepared.by).name == context.actor.name:
        raise Refusal("own_preparation", month=body.month)
    if not _unchanged(prepared, figures):
        raise Refusal("period_changed", month=body.month, then=prepared.event.postings, now=figures.postings)
    return (
        PeriodClosed(
            month=body.month,
            position=figures.position,
            root=figures.root,
            report=figures.report,
            postings=figures.postings,
            late=figures.late,
            accounts=figures.accounts,
            cut_off_at=figures.cut_off_at,
            misposted=figures.misposted,
            unreconciled=figures.unreconciled,
        ),
    )


def _no_figures() -> Refusal:
    return invalid("figures", "required", "缺少汇总数字", "is what the books hold of the month")


def _unchanged(prepared: Prepared, figures: Figures) -> bool:
    """Whether a month holds what it was prepared with; how far the log got meanwhile, with what is not of the month,
    does not matter."""
    seen = prepared.event
    return (seen.postings, seen.late) == (figures.postings, figures.late) and (
        _by_key(seen.accounts) == _by_key(figures.accounts)
    )


def _by_key(accounts: Sequence[AccountSum]) -> dict[tuple[str, str], AccountSum]:
    return {(one.account, one.party): one for one in accounts}


def check_sums(accounts: Sequence[AccountSum], before: PeriodClosed | None) -> None:
    """Raises `Refusal` where a month does not balance (`books_unbalanced`), or does not begin with what the month that
    was closed before it, if any, ended with (`opening_differs`)."""
    debit_fen = sum(one.debit_fen for one in accounts)
    credit_fen = sum(one.credit_fen for one in accounts)
    opening_fen = sum(one.opening_fen for one in accounts)
    if debit_fen != credit_fen or opening_fen:
        raise Refusal("books_unbalanced", debit_fen=debit_fen, credit_fen=credit_fen)
    if before is not None:
        ended, begins = _held(before.accounts, "closing_fen"), _held(accounts, "opening_fen")
        for key in sorted({*ended, *begins}):
            if ended.get(key, 0) != begins.get(key, 0):
                account = "/".join(part for part in key if part)
                raise Refusal(
                    "opening_differs",
                    month=before.month,
                    account=account,
                    closing_fen=ended.get(key, 0),
                    opening_fen=begins.get(key, 0),
                )


def _held(accounts: Sequence[AccountSum], figure: str) -> dict[tuple[str, str], int]:
    return {(one.account, one.party): getattr(one, figure) for one in accounts}


#: Who may prepare a month, and who may close it.
CLOSERS: Final = frozenset({"finance", "store_manager"})

COMMANDS: Mapping[str, CommandSpec["Books"]] = {
    "prepare_period": CommandSpec(PreparePeriod, CLOSERS, _prepare),
    "close_period": CommandSpec(ClosePeriod, CLOSERS, _close),
}

"""Faults that are planted in what channels deliver, each of one kind, so that finance must find it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from random import Random
from typing import Final

import msgspec

from contracts.policy import Text
from services.finance.bills.rows import Status
from services.sample.bills import (
    CHANNELS,
    Listed,
    MonthOfBills,
    Written,
    closing_fen,
    fee_of,
    listed,
    written,
)
from services.sample.channel import Channels, Movement
from services.sample.year import Month, Planted, Year

#: Days at the beginning and the end of a month, and hours at either end of a day, whose movements are left alone, so
#: that a fault is of its own kind only.
_FIRST_DAYS, _LAST_DAYS, _EDGE_HOURS = 2, 4, 2
#: How many days later a movement is listed that is listed too late.
_LATE_DAYS: Final = 3


class Fault(msgspec.Struct, frozen=True):
    """What is done to a movement: what is listed instead, and how that is told."""

    zh: str
    en: str
    do: Callable[[Listed, Channels], Sequence[Listed]]
    wechat_only: bool = False
    payouts_only: bool = False
    """Whether only our number of a payout tells whose it is; compensation has another."""
    ref: Callable[[Movement], str] = lambda movement: movement.ref


def _changed(one: Listed, **changes: object) -> Listed:
    movement = msgspec.structs.replace(one.movement, **changes)
    return msgspec.structs.replace(one, movement=movement)


def _unknown_ref(movement: Movement) -> str:
    """Our number of a refund that we never made."""
    return f"{movement.of}-9:refund:F1"


def _with_an_unknown(one: Listed, channels: Channels) -> Sequence[Listed]:
    movement, ref = one.movement, _unknown_ref(one.movement)
    number = channels.number(movement.channel, True, movement.of, ref)
    return [one, _changed(one, ref=ref, number=number, amount_fen=3_333, at=movement.at + timedelta(minutes=7))]


def _twice(one: Listed, channels: Channels) -> Sequence[Listed]:
    movement = one.movement
    number = channels.number(movement.channel, True, movement.of, f"{movement.ref} again")
    return [one, _changed(one, number=number, at=movement.at + timedelta(minutes=3))]


#: Faults of bills, by their kind.
IN_BILLS: Final[Mapping[str, Fault]] = {
    "missing_with_us": Fault(
        "渠道付了一笔我方没有的款",
        "the channel paid what we know nothing of",
        _with_an_unknown,
        ref=_unknown_ref,
    ),
    "missing_at_channel": Fault(
        "我方记为已付,渠道没有列出", "we hold it paid, and the channel lists nothing", lambda one, _: []
    ),
    "amount": Fault(
        "渠道多付 1.00",
        "the channel paid 1.00 more",
        lambda one, _: [_changed(one, amount_fen=one.movement.amount_fen + 100)],
    ),
    "status": Fault(
        "渠道称打款失败",
        "the channel says that it failed",
        lambda one, _: [msgspec.structs.replace(one, status=Status.FAILED, settled=False)],
        wechat_only=True,
    ),
    "duplicate": Fault("渠道付了两次", "the channel paid it twice", _twice, wechat_only=True, payouts_only=True),
    "accepted_not_settled": Fault(
        "渠道已受理,账户没有变动",
        "the channel took it on, and nothing moved on the account",
        lambda one, _: [msgspec.structs.replace(one, status=Status.ACCEPTED, settled=False)],
        wechat_only=True,
    ),
    "closed_after_acceptance": Fault(
        "渠道已受理,款项又退回",
        "the channel took it on, and the money came back",
        lambda one, _: [msgspec.structs.replace(one, status=Status.ACCEPTED, closed=True)],
        wechat_only=True,
        payouts_only=True,
    ),
    "fee": Fault(
        "手续费与交易账单相差 0.37",
        "the fee on the account is not the transaction's, by 0.37",
        lambda one, _: [msgspec.structs.replace(one, fee_kept_fen=fee_of(one.movement.amount_fen) + 37)],
        payouts_only=True,
    ),
    "currency": Fault(
        "渠道列在另一币种的账单里",
        "the channel lists it in a bill of another currency",
        lambda one, _: [msgspec.structs.replace(one, currency="USD", settled=False)],
        wechat_only=True,
    ),
    "cut_off": Fault(
        f"渠道晚 {_LATE_DAYS} 天列出",
        f"the channel lists it {_LATE_DAYS} days later",
        lambda one, _: [_changed(one, at=one.movement.at + timedelta(days=_LATE_DAYS))],
    ),
}


def _miscounted(content: bytes) -> bytes:
    """A bill of WeChat Pay whose totals count one row too few."""
    *rows, totals, end = content.split(b"\r\n")
    count, rest = totals[1:].split(b",", 1)
    return b"\r\n".join([*rows, b"`%d,%s" % (int(count) - 1, rest), end])


class Spoiled(msgspec.Struct, frozen=True):
    """What is done to a whole file, of the kind that channels call so."""

    zh: str
    en: str
    kind: str
    do: Callable[[bytes], bytes]


#: Faults of files, by their kind: a file that must be refused, before the sound one is delivered.
IN_FILES: Final[Mapping[str, Spoiled]] = {
    "bill_footer_wrong": Spoiled(
        "汇总行少计一笔", "its line of totals counts one row too few", "wechat-trade", _miscounted
    ),
}


class Delivery(msgspec.Struct, frozen=True):
    """What the channels deliver of a month, in order, and the faults that are planted in it. A file that is named by
    a fault must be refused; the sound one comes behind it."""

    month: Month
    files: Sequence[Written]
    planted: Sequence[Planted]


class TooFewMovements(Exception):
    """There is no movement left to plant a fault in; says in which month, and which fault."""


class Deliveries:
    """The bills of a year, month by month, with faults planted: so many of each kind over all months."""

    def __init__(self, year: Year, channels: Channels, each: int) -> None:
        self._year = year
        self._channels = channels
        self._opening: dict[str, int] = {}
        self._due: dict[Month, list[str]] = {month: [] for month in year.months}
        self._orders = {step.order_id for step in year.steps}
        # Orders with a fault already, and those whose money went in other parts than we asked for.
        self._used = {one.order_id for one in year.planted} | {step.order_id for step in year.steps if step.paid_as}
        kinds = [kind for kind in (*IN_BILLS, *IN_FILES) for _ in range(each)]
        for number, kind in enumerate(kinds):
            self._due[year.months[number % len(year.months)]].append(kind)
        for due in self._due.values():  # what fewer movements will do for comes first
            due.sort(key=_places_for)

    def of(self, month: Month) -> Delivery:
        """What is delivered of a month; to be asked for one month after the other, each once all of it is played.

        Raises `TooFewMovements` where there are not enough to plant every fault in.
        """
        every = {channel: self._listed(channel, month) for channel in CHANNELS}
        planted = list(self._in_rows(month, every))
        files = [file for channel in CHANNELS for file in self._written(channel, month, every[channel])]
        for kind in self._due[month]:
            if kind in IN_FILES:
                place = next(place for place, file in enumerate(files) if file.kind == IN_FILES[kind].kind)
                files.insert(place, _spoiled(kind, files[place]))
                planted.append(_in_file(kind, files[place]))
        return Delivery(month, files, planted)

    def _in_rows(self, month: Month, every: Mapping[str, list[Listed]]) -> Iterator[Planted]:
        """Plant what is due in a month; what finds no place there is due in the next."""
        rng = Random(f"faults {self._year.seed} {month}")
        for kind in self._due[month]:
            if kind in IN_FILES:
                continue
            if (planted := self._plant(kind, month, every, rng)) is not None:
                yield planted
            elif month.next in self._due:
                self._due[month.next].append(kind)
            else:
                raise TooFewMovements(f"{month} {kind}")

    def _listed(self, channel: str, month: Month) -> list[Listed]:
        return [listed(movement) for movement in self._channels.within(channel, month.first, month.end)]

    def _written(self, channel: str, month: Month, every: Sequence[Listed]) -> Sequence[Written]:
        bill = MonthOfBills(channel=channel, month=month, listed=every)
        if channel in self._opening:
            bill = msgspec.structs.replace(bill, opening_fen=self._opening[channel])
        self._opening[channel] = closing_fen(bill)
        return written(bill)

    def _plant(self, kind: str, month: Month, every: Mapping[str, list[Listed]], rng: Random) -> Planted | None:
        """Change one movement of the month; `None` where there is none that will do."""
        fault = IN_BILLS[kind]
        channels = CHANNELS[:1] if fault.wechat_only else CHANNELS
        candidates = [
            (channel, place)
            for channel in channels
            for place, one in enumerate(every[channel])
            if self._will_do(one.movement, month, fault)
        ]
        if not candidates:
            return None
        channel, place = rng.choice(candidates)
        movement = every[channel][place].movement
        self._used.add(movement.of)
        every[channel][place : place + 1] = fault.do(every[channel][place], self._channels)
        return Planted(
            kind=kind,
            month=str(month),
            channel=channel,
            order_id=movement.of,
            ref=fault.ref(movement),
            tells=Text(zh=fault.zh, en=fault.en),
        )

    def _will_do(self, movement: Movement, month: Month, fault: Fault) -> bool:
        """Whether a movement went back to the buyer of an order, far from the edges of days and month, and nothing is
        planted about the order yet."""
        at = movement.at
        first, end = month.first + timedelta(days=_FIRST_DAYS), month.end - timedelta(days=_LAST_DAYS)
        return (
            movement.is_refund
            and movement.of in self._orders
            and movement.of not in self._used
            and first <= at < end
            and _EDGE_HOURS <= at.hour < 24 - _EDGE_HOURS
            and (":" in movement.ref or not fault.payouts_only)
        )


def _places_for(kind: str) -> int:
    """How many movements will do for a fault, roughly."""
    fault = IN_BILLS.get(kind)
    return 2 - fault.wechat_only - fault.payouts_only if fault else 3


def _spoiled(kind: str, file: Written) -> Written:
    stem, _, suffix = file.name.rpartition(".")
    return msgspec.structs.replace(file, name=f"{stem}-{kind}.{suffix}", content=IN_FILES[kind].do(file.content))


def _in_file(kind: str, file: Written) -> Planted:
    fault = IN_FILES[kind]
    tells = Text(zh=fault.zh, en=fault.en)
    return Planted(kind=kind, month=file.month, channel=file.channel, file=file.name, tells=tells)

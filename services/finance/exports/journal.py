"""The ledger as a journal in plain text, which beancount reads: a transaction an event, amounts in yuan, and what each
account must hold at the end of each month as assertions, which beancount checks.

Accounts are called after the chart: `losses` by `courier/YTO` is `Expenses:Losses:Courier:YTO`. Each `open` says what
it stands for in plain, so that no name has to be guessed back. A late posting is dated the first day of the month that
it was booked in and says when it happened.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from services.finance.domain.periods import next_month
from services.finance.exports.tables import Asked, Lang, decimal_yuan, say
from services.finance.ledger.accounts import CHART, Kind

#: The roots that beancount knows. A clearing account is empty in the end; until then it is neither income nor expense.
_ROOTS: Final[Mapping[Kind, str]] = {
    Kind.ASSET: "Assets",
    Kind.LIABILITY: "Liabilities",
    Kind.INCOME: "Income",
    Kind.EXPENSE: "Expenses",
    Kind.CLEARING: "Equity:Clearing",
}
#: A code as the chart and the policy write theirs: `buyer_payables`.
_CODE: Final = re.compile(r"[a-z]+(?:_[a-z]+)*")
#: What a code becomes; a name that looks like it gets another one.
_OF_CODE: Final = re.compile(r"[A-Z][a-z]*(?:-[a-z]+)*")
_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_MONEY_WIDTH: Final = 16


class Place(NamedTuple):
    """An account of the chart, and what it is kept by there."""

    account: str
    party: str


class Booked(msgspec.Struct, frozen=True):
    """A posting and the month that it was booked in, which is not that of its day where it came late."""

    event_id: str
    type: str
    day: str
    month: str
    order_id: str
    case_id: str
    place: Place
    amount_fen: int
    memo: str
    item: str


def component(text: str) -> str:
    """A part of an account's name: letters, digits and dashes, first a capital or a digit. No two texts share one.

    A code gets a capital and dashes (`customer_service` → `Customer-service`). In a name, whatever is no letter or
    digit becomes its number (`圆通.A` → `X-圆通-2E-A`); `X-` goes before what cannot begin a part, or is like a code.
    """
    if _CODE.fullmatch(text):
        return text.replace("_", "-").capitalize()
    escaped = "".join(one if _is_plain(one) else f"-{ord(one):X}-" for one in text)
    fits = escaped[:1].isascii() and (escaped[:1].isupper() or escaped[:1].isdigit())
    return escaped if fits and not _OF_CODE.fullmatch(escaped) else f"X-{escaped}"


def _is_plain(character: str) -> bool:
    return character in _PLAIN or unicodedata.category(character) == "Lo"


def account_of(place: Place) -> str:
    """What an account is called in the journal."""
    names = [*place.account.split("."), *(place.party.split("/", 1) if place.party else ())]
    return ":".join([_ROOTS[CHART[place.account].kind], *map(component, names)])


class Journal:
    """Writes a journal: first what stands at its head, then the postings in order, then the assertions.

    Memory holds what accounts hold by month, and the postings of one event.
    """

    def __init__(self, file: BinaryIO, asked: Asked, lang: Lang) -> None:
        self._file = file
        self._asked = asked
        self._lang: Lang = lang
        self._names: dict[Place, str] = {}
        self._opening: Counter[str] = Counter()
        self._moved: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._first_month = ""
        self._event: list[Booked] = []

    def begin(self, first_day: str, places: Iterable[Place], opening: Mapping[Place, int]) -> None:
        """Open every account on the first day, with what it holds of what was before."""
        self._names = {place: account_of(place) for place in sorted(places)}
        head = [f"; {label}: {value}" for label, value in self._asked.echo(self._lang)]
        options = [f'option "title" {_quoted(say(self._asked.title, self._lang))}', 'option "operating_currency" "CNY"']
        self._write([*head, "", *options, ""])
        for place, name in self._names.items():
            self._write(self._opened(first_day, place, name))
        held = {place: fen for place, fen in opening.items() if fen}
        if held:
            legs = [_leg(self._names[place], fen) for place, fen in sorted(held.items())]
            self._write(["", f'{first_day} * "opening" "期初 opening"', *legs])
        self._opening = Counter({self._names[place]: fen for place, fen in held.items()})
        self._first_month = first_day[:7]

    def write(self, postings: Sequence[Booked]) -> None:
        """Add postings; those of an event come one after the other."""
        for one in postings:
            if self._event and self._event[0].event_id != one.event_id:
                self._end_event()
            self._event.append(one)

    def finish(self) -> None:
        """Add what every account held at the end of each month, the first to the last in which anything was booked."""
        self._end_event()
        held = self._opening.copy()
        month, last = self._first_month, max(self._moved, default=self._first_month)
        while month <= last:
            held.update(self._moved[month])
            self._write(["", *self._assertions(month, held)])
            month = next_month(month)

    def _opened(self, day: str, place: Place, name: str) -> list[str]:
        known = CHART[place.account]
        party = [f"  party: {_quoted(place.party)}"] if place.party else []
        names = [f"  account: {_quoted(place.account)}", f"  name: {_quoted(say(known.name, self._lang))}"]
        return [f"{day} open {name} CNY", *names, *party]

    def _end_event(self) -> None:
        if not self._event:
            return
        first = self._event[0]
        late = first.day[:7] != first.month
        day = f"{first.month}-01" if late else first.day
        self._write(
            [
                "",
                f"{day} * {_quoted(first.type)} {_quoted(first.case_id or first.memo)}",
                f"  event: {_quoted(first.event_id)}",
                *([f"  order: {_quoted(first.order_id)}"] if first.order_id else []),
                *([f"  happened: {first.day}"] if late else []),
            ]
        )
        for one in self._event:
            name = self._names[one.place]
            self._moved[first.month][name] += one.amount_fen
            case = [f"    case: {_quoted(one.case_id)}"] if one.case_id != first.case_id else []
            item = [f"    item: {_quoted(one.item)}"] if one.item else []
            self._write([_leg(name, one.amount_fen), f"    memo: {_quoted(one.memo)}", *item, *case])
        self._event = []

    def _assertions(self, month: str, held: Mapping[str, int]) -> list[str]:
        """An account must hold what it and those below it hold: so beancount adds it up. Without a tolerance of
        nothing, it would let a fen pass."""
        day = f"{next_month(month)}-01"
        names = sorted(self._names.values())
        sums = Counter({name: held.get(name, 0) for name in names})
        for name in names:
            for above in _above(name):
                if above in sums:
                    sums[above] += held.get(name, 0)
        return [f"{day} balance {name}  {decimal_yuan(sums[name])} ~ 0.00 CNY" for name in names]

    def _write(self, lines: Sequence[str]) -> None:
        self._file.write(("\n".join(lines) + "\n").encode())


def _above(name: str) -> list[str]:
    parts = name.split(":")
    return [":".join(parts[:length]) for length in range(1, len(parts))]


def _leg(name: str, fen: int) -> str:
    return f"  {name}  {_amount(fen).rjust(_MONEY_WIDTH)}"


def _amount(fen: int) -> str:
    return f"{decimal_yuan(fen)} CNY"


def _quoted(text: Any) -> str:
    """A text in quotes; a line break would end up in the middle of one."""
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{" ".join(escaped.split())}"'

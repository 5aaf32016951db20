"""Reading a bill: one pass, rows as they come, and a report with every mistake behind the last.

Nobody may use the rows of a bill before its report says that it is sound: whoever imports them does so in one
transaction, and takes it back otherwise.
"""

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from io import BufferedReader
from pathlib import Path
from typing import Final

import msgspec

from services.finance.bills.alipay import fund as alipay_fund
from services.finance.bills.alipay import trade as alipay_trade
from services.finance.bills.alipay.sheet import check_summary, summary_of
from services.finance.bills.examination import Check, Examination, Sum
from services.finance.bills.lines import GBK, UTF8, Lines, recognised
from services.finance.bills.mapped import Table
from services.finance.bills.mapping import TableMapping
from services.finance.bills.mistakes import Mistake, Mistakes, Unreadable, Wrong
from services.finance.bills.rows import BillKind, Expected, Row, RowKind
from services.finance.bills.unpacking import Part, parts_of
from services.finance.bills.wechat import fund as wechat_fund
from services.finance.bills.wechat import trade as wechat_trade
from services.kernel.long_work import Tell

#: Rows between two looks at how far it is.
PAGE: Final = 1_000

#: How each bill is read, its encoding, and the column of its balances.
_READERS: Final[dict[BillKind, tuple[Callable[[Lines, Examination], Iterator[Row]], str, str]]] = {
    BillKind.WECHAT_TRADE: (wechat_trade.rows, UTF8, ""),
    BillKind.WECHAT_FUND: (wechat_fund.rows, UTF8, "账户结余(元)"),
    BillKind.ALIPAY_TRADE: (alipay_trade.rows, GBK, ""),
    BillKind.ALIPAY_FUND: (alipay_fund.rows, GBK, "账户余额(元)"),
}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about a bill."""

    file: str
    sha256: str
    """Of the file as it was delivered: the same file twice is one bill."""
    bytes: int
    kind: BillKind | None
    """`None` where it was not recognised."""
    variant: str
    """Which of the kind's forms: `ALL`, `SUCCESS` or `REFUND`, or the title of a mapping."""
    merchant: str
    """Empty where neither the file nor the caller says it."""
    currency: str
    first: datetime | None
    last: datetime | None
    rows: int
    """Rows that are sound."""
    left_out: int
    """Rows that are not, and are in no sum."""
    sums: tuple[Sum, ...]
    """Of sound rows, by kind."""
    opening_fen: int | None
    """The balance before the earliest movement and behind the latest, in bills that carry one."""
    closing_fen: int | None
    checks: tuple[Check, ...]
    """What the bill says of itself, figure by figure."""
    mistakes: tuple[Mistake, ...]
    """The first ones."""
    mistake_count: int

    @property
    def sound(self) -> bool:
        """Whether it may be used."""
        return self.mistake_count == 0


class Bill:
    """One file, to be read once."""

    def __init__(
        self,
        file: Path,
        *,
        kind: BillKind | None = None,
        mapping: TableMapping | None = None,
        expected: Expected | None = None,
    ) -> None:
        """`kind`: what it must be, else it is recognised; `mapping`: read it by this, whatever it is.

        Raises `ValueError` for a mapped bill without its mapping.
        """
        if kind is BillKind.MAPPED and mapping is None:
            raise ValueError("a mapped bill needs its mapping")
        self.file = file
        self.kind = BillKind.MAPPED if mapping else kind
        self.bytes = 0
        self._mapping = mapping
        self._mistakes = Mistakes(file.name)
        self._seen = Examination(self._mistakes, expected or Expected())
        self._lines: Lines | None = None
        self._raw: BufferedReader | None = None
        self._report: Report | None = None

    @property
    def bytes_read(self) -> int:
        """How far the reading is."""
        return self._raw.tell() if self._raw and not self._raw.closed else self.bytes

    @property
    def report(self) -> Report:
        """What was found out; only behind the last row."""
        if self._report is None:
            raise RuntimeError("the rows were not read to their end")
        return self._report

    def rows(self) -> Iterator[Row]:
        """The sound rows; blocks. Raises `OSError`."""
        with self.file.open("rb") as raw:
            sha256 = hashlib.file_digest(raw, "sha256").hexdigest()
            self.bytes = raw.tell()
            raw.seek(0)
            self._raw = raw
            try:
                yield from self._rows(raw)
            except Wrong as wrong:
                line, part = (self._lines.number, self._lines.part.name) if self._lines else (0, "")
                self._mistakes.add(wrong, line, part)
            self._report = self._found(sha256)

    def _rows(self, raw: BufferedReader) -> Iterator[Row]:
        summaries: list[tuple[Lines, dict[str, str]]] = []
        details = 0
        for part in parts_of(raw, self.bytes):
            lines, is_summary = self._opened(part)
            if is_summary:
                summaries.append((lines, summary_of(lines)))
            else:
                details += 1
                yield from self._read(lines)
        if not details:
            self._lines = None
            raise Unreadable("archive_content")
        self._seen.balances.finish(self._mistakes, self._balance_column())
        for lines, said in summaries:
            check_summary(lines, said, self._seen)

    def _opened(self, part: Part) -> tuple[Lines, bool]:
        """The lines of a part in its encoding, and whether it only sums up the others."""
        self._lines = None
        self._lines = lines = Lines(part, self._mistakes, self._mapping.encoding if self._mapping else UTF8)
        if not lines.beginning:
            raise Unreadable("empty")
        if self._mapping:
            return lines, False
        try:
            kind, lines.encoding = recognised(lines.beginning)
        except Unreadable as wrong:
            if wrong.rule != "unknown_bill" or not self.kind:
                raise
            kind, lines.encoding = self.kind, _READERS[self.kind][1]
        if kind is None:
            return lines, True
        if self.kind and kind is not self.kind:
            raise Unreadable("other_kind", found=kind, wanted=self.kind)
        self.kind = kind
        return lines, False

    def _read(self, lines: Lines) -> Iterator[Row]:
        if self._mapping:
            return Table(self._mapping).rows(lines, self._seen)
        assert self.kind is not None
        return _READERS[self.kind][0](lines, self._seen)

    def _balance_column(self) -> str:
        if self._mapping:
            return self._mapping.columns.get("balance", "")
        return _READERS[self.kind][2] if self.kind else ""

    def _found(self, sha256: str) -> Report:
        seen = self._seen
        return Report(
            file=str(self.file),
            sha256=sha256,
            bytes=self.bytes,
            kind=self.kind,
            variant=seen.variant,
            merchant=seen.merchant,
            currency=seen.currency,
            first=seen.first,
            last=seen.last,
            rows=seen.rows,
            left_out=seen.left_out,
            sums=tuple(seen.sums[kind] for kind in RowKind if kind in seen.sums),
            opening_fen=seen.balances.opening,
            closing_fen=seen.balances.closing,
            checks=tuple(seen.checks),
            mistakes=tuple(self._mistakes.first),
            mistake_count=self._mistakes.count,
        )


async def read_through(bill: Bill, tell: Tell, take: Callable[[Row], None]) -> Report:
    """Read a bill to its end: `take` is given each sound row, `tell` how many bytes are read. Raises `OSError`."""
    for count, row in enumerate(bill.rows(), 1):
        take(row)
        if count % PAGE == 0:
            await tell(bill.bytes_read, bill.bytes)
    return bill.report

"""What reading a bill finds out beside the bill's own report: its sums, rows that are known, and what contradicts them.

Mistakes are told as refusals name them: a field, the rule, and the place and what is wrong in zh and en.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from contracts.events.finance import BillImported
from services.finance.bill_rows import COLUMNS, COMPARED, values
from services.finance.bills.mistakes import Mistake
from services.finance.bills.reading import Report
from services.finance.bills.rows import Row
from services.finance.domain.bills import ImportBill
from services.kernel.intake import field_errors
from services.kernel.refusal import Refusal
from services.kernel.shop_time import shop_day

#: Mistakes that are told; the rest are counted.
MOST_TOLD: Final = 100
#: The longest number of an order, a refund or a row; channels have 64 characters.
MAX_REFERENCE: Final = 200

Error = dict[str, str]


class Findings:
    """What one reading of a bill finds out. `known`: the bills that count, by their hash."""

    def __init__(self, known: Mapping[str, BillImported]) -> None:
        self.channel = ""
        self.known_rows = self.in_fen = self.out_fen = self.fee_fen = 0
        self._known = known
        self._unfit: list[Error] = []
        self._contradictions: list[Error] = []
        self._unfit_count = self._contradiction_count = 0

    def take(self, page: Sequence[Row], stored: Mapping[str, Mapping[str, Any]]) -> None:
        """The next rows, and what is stored under their keys."""
        for row in page:
            self.channel = row.channel
            self.in_fen += max(row.amount_fen, 0)
            self.out_fen += max(-row.amount_fen, 0)
            self.fee_fen += row.fee_fen
            if any(len(one) > MAX_REFERENCE or "\0" in one for one in _references(row)):
                self._note_unfit(row)
            if other := listed(stored.get(row.key), self._known):
                self.known_rows += 1
                self._compare(row, other)

    def must_be_sound(self, report: Report, file_name: str) -> None:
        """Raises `Refusal` with every mistake in the file itself."""
        if count := report.mistake_count + self._unfit_count:
            errors = [*(error_of(one, one.file.partition("/")[2]) for one in report.mistakes), *self._unfit]
            raise Refusal("bill_unsound", errors=errors[:MOST_TOLD], count=count, file_name=file_name)
        if not report.rows:
            raise Refusal("bill_empty", file_name=file_name)

    def must_not_contradict(self, file_name: str) -> None:
        """Raises `Refusal` with the rows that an earlier bill listed with another content."""
        if count := self._contradiction_count:
            raise Refusal("bill_contradicts", errors=self._contradictions, count=count, file_name=file_name)

    def told(self, report: Report, bill: str, file_name: str, mapping: str) -> BillImported:
        """What the books are told of a sound bill; raises `Refusal` where they cannot hold it."""
        assert report.kind is not None
        assert report.first is not None
        assert report.last is not None
        told = BillImported(
            bill=bill,
            file_name=file_name,
            kind=str(report.kind),
            channel=self.channel,
            merchant=report.merchant,
            currency=report.currency,
            first_day=shop_day(report.first),
            last_day=shop_day(report.last),
            rows=report.rows,
            known_rows=self.known_rows,
            in_fen=self.in_fen,
            out_fen=self.out_fen,
            fee_fen=self.fee_fen,
            mapping=mapping,
        )
        if errors := field_errors(ImportBill, msgspec.structs.asdict(told)):
            raise Refusal("bill_unsound", errors=errors, count=len(errors), file_name=file_name)
        return told

    def _note_unfit(self, row: Row) -> None:
        self._unfit_count += 1
        if len(self._unfit) < MOST_TOLD:
            zh = f"单号超过 {MAX_REFERENCE} 字符或含空字符。重新下载账单。"
            en = f"a number has more than {MAX_REFERENCE} characters, or a NUL; download the bill afresh."
            self._unfit.append(_error("", "reference", _place(row.part, row.line), zh, en))

    def _compare(self, row: Row, other: Mapping[str, Any]) -> None:
        own = dict(zip(COLUMNS, values("", row), strict=True))
        differs = [column for column in COMPARED if own[column] != other[column]]
        if not differs:
            return
        self._contradiction_count += 1
        if len(self._contradictions) < MOST_TOLD:
            before, at = self._known[other["bill"]].file_name, other["line"]
            facts = ", ".join(f"{column} {other[column]} → {own[column]}" for column in differs)
            zh = f"与账单 {before} 第 {at} 行是同一笔,内容却不同({facts})。询问渠道以哪份为准。"
            en = f"it is line {at} of {before}, and says something else ({facts}); ask the channel which is right."
            self._contradictions.append(_error(row.key, "contradicts", _place(row.part, row.line), zh, en))


def listed(stored: Mapping[str, Any] | None, known: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """A row that is stored, where a bill that counts listed it; what an import that was cut off left is none."""
    return stored if stored is not None and stored["bill"] in known else None


def error_of(mistake: Mistake, part: str = "") -> Error:
    """A mistake, in a file of an archive where `part` names one."""
    place = _place(part, mistake.line, mistake.field)
    return _error(mistake.field, mistake.rule, place, mistake.zh, mistake.en)


def _error(field: str, rule: str, place: tuple[str, str], zh: str, en: str) -> Error:
    return {"field": field, "rule": rule, "zh": ":".join(filter(None, (place[0], zh))), "en": f"{place[1]}: {en}"}


def _place(part: str, line: int, field: str = "") -> tuple[str, str]:
    """Where it is, in zh and en: the line has number 0 where it is about the whole file."""
    zh = " ".join(filter(None, (part, f"第 {line} 行" if line else "", field)))
    en = " ".join(filter(None, (part, f"line {line}" if line else "", field)))
    return zh or "整个文件", en or "the file"


def _references(row: Row) -> tuple[str, ...]:
    return (row.key, row.order_ref, row.refund_ref, row.channel_order_ref, row.channel_ref)

"""Any table as CSV, read through a saved column mapping."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from services.finance.bills.amounts import fen_of, whole_fen_of
from services.finance.bills.columns import Columns, name_of, row_of
from services.finance.bills.examination import Examination
from services.finance.bills.keys import key_of, key_of_all, must_be_a_number, number_of
from services.finance.bills.lines import Lines, records
from services.finance.bills.mapping import TableMapping
from services.finance.bills.mistakes import Unreadable, Wrong
from services.finance.bills.rows import BillKind, Row, RowKind, Status
from services.finance.bills.times import moment_by


class Table:
    """Reads one table by its mapping."""

    def __init__(self, mapping: TableMapping) -> None:
        self._mapping = mapping
        self._columns = {field: name_of(column) for field, column in mapping.columns.items()}
        self._fen: Final[Callable[[str, str], int]] = whole_fen_of if mapping.in_fen else fen_of

    def rows(self, lines: Lines, seen: Examination) -> Iterator[Row]:
        """The rows; the row of totals, where the mapping names one, is checked behind the last."""
        for _ in range(self._mapping.skip_lines):
            next(lines, None)
        seen.variant = self._mapping.title or self._mapping.channel
        total, names = 0, list[str]()
        for begins, fields in records(lines, self._mapping.delimiter):
            if not any(field.strip() for field in fields):
                continue
            if not names:
                names = self._names(fields, lines)
            elif self._mapping.total_row and fields[0].strip() == self._mapping.total_row:
                self._check(dict(zip(names, map(str.strip, fields), strict=False)), total, lines, seen)
                return
            else:
                try:
                    row = seen.take(self._row(row_of(names, fields), begins, lines, seen))
                except Wrong as wrong:
                    seen.leave_out(lines, wrong, begins)
                    continue
                total += row.amount_fen
                yield row
        if not names:
            raise Unreadable("cut", missing_zh="表头", missing_en="its header")
        if self._mapping.total_row:
            wanted = self._mapping.total_row
            raise Unreadable("cut", missing_zh=f"“{wanted}”行", missing_en=f"its row {wanted}")

    def _names(self, header: list[str], lines: Lines) -> list[str]:
        """The columns of a table: what the mapping does not name is kept as it is."""
        return Columns(needed=list(self._columns.values()), optional=[name_of(cell) for cell in header], earlier={}).of(
            header, lines
        )

    def _row(self, raw: dict[str, str], line: int, lines: Lines, seen: Examination) -> Row:
        number = self._number(raw, "channel_ref")
        kind = self._kind(raw)
        amount = self._amount(raw, "amount")
        fee = self._fen(raw[self._columns["fee"]] or "0", self._columns["fee"]) if "fee" in self._columns else 0
        if fee < 0 and kind is not RowKind.REFUND:
            raise Wrong("fee_sign", self._columns["fee"], found=raw[self._columns["fee"]])
        time = self._columns["occurred_at"]
        channel = self._mapping.channel
        return Row(
            key=key_of(BillKind.MAPPED, channel, number) if number else key_of_all(f"{BillKind.MAPPED}:{channel}", raw),
            part=lines.part.name,
            line=line,
            channel=channel,
            merchant=seen.whose(self._said(raw, "merchant", self._mapping.merchant), self._columns.get("merchant", "")),
            kind=kind,
            order_ref=self._number(raw, "order_ref"),
            refund_ref=self._number(raw, "refund_ref"),
            channel_order_ref=self._number(raw, "channel_order_ref"),
            channel_ref=number,
            amount_fen=amount,
            gross_fen=amount,
            fee_fen=fee,
            currency=seen.in_currency(
                self._said(raw, "currency", self._mapping.currency), self._columns.get("currency", "")
            ),
            channel_status=self._said(raw, "status", ""),
            status=self._status(raw),
            occurred_at=moment_by(raw[time], time, self._mapping.time_format, self._mapping.zone),
            balance_fen=self._fen(raw[self._columns["balance"]], self._columns["balance"])
            if "balance" in self._columns
            else None,
            raw=raw,
        )

    def _amount(self, raw: Mapping[str, str], field: str) -> int:
        column = self._columns[field]
        amount = self._fen(raw.get(column, ""), column)
        return -amount if self._mapping.is_reversed else amount

    def _number(self, raw: Mapping[str, str], field: str) -> str:
        """A reference; the number of the row itself must be there where the mapping names its column."""
        if field not in self._columns:
            return ""
        return (must_be_a_number if field == "channel_ref" else number_of)(raw, self._columns[field])

    def _said(self, raw: Mapping[str, str], field: str, otherwise: str) -> str:
        return raw[self._columns[field]] if field in self._columns else otherwise

    def _kind(self, raw: Mapping[str, str]) -> RowKind:
        if "kind" not in self._columns:
            return self._mapping.kind
        word = raw[self._columns["kind"]]
        if word not in self._mapping.kinds:
            raise Wrong("unknown_kind", self._columns["kind"], found=word)
        return self._mapping.kinds[word]

    def _status(self, raw: Mapping[str, str]) -> Status:
        if "status" not in self._columns:
            return Status.SUCCEEDED
        word = raw[self._columns["status"]]
        if word not in self._mapping.statuses:
            raise Wrong("unknown_status", self._columns["status"], found=word)
        return self._mapping.statuses[word]

    def _check(self, said: dict[str, str], total: int, lines: Lines, seen: Examination) -> None:
        column = self._columns["amount"]
        try:
            seen.check(lines, f"{self._mapping.total_row} {column}", self._amount(said, "amount"), total)
        except Wrong as wrong:
            lines.wrong(wrong)
        if any(line.strip() for line in lines):
            lines.wrong(Wrong("after_footer"))

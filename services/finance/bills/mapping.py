"""A saved column mapping: which column of a table is what, so that a carrier's claim statement or any CSV can be read.

A YAML or JSON file, for example::

    channel: courier/YTO
    title: 圆通理赔对账单
    encoding: GBK
    columns: {occurred_at: 理赔时间, amount: 赔付金额, channel_ref: 理赔单号, order_ref: 商家单号, status: 状态}
    statuses: {已赔付: succeeded, 处理中: accepted, 已拒赔: failed}
    kind: transfer
    time_format: "%Y/%m/%d %H:%M"
    total_row: 合计
"""

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import yaml

from contracts.policy.unreadable import unreadable
from services.finance.bills.lines import GBK, UTF8
from services.finance.bills.mistakes import Mistake, Mistakes, Wrong
from services.finance.bills.rows import RowKind, Status
from services.finance.bills.times import USUAL, is_form
from services.kernel.shop_time import SHOP_TIME

#: What a column can be.
FIELDS: Final = (
    *("occurred_at", "amount", "order_ref", "refund_ref", "channel_order_ref", "channel_ref", "fee", "balance"),
    *("merchant", "currency", "kind", "status"),
)
NEEDED: Final = ("occurred_at", "amount")
#: One of them at least says which order, refund or claim a row is about.
REFERENCES: Final = ("order_ref", "refund_ref", "channel_order_ref", "channel_ref")
#: The encodings that lines can be read in one by one.
ENCODINGS: Final = (UTF8, GBK, "GB18030")
_YUAN, _FEN = "yuan", "fen"
_AS_WRITTEN, _REVERSED = "as_written", "reversed"
_SHOP_ZONE_NAME: Final = "Asia/Shanghai"

_ENTRIES: Final = (
    *("channel", "title", "encoding", "delimiter", "skip_lines", "columns", "merchant", "currency", "kind", "kinds"),
    *("statuses", "time_format", "time_zone", "unit", "sign", "total_row"),
)


class TableMapping(msgspec.Struct, frozen=True, kw_only=True):
    """Which column of a table is what."""

    channel: str
    title: str = ""
    encoding: str = UTF8
    delimiter: str = ","
    skip_lines: int = 0
    """Lines above the header."""
    columns: dict[str, str]
    """A name of `FIELDS` → the name of its column."""
    merchant: str = ""
    currency: str = "CNY"
    kind: RowKind = RowKind.OTHER
    """What every row is, unless a column says it."""
    kinds: dict[str, RowKind] = {}
    """What the words of the column `kind` mean."""
    statuses: dict[str, Status] = {}
    """What the words of the column `status` mean."""
    time_format: str = USUAL
    zone: tzinfo = SHOP_TIME
    """For times that do not say their own offset (`%z`)."""
    in_fen: bool = False
    is_reversed: bool = False
    """Amounts are written positive where they go out."""
    total_row: str = ""
    """What the first cell of the last row says, where that row adds up the amounts."""


class MappingInvalid(Exception):
    """A mapping file that cannot be used; `mistakes` has all of them."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("; ".join(str(mistake) for mistake in mistakes))
        self.mistakes = mistakes


def load_mapping(file: Path) -> TableMapping:
    """The mapping in a file. Raises `MappingInvalid` with every mistake, and `OSError`."""
    reading = _Reading(file)
    mapping = reading.mapping()
    if reading.mistakes.count:
        raise MappingInvalid(reading.mistakes.first)
    return mapping


class _Text(str):
    """A value of the file, with its line."""

    line: int

    def __new__(cls, text: str, line: int) -> "_Text":
        made = super().__new__(cls, text)
        made.line = line
        return made


_Value: TypeAlias = "_Text | dict[_Text, _Value]"


class _Reading:
    """Reads each entry of a mapping and goes on behind a mistake."""

    def __init__(self, file: Path) -> None:
        self.mistakes = Mistakes(str(file))
        self._entries = self._parsed(file.read_bytes())

    def mapping(self) -> TableMapping:
        """What the file says; worth nothing where there are mistakes."""
        for entry in self._entries:
            if entry not in _ENTRIES:
                self._wrong(entry, "mapping_unknown", entry.line, wanted=", ".join(_ENTRIES))
        unit = self._one_of("unit", (_YUAN, _FEN), _YUAN)
        sign = self._one_of("sign", (_AS_WRITTEN, _REVERSED), _AS_WRITTEN)
        return TableMapping(
            channel=self._text("channel", needed=True),
            title=self._text("title"),
            encoding=self._one_of("encoding", ENCODINGS, UTF8),
            delimiter=self._one_of("delimiter", (",", ";", "\t", "|"), ","),
            skip_lines=self._lines(),
            columns=self._columns(),
            merchant=self._text("merchant"),
            currency=self._text("currency") or "CNY",
            kind=RowKind(self._one_of("kind", tuple(RowKind), RowKind.OTHER)),
            kinds={word: RowKind(kind) for word, kind in self._meanings("kinds", tuple(RowKind))},
            statuses={word: Status(status) for word, status in self._meanings("statuses", tuple(Status))},
            time_format=self._time_format(),
            zone=self._zone(),
            in_fen=unit == _FEN,
            is_reversed=sign == _REVERSED,
            total_row=self._text("total_row"),
        )

    def _columns(self) -> dict[str, str]:
        columns = dict(self._table("columns"))
        if not self._entries.get(_key("columns")):
            self._wrong("columns", "mapping_missing", self._line("columns"))
            return {}
        for field in columns:
            if field not in FIELDS:
                self._wrong(f"columns.{field}", "mapping_unknown", field.line, wanted=", ".join(FIELDS))
        for needed in NEEDED:
            if needed not in columns:
                self._wrong(f"columns.{needed}", "mapping_missing", self._line("columns"))
        if not any(reference in columns for reference in REFERENCES):
            self._wrong(f"columns.{'|'.join(REFERENCES)}", "mapping_missing", self._line("columns"))
        for column, words in (("kind", "kinds"), ("status", "statuses")):
            if column in columns and words not in self._entries:
                self._wrong(words, "mapping_missing", self._line("columns"))
        return {str(field): str(column) for field, column in columns.items()}

    def _time_format(self) -> str:
        form = self._text("time_format") or USUAL
        if not is_form(form):
            self._wrong("time_format", "mapping_value", self._line("time_format"), wanted=USUAL, found=form)
        return form

    def _zone(self) -> tzinfo:
        name = self._text("time_zone") or _SHOP_ZONE_NAME
        if name == _SHOP_ZONE_NAME:
            return SHOP_TIME
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._wrong("time_zone", "mapping_value", self._line("time_zone"), wanted=_SHOP_ZONE_NAME, found=name)
            return SHOP_TIME

    def _lines(self) -> int:
        text = self._text("skip_lines") or "0"
        if not (text.isascii() and text.isdigit() and len(text) <= 3):
            self._wrong("skip_lines", "mapping_value", self._line("skip_lines"), wanted="0–999", found=text)
            return 0
        return int(text)

    def _text(self, entry: str, *, needed: bool = False) -> str:
        value = self._entries.get(_key(entry))
        if isinstance(value, dict):
            self._wrong(entry, "mapping_value", self._line(entry), wanted="text", found="{…}")
            return ""
        if needed and not value:
            self._wrong(entry, "mapping_missing", self._line(entry))
        return str(value or "")

    def _one_of(self, entry: str, options: Sequence[str], usual: str) -> str:
        text = self._text(entry) or usual
        if text not in options:
            self._not_among(entry, options, text, self._line(entry))
            return usual
        return text

    def _table(self, entry: str) -> Iterator[tuple[_Text, _Text]]:
        value = self._entries.get(_key(entry))
        if isinstance(value, dict):
            for name, text in value.items():
                if isinstance(text, dict) or not text:
                    self._wrong(
                        f"{entry}.{name}", "mapping_value", name.line, wanted="text", found="{…}" if text else ""
                    )
                else:
                    yield name, text
        elif value is not None:
            self._wrong(entry, "mapping_value", value.line, wanted="{…: …}", found=value)

    def _meanings(self, entry: str, options: Sequence[str]) -> Iterator[tuple[str, str]]:
        for word, meaning in self._table(entry):
            if meaning in options:
                yield str(word), str(meaning)
            else:
                self._not_among(f"{entry}.{word}", options, meaning, word.line)

    def _not_among(self, entry: str, options: Sequence[str], found: str, line: int) -> None:
        self._wrong(
            entry, "mapping_value", line, wanted=" | ".join(map(repr, map(str, options))), found=repr(str(found))
        )

    def _line(self, entry: str) -> int:
        return next((known.line for known in self._entries if known == entry), 0)

    def _wrong(self, entry: str, rule: str, line: int, **facts: str) -> None:
        self.mistakes.add(Wrong(rule, str(entry), **facts), line)

    def _parsed(self, text: bytes) -> dict[_Text, _Value]:
        try:
            node = yaml.compose(text, Loader=yaml.CSafeLoader)
        except UnicodeError as error:
            raise self._no_mapping(Wrong("mapping_unreadable", why_zh=error, why_en=error), 0) from None
        except yaml.YAMLError as error:
            line, why = unreadable(error)
            raise self._no_mapping(Wrong("mapping_unreadable", why_zh=why.zh, why_en=why.en), line) from None
        value = self._value(node, "") if node is not None else {}
        if isinstance(value, dict):
            return value
        raise self._no_mapping(Wrong("mapping_value", wanted="{…: …}", found=value), value.line)

    def _no_mapping(self, wrong: Wrong, line: int) -> MappingInvalid:
        self.mistakes.add(wrong, line)
        return MappingInvalid(self.mistakes.first)

    def _value(self, node: yaml.Node, path: str) -> _Value:
        line = node.start_mark.line + 1
        if isinstance(node, yaml.ScalarNode):
            return _Text("" if node.tag == "tag:yaml.org,2002:null" else str(node.value), line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        self._wrong(path.rstrip("."), "mapping_value", line, wanted="text", found="[…]")
        return _Text("…", line)

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[_Text, _Value]:
        values: dict[_Text, _Value] = {}
        for key, below in node.value:
            name = _Text(str(key.value), key.start_mark.line + 1)
            if name in values:
                self._wrong(f"{path}{name}", "mapping_twice", name.line)
            values[name] = self._value(below, f"{path}{name}.")
        return values


def _key(entry: str) -> _Text:
    return _Text(entry, 0)

"""The lines of a file as text, numbered, and which bill they are by how they begin."""

import codecs
import csv
from collections.abc import Iterator
from typing import Final

from services.finance.bills.mistakes import Mistakes, Unreadable, Wrong
from services.finance.bills.rows import BillKind
from services.finance.bills.unpacking import Part

UTF8: Final = "UTF-8"
GBK: Final = "GBK"
#: What the encodings are called, and how they are read. GB 18030 reads every GBK text, and the letters that GBK lacks.
CODECS: Final = {UTF8: "utf-8", GBK: "gb18030", "GB18030": "gb18030", "UTF-16": "utf-16"}


class Lines:
    """The lines of one file. Bytes that are no text are a mistake each line; they are read as `�` then."""

    def __init__(self, part: Part, mistakes: Mistakes, encoding: str) -> None:
        self.part = part
        self.number = 0
        """Of the line that was read last."""
        self.encoding = encoding
        self._mistakes = mistakes
        self.beginning = part.line().removeprefix(codecs.BOM_UTF8)
        """The first line, without a byte order mark."""
        self._first: bytes | None = self.beginning

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.part.line() if self._first is None else self._first
        self._first = None
        if not line:
            raise StopIteration
        self.number += 1
        codec = CODECS[self.encoding]
        try:
            return line.decode(codec)
        except UnicodeDecodeError:
            self.wrong(Wrong("wrong_encoding", wanted=self.encoding, found="?"))
            return line.decode(codec, "replace")

    def wrong(self, wrong: Wrong, line: int | None = None) -> None:
        """A mistake in a line: the one that was read last, unless said."""
        self._mistakes.add(wrong, self.number if line is None else line, self.part.name)


def records(lines: Lines, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV with the line that each begins in: a quoted field may hold delimiters and line breaks."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        begins = lines.number + 1
        try:
            yield begins, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.wrong(Wrong("quoting", found=error), begins)


#: What stands in the first line of a bill; of an archive's second file, the summary, it is `None`.
_SIGNS: Final[tuple[tuple[str, BillKind | None, str], ...]] = (
    ("支付宝业务明细", BillKind.ALIPAY_TRADE, GBK),
    ("支付宝账务明细", BillKind.ALIPAY_FUND, GBK),
    ("支付宝业务汇总", None, GBK),
    ("支付宝账务汇总", None, GBK),
    ("资金流水单号", BillKind.WECHAT_FUND, UTF8),
    ("账户结余", BillKind.WECHAT_FUND, UTF8),
    ("微信订单号", BillKind.WECHAT_TRADE, UTF8),
    ("公众账号ID", BillKind.WECHAT_TRADE, UTF8),
)


def recognised(beginning: bytes) -> tuple[BillKind | None, str]:
    """Which bill begins like this, and the encoding that it should have. Nothing is a summary.

    Raises `Unreadable` where it is no bill that is known here, or one in another encoding than the channel's.
    """
    for encoding in (UTF8, GBK, "UTF-16"):
        try:
            text = beginning.decode(CODECS[encoding], "ignore")
        except UnicodeError:
            continue
        for sign, kind, wanted in _SIGNS:
            if sign in text:
                if encoding != wanted:
                    raise Unreadable("wrong_encoding", wanted=wanted, found=encoding)
                return kind, wanted
    raise Unreadable("unknown_bill", found=beginning[:40].decode("utf-8", "replace"))

"""Whatever is wrong with a bill is found, named with line and field, and nothing of it passes as sound."""

import gzip
import io
import re
import tracemalloc
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.finance.bills import mistakes
from services.finance.bills.mistakes import MOST, RULES
from services.finance.bills.reading import Bill
from services.finance.bills.rows import BillKind, RowKind, Status
from services.sample import writing
from tests.finance.bills import shop

PAYMENTS: Final = [shop.wechat_payment(1, 129900, 779), shop.wechat_payment(2, 5000, 30)]
TRADES: Final = [*PAYMENTS, shop.wechat_refund(1, 127900, 767)]
TRADE: Final = writing.wechat_trade(TRADES)
MOVEMENTS: Final = [
    shop.wechat_movement(1, 129900, 229900),
    shop.wechat_movement(2, -779, 229121, "扣除交易手续费"),
    shop.wechat_movement(3, -127900, 101221, "退款"),
]
FUND: Final = writing.wechat_fund(MOVEMENTS)
ALIPAY_TRADES: Final = [shop.alipay_trade(1, 129900, 779), shop.alipay_trade(1, -127900, -767)]
ALIPAY_TRADE: Final = writing.alipay_trade(ALIPAY_TRADES)
ALIPAY_MOVEMENTS: Final = [
    shop.alipay_movement(1, 129900, 229900),
    shop.alipay_movement(2, -779, 229121, "收费"),
    shop.alipay_movement(3, -127900, 101221, "交易退款"),
]
ALIPAY_FUND: Final = writing.alipay_fund(ALIPAY_MOVEMENTS)


def gbk(text: str) -> bytes:
    """As Alipay encodes it."""
    return text.encode("gb18030")


BILLS: Final = {
    "wechat-trade": TRADE.encode(),
    "wechat-fund": FUND.encode(),
    "alipay-trade": gbk(ALIPAY_TRADE),
    "alipay-fund": gbk(ALIPAY_FUND),
}


def test_the_bills_that_are_damaged_here_are_sound_before(tmp_path: Path) -> None:
    """Each damage below is the only thing wrong."""
    for kind, content in BILLS.items():
        _, report = shop.read(tmp_path, content)
        assert (report.kind, report.mistakes) == (kind, ())


# ---- the file


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (TRADE.encode("gb18030"), "GBK"),
        (TRADE.encode("utf-16"), "UTF-16"),
        (ALIPAY_TRADE.encode(), "UTF-8"),
        (ALIPAY_FUND.encode("utf-8-sig"), "UTF-8"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, content: bytes, found: str) -> None:
    """A bill that was saved anew by some program is refused with its encoding instead of read as gibberish."""
    rows, report = shop.read(tmp_path, content)
    assert rows == []
    assert shop.rules(report) == ["wrong_encoding"]
    assert found in report.mistakes[0].en


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path: Path) -> None:
    """One broken byte among many lines is found where it is."""
    content = TRADE.encode().replace("智能锁".encode(), b"\xff\xfe", 2).replace(b"\xff\xfe", "智能锁".encode(), 1)
    _, report = shop.read(tmp_path, content)
    assert shop.mistake_of(report, "wrong_encoding") == (3, "")


@pytest.mark.parametrize("name", ["wechat-trade", "wechat-fund", "alipay-trade", "alipay-fund"])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_bill_that_is_cut_anywhere_is_never_sound(name: str, data: st.DataObject) -> None:
    """A download that broke off is refused, wherever it broke off before its last total."""
    whole = BILLS[name]
    last = whole.rfind("元".encode("gb18030")) if name.startswith("alipay") else whole.rstrip().rfind(b"\n")
    cut = whole[: data.draw(st.integers(0, last))]
    with TemporaryDirectory() as folder:
        _, report = shop.read(Path(folder), cut, kind=BillKind(name))
    assert not report.sound


def test_what_is_missing_of_a_bill_is_named(tmp_path: Path) -> None:
    """Somebody reads that the totals are missing, or whose bill it is, not only that sums differ."""
    for content in (
        TRADE.encode().split("总交易".encode())[0],
        FUND.encode().split("资金流水总".encode())[0],
        gbk(ALIPAY_TRADE.split("#-----------------------------------------业务明细列表结束")[0]),
        gbk(ALIPAY_FUND.split("#支出合计")[0]),
        gbk("\r\n".join(line for line in ALIPAY_FUND.split("\r\n") if not line.startswith("#账号"))),
    ):
        _, report = shop.read(tmp_path, content)
        assert shop.rules(report) == ["cut"]


@pytest.mark.parametrize("keep", [0.2, 0.6, 0.95])
def test_a_broken_archive_is_named(tmp_path: Path, keep: float) -> None:
    """A gzip or zip that broke off is a broken archive, and none of its rows pass as a bill."""
    for whole in (writing.packed(TRADE), shop.alipay_zip(ALIPAY_TRADES)):
        _, report = shop.read(tmp_path, whole[: int(len(whole) * keep)])
        assert shop.rules(report) == ["archive_broken"]


def test_a_zip_whose_bytes_were_changed_is_named(tmp_path: Path) -> None:
    """What does not match its checksum is not read."""
    whole = bytearray(shop.alipay_zip(ALIPAY_TRADES))
    whole[200] ^= 0xFF
    _, report = shop.read(tmp_path, bytes(whole))
    assert "archive_broken" in shop.rules(report)


def test_a_zip_with_a_password_is_named(tmp_path: Path) -> None:
    """Nobody guesses why nothing was read."""
    whole = bytearray(shop.alipay_zip(ALIPAY_TRADES))
    for sign, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for found in re.finditer(re.escape(sign), bytes(whole)):
            whole[found.start() + flags] |= 1
    _, report = shop.read(tmp_path, bytes(whole))
    assert shop.rules(report) == ["archive_locked"]
    assert "业务明细.csv" in report.mistakes[0].en


def test_an_archive_without_details_is_named(tmp_path: Path) -> None:
    """The summary alone is no bill."""
    content = writing.zipped(汇总=writing.alipay_summary(ALIPAY_TRADES, "业务"))
    _, report = shop.read(tmp_path, content)
    assert shop.rules(report) == ["archive_content"]


def _zip_of(names_and_sizes: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names_and_sizes.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (gzip.compress(TRADE.encode() + (b" " * 999 + b"\n") * 5_000), "too_large"),
        (gzip.compress(TRADE.encode().split(b"\n")[0] + b"0" * 5_000_000), "line_too_long"),
        (_zip_of({"a.csv": gbk(ALIPAY_TRADE) + (b" " * 999 + b"\n") * 5_000}), "too_large"),
        (_zip_of({f"{number}.csv": b"#" for number in range(17)}), "too_large"),
    ],
)
def test_archives_that_unpack_to_far_too_much_are_given_up(tmp_path: Path, content: bytes, rule: str) -> None:
    """A small file that unpacks to gigabytes takes neither the memory nor the hours."""
    assert len(content) < 50_000
    _, report = shop.read(tmp_path, content)
    assert rule in shop.rules(report)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("", "empty"),
        ("\ufeff", "empty"),
        ("<xml><return_code>FAIL</return_code></xml>", "unknown_bill"),
        (b"PK\x03\x04", "archive_broken"),
    ],
)
def test_what_is_no_bill_is_said_so(tmp_path: Path, content: str | bytes, rule: str) -> None:
    """An error page saved as a bill, or nothing at all, is told from a damaged bill."""
    _, report = shop.read(tmp_path, content)
    assert shop.rules(report) == [rule]
    assert report.kind is None


def test_another_bill_than_asked_for_is_named(tmp_path: Path) -> None:
    """A fund bill is not taken for a trade bill because somebody said so."""
    _, report = shop.read(tmp_path, FUND, kind=BillKind.WECHAT_TRADE)
    assert shop.rules(report) == ["other_kind"]


@given(name=st.sampled_from(["gzip", "zip", *BILLS]), data=st.data())
@settings(max_examples=100, deadline=None)
def test_no_damage_is_more_than_a_report(name: str, data: st.DataObject) -> None:
    """Whatever bytes come, reading ends with a report and never with an error of some library."""
    whole = {"gzip": writing.packed(TRADE), "zip": shop.alipay_zip(ALIPAY_TRADES), **BILLS}[name]
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole)) | st.integers(max(0, len(whole) - 300), len(whole)))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    with TemporaryDirectory() as folder:
        rows, report = shop.read(Path(folder), bytes(content))
    assert report.rows == len(rows)
    assert report.mistake_count >= len(report.mistakes)


# ---- the header


@given(names=st.permutations(writing.TRADE_ALL))
@settings(max_examples=20, deadline=None)
def test_columns_may_come_in_any_order(names: list[str]) -> None:
    """The header says which column is what, not their order."""
    with TemporaryDirectory() as folder:
        rows, report = shop.read(Path(folder), writing.wechat_trade(TRADES, columns=names), kind=BillKind.WECHAT_TRADE)
    assert report.mistakes == ()
    assert shop.plain(rows) == shop.plain(TRADES)


@pytest.mark.parametrize(
    "name", ["交易时间", "商户号", "微信订单号", "商户订单号", "应结订单金额", "手续费", "退款金额"]
)
def test_a_missing_column_is_named(tmp_path: Path, name: str) -> None:
    """A bill without a column that is needed is refused by the column's name."""
    columns = [column for column in writing.TRADE_ALL if column != name]
    rows, report = shop.read(tmp_path, writing.wechat_trade(TRADES, columns=columns))
    assert rows == []
    assert shop.mistake_of(report, "column_missing") == (1, name)


def test_every_mistake_in_a_header_is_named(tmp_path: Path) -> None:
    """A column that the channel added, one that is missing and one that is there twice are told at once."""
    columns = ["新列", *[column for column in writing.TRADE_ALL if column != "手续费"], "费率"]
    _, report = shop.read(tmp_path, writing.wechat_trade(TRADES, columns=columns))
    named = {(mistake.rule, mistake.field) for mistake in report.mistakes}
    assert named == {("column_missing", "手续费"), ("column_unknown", "新列"), ("column_twice", "费率")}
    _, report = shop.read(tmp_path, gbk(ALIPAY_FUND.replace("账户余额", "余额")))
    assert shop.mistake_of(report, "column_missing") == (5, "账户余额(元)")


def test_the_earlier_format_of_wechat_pay_is_read(tmp_path: Path) -> None:
    """A merchant who never changed to the format of today has 总金额 instead of 应结订单金额, and fewer columns."""
    columns = [name for name in writing.TRADE_ALL if name not in ("订单金额", "申请退款金额", "费率备注")]
    text = writing.wechat_trade(TRADES, columns=columns).replace(",订单总金额,申请退款总金额", "")
    lines = text.rstrip().split("\r\n")
    lines[-1] = ",".join(lines[-1].split(",")[:5])
    text = "\r\n".join(lines).replace("应结订单金额", "总金额").replace("应结订单总金额", "总交易额")
    text = text.replace("代金券金额", "企业红包金额").replace("退款总金额", "总退款金额", 1)
    rows, report = shop.read(tmp_path, text.replace("充值券总退款金额", "总企业红包退款金额"))
    assert [row.amount_fen for row in rows] == [129900, 5000, -127900]
    assert [(check.figure, check.agrees) for check in report.checks if not check.agrees] == []


# ---- rows


def _changed(content: str, old: str, new: str, at: int) -> str:
    """The text with one thing changed in one of its lines."""

    def change(lines: list[str]) -> None:
        assert old in lines[at - 1]
        lines[at - 1] = lines[at - 1].replace(old, new, 1)

    return shop.damaged(content, change)


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("1,299.00", "amount_grouped"),
        ("1 299.00", "amount_grouped"),
        ("1.299e3", "amount_scientific"),
        ("1E3", "amount_scientific"),
        ("１２９９.００", "amount_fullwidth"),
        ("1299.001", "amount_decimals"),
        ("1299.000", "amount_decimals"),
        ("¥1299.00", "amount"),
        ("+1299.00", "amount"),
        ("1299.", "amount"),
        ("--1", "amount"),
        ("nan", "amount"),
        ("=1+1", "amount"),
        ("99999999999.00", "amount_too_large"),
        ("-1299.00", "amount_sign"),
        ("", "missing"),
    ],
)
def test_amounts_that_are_not_plain_are_refused_by_name(tmp_path: Path, written: str, rule: str) -> None:
    """No amount is guessed: it is exact to the fen, or its line and column are told."""
    rows, report = shop.read(tmp_path, _changed(TRADE, "`1299.00", f"`{written}", 2))
    assert shop.rules(report) == [rule]
    assert shop.mistake_of(report, rule) == (2, "应结订单金额")
    assert [row.line for row in rows] == [3, 4]


def test_fees_have_five_decimals_and_are_fen_nevertheless(tmp_path: Path) -> None:
    """WeChat Pay's `7.79000` is 779 fen; a fraction of a fen is refused."""
    rows, _ = shop.read(tmp_path, TRADE)
    assert [row.fee_fen for row in rows] == [779, 30, -767]
    _, report = shop.read(tmp_path, _changed(TRADE, "7.79000", "7.79400", 2))
    assert shop.mistake_of(report, "amount_decimals") == (2, "手续费")


@pytest.mark.parametrize(
    ("content", "line", "field"),
    [
        (_changed(TRADE, "`7.79000", "`-7.79000", 2).encode(), 2, "手续费"),
        (_changed(TRADE, "`-7.67000", "`7.67000", 4).encode(), 4, "手续费"),
        (gbk(_changed(ALIPAY_TRADE, "-7.79", "7.79", 6)), 6, "服务费(元)"),
    ],
)
def test_a_fee_with_the_wrong_sign_is_named(tmp_path: Path, content: bytes, line: int, field: str) -> None:
    """A payment does not earn a fee, and a refund does not cost one."""
    _, report = shop.read(tmp_path, content)
    assert shop.rules(report) == ["fee_sign"]
    assert shop.mistake_of(report, "fee_sign") == (line, field)


@pytest.mark.parametrize(
    ("content", "rule", "line", "field"),
    [
        (_changed(TRADE, "2026-05-01 ", "2026-02-30 ", 2), "time_impossible", 2, "交易时间"),
        (_changed(TRADE, "2026-05-01 00:", "2026-05-01 25:", 2), "time_impossible", 2, "交易时间"),
        (_changed(TRADE, "2026-05-01 00:00:01", "2026/5/1 0:00", 2), "time", 2, "交易时间"),
        (_changed(TRADE, "2026-05-01 00:00:01", "", 2), "missing", 2, "交易时间"),
        (_changed(TRADE, "4200002086202605010000000001", "4.20000E+27", 2), "id_spreadsheet", 2, "微信订单号"),
        (_changed(TRADE, "`SUCCESS", "`NOTPAY", 2), "unknown_status", 2, "交易状态"),
        (_changed(TRADE, "ORIGINAL,`SUCCESS", "ORIGINAL,`LATER", 4), "unknown_status", 4, "退款状态"),
        (_changed(TRADE, "`TB1,", "`,", 2), "missing", 2, "商户订单号"),
        (_changed(TRADE, "`0,`0,`0.00", "`0,`0,`1.00", 2), "payment_with_refund", 2, "退款金额"),
        (_changed(TRADE, "`0.60%,", "", 2), "columns", 2, ""),
        (_changed(TRADE, "`2026", "2026", 2), "prefix", 2, ""),
        (_changed(FUND, "收入", "进账", 2), "direction", 2, "收支类型"),
        (_changed(FUND, "1299.00", "-1299.00", 2), "amount_sign", 2, "收支金额(元)"),
        (_changed(ALIPAY_TRADE, "交易\t", "预授权\t", 6), "unknown_kind", 6, "业务类型"),
        (_changed(ALIPAY_TRADE, "退款\t", "交易\t", 7), "amount_sign", 7, "商家实收(元)"),
        (
            _changed(ALIPAY_TRADE, "2026-05-01 00:00:01,\t", "2026-05-03 00:00:01,\t", 6),
            "outside_period",
            6,
            "完成时间",
        ),
        (_changed(ALIPAY_TRADE, "*三(", '"*三(', 6), "quoting", 6, ""),
        (_changed(ALIPAY_TRADE, "0.00,0.00,0.00,0.00", "0.00,0.00,0.00,-", 6), "amount", 6, "商家优惠(元)"),
        (_changed(ALIPAY_FUND, ",-7.79", ",7.79", 7), "amount_sign", 7, "支出金额(-元)"),
        (_changed(ALIPAY_FUND, ",0.00,-7.79", ",1.00,-7.79", 7), "both_directions", 7, "支出金额(-元)"),
    ],
)
def test_what_is_wrong_in_a_row_is_named_with_line_and_field(
    tmp_path: Path, content: str, rule: str, line: int, field: str
) -> None:
    """Whoever mends a bill goes straight to the place, and nothing else is reported because of it."""
    _, report = shop.read(tmp_path, gbk(content) if content.startswith("#") else content)
    assert shop.mistake_of(report, rule) == (line, field)
    assert shop.rules(report) == [rule] or rule == "quoting"
    assert report.mistakes[0].file.endswith("bill.csv")


def test_repeated_rows_are_named_with_the_line_they_repeat(tmp_path: Path) -> None:
    """A row that stands there twice is paid once."""
    for content, first in ((TRADE, 2), (FUND, 2), (ALIPAY_TRADE, 6), (ALIPAY_FUND, 6)):
        copied = shop.damaged(content, lambda lines, at=first: lines.insert(at, lines[at - 1]))  # type: ignore[misc]
        rows, report = shop.read(tmp_path, gbk(copied) if copied.startswith("#") else copied)
        assert shop.rules(report) == ["duplicate"]
        assert shop.mistake_of(report, "duplicate") == (first + 1, "")
        assert f"line {first}" in report.mistakes[0].en
        assert len({row.key for row in rows}) == len(rows)


def test_one_payment_may_be_refunded_twice(tmp_path: Path) -> None:
    """Two refunds of one payment are no repetition."""
    refunds = [shop.wechat_refund(1, 100), shop.wechat_refund(1, 100, channel_ref="50300008099999999999999999999")]
    _, report = shop.read(tmp_path, writing.wechat_trade(refunds))
    assert report.mistakes == ()


def test_a_refund_has_the_same_key_in_every_bill_that_lists_it(tmp_path: Path) -> None:
    """The bills ALL and REFUND of a day name a refund alike, so that it is not counted twice."""
    refund = shop.wechat_refund(1, 127900, 767)
    [of_all], _ = shop.read(tmp_path, writing.wechat_trade([refund], "ALL"))
    [of_refunds], _ = shop.read(tmp_path, writing.wechat_trade([refund], "REFUND"))
    assert of_all.key == of_refunds.key


def test_another_merchant_is_named(tmp_path: Path) -> None:
    """Somebody else's bill does not get into our books."""
    _, report = shop.read(tmp_path, TRADE, merchant="1900000001")
    assert shop.rules(report) == ["other_merchant"]
    assert report.mistake_count == 3
    mixed = [*PAYMENTS, shop.wechat_payment(3, 100, merchant="1900000001")]
    _, report = shop.read(tmp_path, writing.wechat_trade(mixed))
    assert shop.mistake_of(report, "other_merchant") == (4, "商户号")
    _, report = shop.read(tmp_path, gbk(ALIPAY_TRADE), merchant="2088000000000000")
    assert shop.mistake_of(report, "other_merchant") == (2, "账号")


@pytest.mark.parametrize("merchant", [shop.PID, f"{shop.PID}0156", ""])
def test_alipays_merchant_is_named_by_its_account_too(tmp_path: Path, merchant: str) -> None:
    """The file names an account; people know their merchant number, or either."""
    rows, report = shop.read(tmp_path, gbk(ALIPAY_TRADE), merchant=merchant)
    assert report.mistakes == ()
    assert {row.merchant for row in rows} == {merchant or shop.PID}


def test_another_currency_is_named(tmp_path: Path) -> None:
    """Dollars are not added to yuan."""
    _, report = shop.read(tmp_path, _changed(TRADE, "`CNY", "`USD", 3))
    assert shop.mistake_of(report, "other_currency") == (3, "货币种类")


@pytest.mark.parametrize("name", ['=HYPERLINK("http://x","y")', "+1", "-1+1", "@SUM(A1)", '="1"'])
def test_formulas_in_names_stay_text(tmp_path: Path, name: str) -> None:
    """What a buyer typed is kept letter by letter and means nothing."""
    rows, report = shop.read(tmp_path, writing.wechat_trade([shop.wechat_payment(1, 100, raw={"商品名称": name})]))
    assert report.mistakes == ()
    assert rows[0].raw["商品名称"] == name
    rows, report = shop.read(tmp_path, shop.alipay_zip([shop.alipay_trade(1, 100, raw={"商品名称": name})]))
    assert report.mistakes == ()
    assert rows[0].raw["商品名称"] == name


def test_a_line_break_within_a_name_does_not_break_the_row(tmp_path: Path) -> None:
    """A name over two lines is one field, should a channel not escape it; the next row keeps its line number."""
    rows, report = shop.read(tmp_path, _changed(TRADE, "智能锁", "智能锁\n第二行, 红", 2))
    assert report.mistakes == ()
    assert rows[0].raw["商品名称"] == "智能锁\n第二行, 红"
    assert [row.line for row in rows] == [2, 4, 5]


# ---- footers and balances


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (_changed(TRADE, "`3,", "`4,", 6).encode(), "总交易单数"),
        (_changed(TRADE, "`1349.00", "`1349.01", 6).encode(), "应结订单总金额"),
        (_changed(TRADE, "`1279.00", "`1279.10", 6).encode(), "退款总金额"),
        (_changed(TRADE, "`0.42000", "`0.43000", 6).encode(), "手续费总金额"),
        (_changed(FUND, "`3.0", "`2.0", 6).encode(), "资金流水总笔数"),
        (_changed(FUND, "`1286.79", "`1286.78", 6).encode(), "支出金额"),
        (gbk(_changed(ALIPAY_TRADE, "1299.00元", "1299.01元", 9)), "交易合计 金额"),
        (gbk(_changed(ALIPAY_TRADE, "1笔", "2笔", 10)), "退款合计 笔数"),
        (gbk(_changed(ALIPAY_FUND, "-1286.79", "-1286.78", 10)), "支出合计 金额"),
    ],
)
def test_a_footer_that_differs_from_its_rows_is_named(tmp_path: Path, content: bytes, field: str) -> None:
    """A bill whose totals are not those of its rows is not used, and its figure is told."""
    _, report = shop.read(tmp_path, content)
    assert shop.rules(report) == ["footer_differs"]
    assert [mistake.field for mistake in report.mistakes] == [field]
    assert [check.figure for check in report.checks if not check.agrees] == [field]


def test_totals_that_are_no_figures_and_rows_behind_them_are_named(tmp_path: Path) -> None:
    """A footer is read as strictly as a row, and it is the end."""
    _, report = shop.read(tmp_path, _changed(TRADE, "`3,", "`three,", 6))
    assert shop.mistake_of(report, "count") == (6, "总交易单数")
    _, report = shop.read(tmp_path, TRADE + TRADE)
    assert shop.rules(report) == ["after_footer"]
    _, report = shop.read(tmp_path, gbk(ALIPAY_TRADE + ALIPAY_TRADE.split("\r\n")[5]))
    assert shop.rules(report) == ["after_footer"]


def test_a_summary_that_differs_from_the_details_is_named(tmp_path: Path) -> None:
    """The two files of an archive are of the same rows."""
    other = writing.alipay_summary(ALIPAY_TRADES[:1], "业务")
    _, report = shop.read(tmp_path, writing.zipped(汇总=other, 业务明细=ALIPAY_TRADE))
    assert {mistake.field for mistake in report.mistakes} == {"退款订单总笔数", "商家实收(元)"}
    assert report.mistakes[0].file.endswith("汇总.csv")


@given(at=st.integers(0, 2), more=st.integers(1, 10**6))
@settings(max_examples=20, deadline=None)
def test_a_balance_that_does_not_follow_is_named(at: int, more: int) -> None:
    """Each balance of a fund bill is what was there before, and the row."""
    balance = MOVEMENTS[at].balance_fen or 0
    text = _changed(FUND, writing.yuan(balance), writing.yuan(balance + more), at + 2)
    with TemporaryDirectory() as folder:
        _, report = shop.read(Path(folder), text)
    assert shop.rules(report) == ["balance"]
    assert {mistake.line for mistake in report.mistakes} <= {at + 2, at + 3}


@given(at=st.integers(0, 2), column=st.sampled_from(["手续费", "应结订单金额", "订单金额", "退款金额", "申请退款金额"]))
@settings(max_examples=30, deadline=None)
def test_no_amount_changes_unnoticed(at: int, column: str) -> None:
    """Whoever changes a figure in a bill must change its totals too."""
    lines = TRADE.split("\r\n")
    fields = lines[at + 1].split(",")
    place = writing.TRADE_ALL.index(column)
    text = fields[place].removeprefix("`")
    fields[place] = "`" + text.replace(".", "1.", 1)
    lines[at + 1] = ",".join(fields)
    with TemporaryDirectory() as folder:
        _, report = shop.read(Path(folder), "\r\n".join(lines))
    assert not report.sound


# ---- what is made of it


def test_a_refund_stands_as_it_did_when_the_bill_was_made(tmp_path: Path) -> None:
    """A refund that was accepted is not taken for one that was paid."""
    refunds = [
        shop.wechat_refund(1, 100, channel_status="PROCESSING", status=Status.ACCEPTED),
        shop.wechat_refund(2, 100, channel_status="CHANGE", status=Status.FAILED),
    ]
    rows, report = shop.read(tmp_path, writing.wechat_trade(refunds))
    assert report.mistakes == ()
    assert [row.status for row in rows] == [Status.ACCEPTED, Status.FAILED]
    assert {row.kind for row in rows} == {RowKind.REFUND}


@pytest.mark.parametrize(
    ("name", "type_", "kind"),
    [
        ("退款", "退款关闭", RowKind.REFUND),
        ("交易", "退还交易手续费", RowKind.FEE),
        ("充值/提现", "提现", RowKind.TRANSFER),
        ("企业付款", "企业付款", RowKind.TRANSFER),
        ("交易", "新业务", RowKind.OTHER),
    ],
)
def test_movements_that_are_not_known_are_never_taken_for_payments(
    tmp_path: Path, name: str, type_: str, kind: RowKind
) -> None:
    """WeChat Pay adds kinds of movements: one that is new is `other`, not somebody's payment."""
    [row], report = shop.read(
        tmp_path, writing.wechat_fund([shop.wechat_movement(1, 100, 100)]).replace("`交易,`交易", f"`{name},`{type_}")
    )
    assert report.mistakes == ()
    assert row.kind is kind


def test_a_revoked_payment_gives_the_money_back(tmp_path: Path) -> None:
    """A payment that was revoked stands in the bill once more, and is money that went out."""
    refund = shop.wechat_refund(1, 100)
    text = writing.wechat_trade([refund]).replace("`REFUND", "`REVOKED").replace("`ORIGINAL,`SUCCESS", "`,`")
    [row], report = shop.read(tmp_path, text)
    assert report.mistakes == ()
    assert (row.kind, row.amount_fen, row.status) == (RowKind.REFUND, -100, Status.SUCCEEDED)


def test_a_bill_of_a_service_provider_names_the_shop(tmp_path: Path) -> None:
    """Where a provider downloads bills of many shops, a row is the shop's and not the provider's."""
    text = writing.wechat_trade(PAYMENTS).replace(f"`{shop.MERCHANT},`0", "`1900000109,`1627859777")
    rows, report = shop.read(tmp_path, text, merchant="1627859777")
    assert report.mistakes == ()
    assert {row.merchant for row in rows} == {"1627859777"}


def test_the_same_file_is_known_again(tmp_path: Path) -> None:
    """The identity of a bill is the SHA-256 of the file, whatever it is called."""
    _, one = shop.read(tmp_path, TRADE, name="a.csv")
    _, same = shop.read(tmp_path, TRADE, name="b.csv")
    _, other = shop.read(tmp_path, TRADE.replace("智能锁", "智能門"), name="c.csv")
    assert one.sha256 == same.sha256 != other.sha256


def test_a_report_has_the_first_mistakes_and_counts_all(tmp_path: Path) -> None:
    """A bill with thousands of mistakes is told in a page."""
    text = TRADE.split("\r\n")[0] + "\r\n" + "`broken\r\n" * 1000
    _, report = shop.read(tmp_path, text)
    assert len(report.mistakes) == MOST
    assert report.mistake_count == 1001


def test_every_rule_is_told_in_both_languages_with_a_way_out() -> None:
    """No rule is left without words, and none is kept that nothing breaks."""
    package = Path(mistakes.__file__).parent
    code = "".join(file.read_text(encoding="utf-8") for file in package.rglob("*.py") if file.name != "mistakes.py")
    for name, rule in RULES.items():
        assert f'"{name}"' in code, name
        assert all((rule.zh, rule.en, rule.way_zh, rule.way_en))
        facts = [set(re.findall(r"{(\w+?)(?:_zh|_en)?}", text)) for text in (rule.zh, rule.en)]
        assert facts[0] == facts[1]


def test_memory_stays_flat(tmp_path: Path) -> None:
    """Ten times the rows take no more memory but what tells repeated rows apart."""
    peaks = []
    for count in (500, 5_000):
        file = tmp_path / f"{count}.csv"
        file.write_text(writing.wechat_trade([shop.wechat_payment(number, 100) for number in range(count)]), "utf-8")
        bill = Bill(file)
        tracemalloc.start()
        read = sum(1 for _ in bill.rows())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert bill.report.sound
        assert read == count
    assert peaks[1] < peaks[0] + 500_000

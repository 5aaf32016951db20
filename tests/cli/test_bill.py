"""`aftersales bill show`: an accountant sees what a bill says, and ends with 1 where it is not to be used."""

from pathlib import Path

import pytest

from services.cli.bill_sheet import FIGURES
from services.finance.bills.wechat import fund, trade
from services.sample import writing
from tests.cli.terminal import aftersales
from tests.finance.bills import shop
from tests.finance.bills.test_mapping import CLAIMS, MAPPING

ROWS = [shop.wechat_payment(1, 129900, 779), shop.wechat_payment(2, 5000, 30), shop.wechat_refund(1, 127900, 767)]


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    """A sound trade bill of WeChat Pay."""
    file = tmp_path / "bill.csv"
    file.write_text(writing.wechat_trade(ROWS), "utf-8-sig")
    return file


def test_a_bill_is_shown_with_its_sums_and_checks(bill: Path) -> None:
    """Which bill, whose, of which day, its rows, sums by kind, and that its totals are those of its rows."""
    told = aftersales("bill", "show", str(bill), LANG="en_US.UTF-8")
    assert told.status == 0, told.err
    assert f"WeChat Pay transactions ALL · merchant {shop.MERCHANT} · CNY · 2026-05-01" in told.out
    for said in ("TB1-1:refund:F1", "-1 279.00", "refunds asked for", "0.42", "✓ 3 rows, as its totals say"):
        assert said in told.out
    assert "✗" not in told.out


def test_a_bill_is_shown_in_chinese(bill: Path) -> None:
    """An accountant reads it in Chinese alone."""
    told = aftersales("bill", "show", str(bill), "--lang", "zh")
    for said in ("微信支付交易账单 ALL · 商户", "退款", "账单汇总", "手续费总金额", "✓ 3 行"):
        assert said in told.out
    assert "rows" not in told.out


def test_a_wrong_bill_ends_with_1_and_names_each_mistake(bill: Path) -> None:
    """Scripts stop at it, people read where it is wrong and what to do."""
    bill.write_text(writing.wechat_trade(ROWS).replace("`1349.00", "`1349.01", 1), "utf-8")
    told = aftersales("bill", "show", str(bill), LANG="en_US.UTF-8")
    assert told.status == 1
    for said in (
        "✗ 1 mistake; not to be imported",
        "bill.csv:6 应结订单总金额 (footer_differs)",
        "1 349.01",
        "ask the channel",
    ):
        assert said in told.out


def test_a_file_that_is_no_bill_cannot_steer_the_terminal(tmp_path: Path) -> None:
    """What a file begins with is quoted; bytes that would colour or clear the screen are written out."""
    (tmp_path / "bill.csv").write_bytes(b"\x1b[31mred\x00\x07\r,x\n\x1b[2J\n")
    told = aftersales("bill", "show", str(tmp_path / "bill.csv"))
    assert told.status == 1
    assert all(one.isprintable() for line in told.out.split("\n") for one in line)
    assert "\\x1b[31mred" in told.out


def test_rows_with_mistakes_are_said_to_be_in_no_sum(bill: Path) -> None:
    """Nobody takes the sums of the rest for those of the bill."""
    bill.write_text(writing.wechat_trade(ROWS).replace("`1299.00", "`1,299.00", 1), "utf-8")
    told = aftersales("bill", "show", str(bill), LANG="en_US.UTF-8")
    assert told.status == 1
    assert "1 row with mistakes left out of these sums" in told.out


def test_every_total_has_a_name_in_english() -> None:
    """A reader of English knows what a total is, whichever bill it is from."""
    alipay = {f"{what}合计 {figure}" for what in ("收入", "支出") for figure in ("笔数", "金额")}
    alipay |= {f"{what}合计 {figure}" for what in ("交易", "退款") for figure in ("笔数", "金额", "商家优惠")}
    assert FIGURES.keys() >= {*trade.TOTALS, *fund.TOTALS, *alipay}


def test_rows_may_be_limited_and_all_are_checked(bill: Path) -> None:
    """A page of a large bill is enough to see, and the check is of all of it."""
    told = aftersales("bill", "show", str(bill), "--limit", "1", LANG="en_US.UTF-8")
    assert "… 2 more rows" in told.out
    assert "TB2" not in told.out
    told = aftersales("bill", "show", str(bill), "--limit", "0", "--json")
    assert (told.json["shown"], told.json["rows"]) == ([], 3)


def test_machines_read_the_report_and_its_rows(bill: Path) -> None:
    """JSON has rows, sums, checks and mistakes, in fen and by code."""
    told = aftersales("bill", "show", str(bill), "--json", "--merchant", "1900000001")
    assert told.status == 1
    assert told.json["sound"] is False
    assert {mistake["rule"] for mistake in told.json["mistakes"]} == {"other_merchant"}
    told = aftersales("bill", "show", str(bill), "--json")
    document = told.json
    assert (told.status, document["kind"], document["sound"]) == (0, "wechat-trade", True)
    assert document["shown"][2]["amount_fen"] == -127900
    assert document["sums"][1] == {"kind": "refund", "rows": 1, "amount_fen": -127900, "fee_fen": -767}
    assert all(check["agrees"] for check in document["checks"])


def test_a_fund_bill_shows_its_balances(tmp_path: Path) -> None:
    """Opening and closing balance stand below the sums, names with brackets are shown as they are."""
    rows = [shop.alipay_movement(1, 500, 10500), shop.alipay_movement(2, -200, 10300, "交易退款")]
    file = tmp_path / "20881234567890120156_20260501.csv.zip"
    file.write_bytes(shop.alipay_zip(rows, "账务"))
    told = aftersales("bill", "show", str(file), LANG="en_US.UTF-8")
    assert told.status == 0, told.out
    for said in ("Alipay fund bill", "opening balance", "100.00", "closing balance", "103.00"):
        assert said in told.out


def test_a_table_is_shown_by_its_mapping(tmp_path: Path) -> None:
    """A carrier's statement is read like a channel's bill once a mapping says which column is what."""
    statement, mapping = tmp_path / "claims.csv", tmp_path / "yto.yaml"
    statement.write_bytes(CLAIMS.encode("gbk"))
    mapping.write_text(MAPPING, "utf-8")
    told = aftersales("bill", "show", str(statement), "--mapping", str(mapping), "--lang", "zh")
    assert told.status == 0, told.out
    assert "按映射读取的账单 圆通理赔对账单 · 商户 某某旗舰店" in told.out
    mapping.write_text("channel: c\nunit: euro\n", "utf-8")
    told = aftersales("bill", "show", str(statement), "--mapping", str(mapping))
    told.must_fail(2, "yto.yaml:2 unit", "columns")
    aftersales("bill", "show", str(statement), "--kind", "mapped").must_fail(2, "--mapping")
    told = aftersales("bill", "show", str(statement), "--kind", "wechat-fund", "--mapping", str(mapping))
    told.must_fail(2, "--mapping")


def test_a_file_that_is_not_there_ends_with_2(tmp_path: Path) -> None:
    """A wrong path is told from a wrong bill."""
    aftersales("bill", "show", str(tmp_path / "none.csv")).must_fail(2, "none.csv")

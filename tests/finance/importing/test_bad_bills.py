"""What a bill may have wrong, sent as it is: every case has its outcome, and nothing is imported."""

from typing import Final

import pytest

from services.sample import writing
from tests.finance.bills import shop
from tests.finance.bills.test_damage import ALIPAY_TRADE, FUND, TRADE, TRADES, _changed, gbk
from tests.finance.bills.test_mapping import CLAIMS, MAPPING
from tests.finance.importing.office import FINANCE, Office

_WITHOUT_FEE: Final = [name for name in writing.TRADE_ALL if name != "手续费"]
_TWICE: Final = shop.damaged(TRADE, lambda lines: lines.insert(2, lines[1]))
_TOO_MUCH: Final = writing.wechat_trade([shop.wechat_payment(number, 90_000_000_000) for number in (1, 2)])
_NAMELESS: Final = writing.wechat_trade([shop.wechat_payment(1, 100, merchant="1" * 300)])
_LONG: Final = writing.wechat_trade([shop.wechat_payment(1, 100, order_ref="TB" + "1" * 300)])


@pytest.mark.parametrize(
    ("content", "rule", "place"),
    [
        pytest.param(TRADE.encode("gb18030"), "wrong_encoding", "the file", id="another encoding"),
        pytest.param(gbk(ALIPAY_TRADE)[:-300], "cut", "line", id="a file that was cut"),
        pytest.param(writing.packed(TRADE)[:-20], "archive_broken", "", id="an archive that was cut"),
        pytest.param(
            writing.wechat_trade(TRADES, columns=_WITHOUT_FEE), "column_missing", "line 1 手续费", id="column"
        ),
        pytest.param(_TWICE, "duplicate", "line 3", id="a row twice"),
        pytest.param(_changed(TRADE, "`7.79000", "`-7.79000", 2), "fee_sign", "line 2 手续费", id="negative fee"),
        pytest.param(_changed(TRADE, "`1299.00", "`1,299.00", 2), "amount_grouped", "line 2", id="1,299.00"),
        pytest.param(_changed(TRADE, "`1299.00", "`1.299e3", 2), "amount_scientific", "line 2", id="1.299e3"),
        pytest.param(_changed(TRADE, "`1299.00", "`=1+1", 2), "amount", "line 2", id="a formula for an amount"),
        pytest.param(_changed(TRADE, "`CNY", "`USD", 3), "other_currency", "line 3 货币种类", id="another currency"),
        pytest.param(_changed(TRADE, "2026-05-01 00:00:01", "2026/5/1 0:00", 2), "time", "line 2", id="another time"),
        pytest.param(_changed(TRADE, "2026-05-01 ", "2026-02-30 ", 2), "time_impossible", "line 2", id="no such day"),
        pytest.param(_changed(TRADE, "`1349.00", "`1349.01", 6), "footer_differs", "line 6", id="footer"),
        pytest.param(_changed(FUND, "2299.00", "2299.01", 2), "balance", "line 3", id="balance"),
        pytest.param(_LONG, "reference", "line 2", id="a number of 300 letters"),
        pytest.param(_TOO_MUCH, "amount_too_large", "line 5", id="more than a billion yuan"),
        pytest.param(_NAMELESS, "length", "must have at most 200", id="a merchant of 300 letters"),
        pytest.param("", "empty", "the file", id="nothing"),
        pytest.param("<xml>FAIL</xml>", "unknown_bill", "the file", id="an error page"),
    ],
)
def test_a_bill_that_is_not_sound_is_refused_whole(strict: Office, content: str | bytes, rule: str, place: str) -> None:
    """The place and the rule are told in both languages; no row is stored and the books are not told."""
    answer = strict.send(content)
    assert (answer.status, answer.code) == (422, "bill_unsound")
    [error] = [error for error in answer.body["errors"] if error["rule"] == rule][:1]
    assert error["en"].startswith(place)
    assert any("一" <= letter <= "鿿" for letter in error["zh"])
    assert answer.body["params"]["count"] >= 1
    assert (strict.stored(), strict.decided()) == ([], [])


def test_a_bill_of_mistakes_is_told_in_a_page(strict: Office) -> None:
    """At most a hundred are named, and all are counted."""
    answer = strict.send(TRADE.split("\r\n")[0] + "\r\n" + "`broken\r\n" * 1_000)
    assert 0 < len(answer.body["errors"]) <= 100
    assert answer.body["params"]["count"] == 1_001


def test_a_bill_without_rows_is_refused(strict: Office) -> None:
    """Nobody believes that a day was imported whose bill says nothing."""
    answer = strict.send(writing.wechat_trade([]))
    assert (answer.status, answer.code) == (422, "bill_empty")


def test_an_archive_names_the_file_in_it(strict: Office) -> None:
    """Of several files in one, somebody reads which is wrong."""
    other = writing.alipay_summary([shop.alipay_trade(1, 100)], "业务")
    answer = strict.send(writing.zipped(汇总=other, 业务明细=ALIPAY_TRADE), "5.zip")
    assert all("_汇总.csv line" in error["en"] for error in answer.body["errors"]), answer.body["errors"]


def test_columns_may_change_places(office: Office) -> None:
    """A channel that changes the order of its columns changes no row."""
    names = writing.TRADE_ALL[::-1]
    # Which bill it is stands in the header, wherever: only the first line is looked at.
    bill = office.must_take(writing.wechat_trade(TRADES, columns=names))
    assert [row["amount_fen"] for row in office.rows(bill["bill"])] == [129_900, 5_000, -127_900]


@pytest.mark.parametrize("zone", ["", "time_zone: America/New_York\n", 'time_format: "%Y/%m/%d %H:%M %z"\n'])
def test_a_time_without_zone_is_the_shops(office: Office, zone: str) -> None:
    """A file names no zone: its clock is the shop's, unless the mapping or the time itself says another."""
    mapping = MAPPING.replace('time_format: "%Y/%m/%d %H:%M"\n', zone) if "format" in zone else MAPPING + zone
    claims = CLAIMS.replace("2026/05/03 10:20", "2026/05/03 10:20 +0000").replace(
        "2026/05/04 09:00", "2026/05/04 09:00 +0000"
    )
    office.save_mapping("claims", mapping)
    bill = office.must_take((claims if "format" in zone else CLAIMS).encode("gb18030"), mapping="claims")
    utc = {"": "2026-05-03T02:20", "time_z": "2026-05-03T14:20", "time_f": "2026-05-03T10:20"}[zone[:6]]
    assert office.rows(bill["bill"])[0]["occurred_at"].startswith(utc)


def test_formulas_in_names_stay_text(office: Office) -> None:
    """What a buyer typed is stored letter by letter and means nothing."""
    names = ['=HYPERLINK("http://x","y")', "+1", "@SUM(A1)", "-1+1"]
    payments = [shop.wechat_payment(at, 100, raw={"商品名称": name}) for at, name in enumerate(names, 1)]
    bill = office.must_take(writing.wechat_trade(payments))
    assert [row["raw"]["商品名称"] for row in office.rows(bill["bill"])] == names


def test_an_upload_that_cannot_be_read_is_told_so(office: Office) -> None:
    """What broke off or was garbled on its way is no fault inside, and nothing of it stays."""
    no_form = office.server.command("/v1/bills", b"x", FINANCE, Content_Type="multipart/form-data; boundary=x")
    assert no_form.field("file")["rule"] == "form"
    assert (office.stored(), office.decided()) == ([], [])
    garbled = office.server.command("/v1/bills", TRADE.encode(), FINANCE, Content_Encoding="gzip")
    assert (garbled.status, garbled.code) == (400, "malformed")

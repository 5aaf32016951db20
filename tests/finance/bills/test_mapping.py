"""Any table is read through a saved mapping: exactly as it says, and refused where it does not say enough."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.finance.bills.mapping import FIELDS, MappingInvalid, TableMapping, load_mapping
from services.finance.bills.reading import Report
from services.finance.bills.rows import BillKind, Row, RowKind, Status
from services.sample import writing
from tests.finance.bills import shop

#: A carrier's claim statement: two lines above the header, amounts that it pays to us, a row of totals.
CLAIMS: Final = """\
圆通速递理赔对账单
客户,某某旗舰店
理赔单号,运单号,商家单号,理赔时间,赔付金额（元）,状态,备注
LP001,YT8800000001,TB1001,2026/05/03 10:20,129.90,已赔付,"破损, 含包装"
LP002,YT8800000002,TB1002,2026/05/04 09:00,20.00,处理中,
合计,,,,149.90,,
"""
MAPPING: Final = """\
channel: courier/YTO
title: 圆通理赔对账单
encoding: GBK
skip_lines: 2
merchant: 某某旗舰店
columns:
  occurred_at: 理赔时间
  amount: 赔付金额（元）
  channel_ref: 理赔单号
  channel_order_ref: 运单号
  order_ref: 商家单号
  status: 状态
statuses: {已赔付: succeeded, 处理中: accepted, 已拒赔: failed}
kind: transfer
time_format: "%Y/%m/%d %H:%M"
total_row: 合计
"""


def mapped(folder: Path, text: str) -> TableMapping:
    """The mapping that a file with this text says."""
    file = folder / "mapping.yaml"
    file.write_text(text, "utf-8")
    return load_mapping(file)


def read(folder: Path, content: str, mapping: str = MAPPING, encoding: str = "gbk") -> tuple[list[Row], Report]:
    """A table by a mapping."""
    return shop.read(folder, content.encode(encoding), mapping=mapped(folder, mapping))


def test_a_carriers_claims_are_read(tmp_path: Path) -> None:
    """What a carrier paid, refused or still looks at becomes rows like those of any channel."""
    rows, report = read(tmp_path, CLAIMS)
    assert report.mistakes == ()
    assert (report.kind, report.variant, report.merchant) == (BillKind.MAPPED, "圆通理赔对账单", "某某旗舰店")
    assert [(check.figure, check.says, check.found) for check in report.checks] == [("合计 赔付金额(元)", 14990, 14990)]
    first, second = rows
    assert (first.line, first.channel, first.kind, first.order_ref) == (4, "courier/YTO", RowKind.TRANSFER, "TB1001")
    assert (first.channel_ref, first.channel_order_ref) == ("LP001", "YT8800000001")
    assert (first.amount_fen, first.status, second.status) == (12990, Status.SUCCEEDED, Status.ACCEPTED)
    assert first.occurred_at == datetime.fromisoformat("2026-05-03T10:20:00+08:00")
    assert first.raw["备注"] == "破损, 含包装"


def test_a_mapping_may_be_json(tmp_path: Path) -> None:
    """Programs write JSON, and it means the same."""
    columns = {"occurred_at": "time", "amount": "fen", "order_ref": "order"}
    text = json.dumps({"channel": "bank", "columns": columns, "unit": "fen", "sign": "reversed", "merchant": "M1"})
    [row], report = read(tmp_path, "order,time,fen\nTB1,2026-05-01 10:00:00,1299\n", text, "utf-8")
    assert report.mistakes == ()
    assert (row.amount_fen, row.merchant, row.order_ref) == (-1299, "M1", "TB1")


@pytest.mark.parametrize(
    ("zone", "form", "written", "moment"),
    [
        ("", "%Y-%m-%d %H:%M", "2026-05-01 10:00", "2026-05-01T10:00:00+08:00"),
        ("time_zone: America/New_York", "%Y-%m-%d %H:%M", "2026-05-01 10:00", "2026-05-01T10:00:00-04:00"),
        ("time_zone: UTC", "%Y-%m-%d %H:%M%z", "2026-05-01 10:00+02:00", "2026-05-01T10:00:00+02:00"),
    ],
)
def test_a_time_without_zone_is_the_shops(tmp_path: Path, zone: str, form: str, written: str, moment: str) -> None:
    """A time that names no zone is read by the shop's clock, or by the one that the mapping names."""
    mapping = f'channel: c\ncolumns: {{occurred_at: t, amount: a, order_ref: o}}\ntime_format: "{form}"\n{zone}\n'
    [row], _ = read(tmp_path, f"t,a,o\n{written},1.00,TB1\n", mapping, "utf-8")
    assert row.occurred_at.isoformat() == moment


@pytest.mark.parametrize(
    ("old", "new", "rule", "line", "field"),
    [
        ("129.90", '"1,129.90"', "amount_grouped", 4, "赔付金额(元)"),
        ("129.90", "1e3", "amount_scientific", 4, "赔付金额(元)"),
        ("2026/05/03 10:20", "2026/02/30 10:20", "time_impossible", 4, "理赔时间"),
        ("2026/05/03 10:20", "0026/02/03 10:20", "time_impossible", 4, "理赔时间"),
        ("2026/05/03 10:20", "2026-05-03", "time", 4, "理赔时间"),
        ("处理中", "复核中", "unknown_status", 5, "状态"),
        ("LP002", "LP001", "duplicate", 5, ""),
        ("LP002", "", "missing", 5, "理赔单号"),
        ("TB1002", "TB1002,", "columns", 5, ""),
        ("商家单号", "客户单号", "column_missing", 3, "商家单号"),
        ("状态,备注", "状态,状态", "column_twice", 3, "状态"),
        ("149.90", "149.91", "footer_differs", 6, "合计 赔付金额(元)"),
        ("合计,,,,149.90,,", "", "cut", 6, ""),
        ("合计,,,,149.90,,", "合计,,,,149.90,,\nLP003", "after_footer", 7, ""),
    ],
)
def test_what_is_wrong_in_a_table_is_named(
    tmp_path: Path, old: str, new: str, rule: str, line: int, field: str
) -> None:
    """A table is read as strictly as a channel's own bill."""
    _, report = read(tmp_path, CLAIMS.replace(old, new, 1))
    assert shop.rules(report) == [rule]
    assert shop.mistake_of(report, rule) == (line, field)


def test_more_columns_and_another_order_do_no_harm(tmp_path: Path) -> None:
    """The mapping names what it needs; what else a table has is kept as it is."""
    text = "备注2,状态,赔付金额（元）,理赔时间,商家单号,运单号,理赔单号\nx,已赔付,1.00,2026/05/03 10:20,TB1,YT1,LP1\n"
    [row], report = read(tmp_path, f"\n\n{text}合计,,1.00,,,,\n")
    assert report.mistakes == ()
    assert (row.amount_fen, row.raw["备注2"]) == (100, "x")


def test_kinds_fees_balances_and_owners_may_have_columns(tmp_path: Path) -> None:
    """A plain CSV of a bank or platform says per row whose it is, what it is, what it cost and what was left."""
    mapping = """\
channel: bank
columns: {occurred_at: t, amount: a, order_ref: o, kind: k, fee: f, balance: b, merchant: m, currency: c}
kinds: {in: payment, back: refund}
"""
    text = "t,a,o,k,f,b,m,c\n"
    text += (
        "2026-05-01 10:00:00,10.00,TB1,in,0.10,110.00,M1,CNY\n2026-05-01 11:00:00,-4.00,TB1,back,-0.04,106.00,M1,CNY\n"
    )
    rows, report = read(tmp_path, text, mapping, "utf-8")
    assert report.mistakes == ()
    assert [(row.kind, row.fee_fen, row.balance_fen) for row in rows] == [
        (RowKind.PAYMENT, 10, 11000),
        (RowKind.REFUND, -4, 10600),
    ]
    for old, new, rule in (
        ("in,", "out,", "unknown_kind"),
        ("0.10", "-0.10", "fee_sign"),
        ("106.00", "105.99", "balance"),
        ("M1,CNY\n2", "M1,USD\n2", "other_currency"),
        ("106.00,M1", "106.00,M2", "other_merchant"),
    ):
        _, report = read(tmp_path, text.replace(old, new, 1), mapping, "utf-8")
        assert shop.rules(report) == [rule]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("channel: c\nunit: [\n", {(3, "", "mapping_unreadable")}),
        ("just text", {(1, "", "mapping_value")}),
        ("", {(0, "channel", "mapping_missing"), (0, "columns", "mapping_missing")}),
        (
            "channel: c\nchanel: d\ncolumns: {occurred_at: t, amount: a, order_ref: o, ordr: x}\nunit: euro\n"
            "sign: up\nencoding: latin-1\nkind: gift\nskip_lines: -1\ntime_zone: Mars/North\ntime_format: hh\n"
            "channel: e\n",
            {
                (2, "chanel", "mapping_unknown"),
                (3, "columns.ordr", "mapping_unknown"),
                (4, "unit", "mapping_value"),
                (5, "sign", "mapping_value"),
                (6, "encoding", "mapping_value"),
                (7, "kind", "mapping_value"),
                (8, "skip_lines", "mapping_value"),
                (9, "time_zone", "mapping_value"),
                (10, "time_format", "mapping_value"),
                (11, "channel", "mapping_twice"),
            },
        ),
        (
            "channel: {a: b}\ncolumns:\n  status: s\n  kind: [x]\nstatuses: {好: fine}\nkinds: payment\n",
            {
                (1, "channel", "mapping_value"),
                (2, "columns.occurred_at", "mapping_missing"),
                (2, "columns.amount", "mapping_missing"),
                (2, "columns.order_ref|refund_ref|channel_order_ref|channel_ref", "mapping_missing"),
                (4, "columns.kind", "mapping_value"),
                (5, "statuses.好", "mapping_value"),
                (6, "kinds", "mapping_value"),
            },
        ),
    ],
)
def test_every_mistake_in_a_mapping_is_named_with_its_line(tmp_path: Path, text: str, said: set[Any]) -> None:
    """Whoever writes a mapping mends it in one go."""
    with pytest.raises(MappingInvalid) as refused:
        mapped(tmp_path, text)
    mistakes = refused.value.mistakes
    assert {(mistake.line, mistake.field, mistake.rule) for mistake in mistakes} == said
    assert len(mistakes) == len(said)
    assert all(mistake.file.endswith("mapping.yaml") and mistake.zh and mistake.en for mistake in mistakes)


def test_a_form_of_times_that_nothing_can_be_read_by_is_named(tmp_path: Path) -> None:
    """A slip in the form is found in the mapping, not a million times in the table."""
    for form in ("%Y-%m-%d %Q", "%d.%m."):
        with pytest.raises(MappingInvalid, match="time_format"):
            mapped(tmp_path, MAPPING.replace("%Y/%m/%d %H:%M", form))


@given(
    amounts=st.lists(st.integers(-(10**9), 10**9), max_size=12),
    in_fen=st.booleans(),
    is_reversed=st.booleans(),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    name=shop.NAMES,
)
@settings(max_examples=40, deadline=None)
def test_amounts_come_back_whatever_the_mapping(
    tmp_path_factory: pytest.TempPathFactory,
    amounts: list[int],
    in_fen: bool,
    is_reversed: bool,
    delimiter: str,
    name: str,
) -> None:
    """Unit and sign are the mapping's; every sum is kept to the fen."""
    mapping = TableMapping(
        channel="c",
        delimiter=delimiter,
        columns={"occurred_at": "t", "amount": "a", "channel_ref": "n"},
        in_fen=in_fen,
        is_reversed=is_reversed,
        total_row="total",
    )
    quoted = '"' + name.replace('"', '""') + '"'
    lines = [["t", "a", "n", "x"]]
    written = [-amount if is_reversed else amount for amount in amounts]
    shown = [str(amount) if in_fen else writing.yuan(amount) for amount in [*written, sum(written)]]
    lines += [["2026-05-01 10:00:00", text, f"N{number}", quoted] for number, text in enumerate(shown[:-1])]
    lines.append(["total", shown[-1], "", ""])
    content = "\n".join(delimiter.join(line) for line in lines)
    rows, report = shop.read(tmp_path_factory.mktemp("bill"), content, mapping=mapping)
    assert report.mistakes == ()
    assert [row.amount_fen for row in rows] == amounts
    assert all(row.raw["x"] == name for row in rows)


def test_every_field_of_a_mapping_is_one_that_a_row_has() -> None:
    """A mapping cannot name what would be dropped."""
    names = {"occurred_at", "balance_fen", "amount_fen", "fee_fen", *Row.__struct_fields__}
    assert all(field in names or f"{field}_fen" in names for field in FIELDS)

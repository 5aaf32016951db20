"""Column mappings in the console: what a sample says of itself, and the form that makes a mapping of it."""

from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import pytest

from services.console.forms import Unreadable
from services.console.pages.finance import mappings
from services.console.pages.finance.samples import (
    BYTES_MOST,
    CODECS,
    DELIMITERS,
    Shape,
    shape_of,
    suggested,
    table_of,
    typed_names,
)
from services.finance.bills.mapping import ENCODINGS, FIELDS, NEEDED, REFERENCES
from tests.console.pages import Reader, text_of
from tests.finance.bills.test_mapping import CLAIMS, MAPPING, mapped
from tests.http.server import Answer, Server

PLACE: Final = "/console/finance/new-mapping"
HEADER: Final = "理赔单号 运单号 商家单号 理赔时间 赔付金额（元） 状态 备注"
LONG: Final = "日期,金额\n" + "2026-10-01,一百\n" * (BYTES_MOST // 10)
_BOUNDARY: Final = "--of-these-tests"


@pytest.fixture(scope="module")
def clerk(shop: Server) -> Iterator[Reader]:
    """Whoever keeps the books."""
    reader = Reader(shop, "finance", "老钱")
    yield reader
    reader.close()


class Form(HTMLParser):
    """The fields of the form of a page, as a browser would send them."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._inside, self._select, self._area = False, "", ""
        self.feed(text_of(answer))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._inside = self._inside or given.get("id") == "mapping"
        name = given.get("name", "")
        if not self._inside:
            return
        if tag == "input" and given.get("type") != "file":
            self.fields[name] = given.get("value", "")
        if tag == "select":
            self._select = name
            self.fields[name] = ""
        if tag == "option" and "selected" in given:
            self.fields[self._select] = given["value"]
        if tag == "textarea":
            self.fields[name], self._area = "", name

    def handle_data(self, data: str) -> None:
        if self._area:
            self.fields[self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""
        if tag == "form":
            self._inside = False


def send(reader: Reader, fields: Mapping[str, str], do: str, file: bytes = b"", name: str = "理赔.csv") -> Answer:
    """Press a button of the form."""
    said = {"csrf": reader.csrf(), **fields, "do": do}
    parts = [f'Content-Disposition: form-data; name="{one}"\r\n\r\n{value}\r\n'.encode() for one, value in said.items()]
    named = f'Content-Disposition: form-data; name="file"; filename="{name if file else ""}"'
    head = f"{named}\r\nContent-Type: text/csv\r\n\r\n"
    body = b"".join(f"--{_BOUNDARY}\r\n".encode() + one for one in (*parts, head.encode() + file + b"\r\n"))
    sent = body + f"--{_BOUNDARY}--\r\n".encode()
    return reader.send(PLACE, sent, Content_Type=f"multipart/form-data; boundary={_BOUNDARY}")


@pytest.mark.parametrize(
    ("content", "shape", "names"),
    [
        (CLAIMS.encode("gbk"), Shape("GBK", "comma", 2), HEADER),
        (CLAIMS.encode("utf-8-sig"), Shape("UTF-8", "comma", 2), HEADER),
        (b"date;amount;order\n2026-10-01;1,5;A\n", Shape("UTF-8", "semicolon", 0), "date amount order"),
        (b"date\tamount\n", Shape("UTF-8", "tab", 0), "date amount"),
        (b"a|b\r\n\r\n1|2\r\n", Shape("UTF-8", "bar", 0), "a b"),
        (LONG.encode()[:BYTES_MOST], Shape("UTF-8", "comma", 0), "日期 金额"),
    ],
)
def test_a_sample_says_how_it_is_written(content: bytes, shape: Shape, names: str) -> None:
    """Encoding, delimiter and the line of the header are found out, also of the beginning of a long file."""
    assert shape_of(content) == shape
    assert table_of(content, shape).names == names.split()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04\x00", b"\xff\xff\xff", b"one column\nonly\n"])
def test_what_is_no_table_is_refused(content: bytes) -> None:
    """A spreadsheet's own file, a picture or a text is told from a table."""
    with pytest.raises(Unreadable):
        shape_of(content)


def test_columns_are_suggested_by_their_names() -> None:
    """What a column is called says what it may be; each is suggested once, and how its times are written."""
    content = CLAIMS.encode("gbk")
    assert suggested(table_of(content, shape_of(content))) == {
        "columns.occurred_at": "理赔时间",
        "columns.channel_order_ref": "运单号",
        "columns.order_ref": "商家单号",
        "columns.channel_ref": "理赔单号",
        "columns.status": "状态",
        "columns.amount": "赔付金额（元）",
        "time_format": "%Y/%m/%d %H:%M",
        "total_row": "合计",
    }
    assert typed_names("日期,金额\n 单号 \n日期").names == ["日期", "金额", "单号"]


def test_the_form_knows_what_mappings_can_say() -> None:
    """Whatever a column can be, and each encoding, can be chosen."""
    assert {*mappings.NEEDED, *mappings.REFERENCES, *mappings.OTHERS} == set(FIELDS)
    assert (mappings.NEEDED, set(mappings.REFERENCES)) == (NEEDED, set(REFERENCES))
    assert tuple(CODECS) == ENCODINGS
    assert [*DELIMITERS.values()] == [",", ";", "\t", "|"]


def test_from_a_sample_to_a_mapping_that_reads_it(shop: Server, clerk: Reader, tmp_path: Path) -> None:
    """A mistake is told at its field and loses nothing, not even the sample; the mapping is tried as it is saved, is
    mended where the sample does not read, and then says what was chosen."""
    read = send(clerk, {"key": "m1"}, "read", CLAIMS.encode("gbk"))
    fields = Form(read).fields
    assert read.status == 200
    assert (fields["columns.amount"], fields["skip_lines"], fields["statuses.0.word"]) == (
        "赔付金额（元）",
        "2",
        "已赔付",
    )
    answer = send(clerk, fields, "save")
    page = text_of(answer)
    assert answer.status == 422
    for field in ("mapping", "statuses.0.meaning", "statuses.1.meaning"):
        assert f'id="wrong-{field}"' in page
    assert '<a href="#wrong-' in page
    kept = Form(answer).fields
    assert {name: kept[name] for name in fields if name not in ("csrf", "key")}.items() <= fields.items()
    meant = kept | {"mapping": "yto", "statuses.0.meaning": "succeeded", "statuses.1.meaning": "accepted"}
    refused = send(clerk, meant, "save")
    assert (refused.status, 'id="wrong-channel"' in text_of(refused)) == (422, True)
    said = Form(refused).fields | {"channel": "courier/YTO", "kind": "transfer", "merchant": "某某旗舰店"}
    unsound = send(clerk, said | {"time_format": "%Y-%m-%d"}, "save")
    assert unsound.status == 200
    assert "样表还读不通" in text_of(unsound)
    assert "第 4 行 理赔时间" in text_of(unsound)
    sound = send(clerk, Form(unsound).fields | {"time_format": "%Y/%m/%d %H:%M", "title": "圆通理赔对账单"}, "save")
    assert "样表读得通:2 行" in text_of(sound)
    saved = shop.get("/v1/bill-mappings/yto", "finance").body["content"]
    wanted = mapped(tmp_path, MAPPING)
    assert mapped(tmp_path, saved) == type(wanted)(
        **{name: getattr(wanted, name) for name in wanted.__struct_fields__ if name != "statuses"},
        statuses={word: one for word, one in wanted.statuses.items() if word != "已拒赔"},
    )
    assert not shop.get("/v1/bills?channel=courier/YTO", "finance").body["items"]


def test_a_saved_mapping_is_changed_without_losing_what_it_says(shop: Server, clerk: Reader, tmp_path: Path) -> None:
    """The form of a saved mapping holds all of it: saved again, it says the same."""
    text = MAPPING + 'delimiter: "\\t"\nunit: fen\nsign: reversed\ncurrency: USD\ntime_zone: America/New_York\n'
    sent: dict[str, Any] = {"who": "finance/老钱", "Content_Type": "application/octet-stream"}
    assert shop.command("/v1/bill-mappings/usa", text.encode(), method="PUT", **sent).status == 200
    answer = send(clerk, Form(clerk.get(f"{PLACE}?from=usa")).fields, "save")
    assert "已保存「usa」" in text_of(answer)
    assert "还没有试读" in text_of(answer)
    saved = shop.get("/v1/bill-mappings/usa", "finance").body["content"]
    assert mapped(tmp_path, saved) == mapped(tmp_path, text)


@pytest.mark.parametrize(
    ("fields", "file", "field"),
    [
        ({}, b"", "file"),
        ({}, b"PK\x03\x04\x00", "file"),
        ({"names": "日期,金额"}, b"", ""),
    ],
)
def test_columns_come_from_a_file_or_are_typed(clerk: Reader, fields: dict[str, str], file: bytes, field: str) -> None:
    """Without either, or with a file that is no table, the field says so; typed names can be chosen from."""
    answer = send(clerk, {"key": "m2", **fields}, "read", file)
    assert answer.status == (422 if field else 200)
    assert (f'id="wrong-{field}"' if field else '<option value="金额" selected>') in text_of(answer)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"columns.channel_ref": ""}, "references"),
        ({"columns.amount": ""}, "columns.amount"),
        ({"skip_lines": "many"}, "skip_lines"),
        ({"time_zone": "Mars"}, "time_zone"),
        ({"mapping": "a/b"}, "mapping"),
        ({"columns.status": "编号"}, "statuses"),
    ],
)
def test_what_the_api_refuses_is_told_at_its_field(clerk: Reader, changed: dict[str, str], field: str) -> None:
    """Each mistake of a mapping stands where it can be mended."""
    names = {"occurred_at": "日期", "amount": "金额", "channel_ref": "编号"}
    fields = {"mapping": "plain", "channel": "other", "names": "日期,金额,编号", "key": "m3"}
    fields |= {f"columns.{one}": name for one, name in names.items()}
    answer = send(clerk, fields | changed, "save")
    assert answer.status == 422
    assert f'id="wrong-{field}"' in text_of(answer)
    assert 'value="other"' in text_of(answer)


def test_whoever_may_not_is_refused(shop: Server) -> None:
    """Leads look at mappings, and do not save any."""
    lead = Reader(shop, "team_lead", "老陈")
    fields = {"mapping": "no", "channel": "other", "key": "m4", "columns.amount": "金额"}
    assert send(lead, fields, "save").status == 403
    lead.close()

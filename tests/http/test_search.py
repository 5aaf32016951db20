"""One box takes an order, a case, or any number of one."""

import sqlite3
from typing import Any
from urllib.parse import quote

import pytest

from tests.http.server import Server


def found(server: Server, q: str, **more: Any) -> list[dict[str, Any]]:
    query = "&".join(f"{name}={value}" for name, value in {"q": q, "wait": "true", **more}.items())
    answer = server.get(f"/v1/search?{query}")
    assert answer.status == 200, answer.raw
    items: list[dict[str, Any]] = answer.body["items"]
    return items


def places(items: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(one["kind"], one["case_id"] or one["order_id"], one["item"]) for one in items]


def test_a_case_is_found_by_any_number(server: Server) -> None:
    """Exactly, whatever the letters' size and blanks around; and each case once, by what fits best."""
    order = server.order()
    case = server.case("logistics_delay", order_id=order, channel_refund_id="Cr-77")
    path = f"/v1/cases/{case}"
    server.command(f"{path}/trace-parcel", {"tracking_no": "YT-5001", "status": "在途"})
    for q, what in {
        order.lower(): [("order", order, ""), ("case", case, "")],
        f"%20{case}%20": [("case", case, "")],
        "cR-77": [("channel_refund_id", case, "")],
        "yt-5001": [("waybill", case, "")],
        "yt-5": [("waybill", case, "")],
        "t-5001": [],
        "%25": [],
        "x%27+OR+1%3D1--": [],
        "%00": [],
    }.items():
        assert places(found(server, q)) == what, q
    wide = "".join(chr(ord(sign) + 0xFEE0) for sign in "yt-5001")
    assert places(found(server, quote(f"\u3000{wide} "))) == [("waybill", case, "")]
    assert [one["exact"] for one in found(server, order)] == [True, False]
    [one] = found(server, case)
    assert (one["status"], one["problem"], one["assignee"], one["value"]) == ("open", "logistics_delay", "", case)


def test_a_scanned_return_says_that_it_is_to_be_inspected(server: Server) -> None:
    """The warehouse scans a waybill: the case at the step of inspection comes first, until it was inspected."""
    case = server.case("exchange_request")
    other = server.case("logistics_delay")
    server.command(f"/v1/cases/{other}/trace-parcel", {"tracking_no": "SCAN-1", "status": "在途"})
    path, units = f"/v1/cases/{case}", [{"line_id": "L1", "quantity": 1}]
    assert server.command(f"{path}/authorise-return", {"lines": units}).status == 200
    shipped = {"carrier": "ZTO", "tracking_no": "SCAN-1", "freight_fen": 0}
    assert server.command(f"{path}/ship-return", shipped, "service").status == 200
    items = found(server, "scan-1")
    assert places(items) == [("waybill", case, "RT1"), ("waybill", other, "")]
    assert [one["stage"] for one in items] == ["return_to_inspect", ""]
    received = {"lines": [{**units[0], "resalable": True}], "accepted": True}
    assert server.command(f"{path}/receive-return", received, "warehouse").status == 200
    assert {one["stage"] for one in found(server, "scan-1")} == {""}


def test_wide_letters_of_a_name_are_letters_of_it(server: Server) -> None:
    """An article whose name has wide brackets is found by it, and not taken for one with narrow ones."""
    cases = {}
    for sku in ("锁（大）", "锁(大)"):
        line = {"line_id": "L1", "sku": sku, "kind": "product", "quantity": 1, "paid_fen": 1, "unit_cost_fen": 1}
        cases[sku] = server.case("handover", order_id=server.order(lines=[line]))
    for sku, case in cases.items():
        assert places(found(server, quote(sku))) == [("sku", case, "")]


def test_an_article_gives_the_newest_cases(server: Server) -> None:
    """Of many cases about an article the newest come, as many as were asked for, and that there are more is said."""
    line = {"line_id": "L1", "sku": "KEY-Z", "kind": "product", "quantity": 1, "paid_fen": 1, "unit_cost_fen": 1}
    order = server.order(lines=[line])
    cases = [server.case("handover", order_id=order) for _ in range(3)]
    answer = server.get("/v1/search?q=key-z&limit=2&wait=true").body
    assert places(answer["items"]) == [("sku", case, "") for case in cases[:0:-1]]
    assert answer["has_more"]
    assert places(found(server, "key")) == [("sku", case, "") for case in cases[::-1]]


@pytest.mark.parametrize(
    ("query", "field", "rule"),
    [
        ("", "q", "length"),
        ("q=%20", "q", "length"),
        ("q=" + "x" * 201, "q", "length"),
        ("q=a&limit=21", "limit", "range"),
        ("q=a&q=b", "q", "unique"),
        ("q=a&wait=x", "wait", "one_of"),
        ("q=a&kind=sku", "kind", "known_filter"),
    ],
)
def test_a_wrong_question_is_refused(server: Server, query: str, field: str, rule: str) -> None:
    """An empty box, or one that holds a whole letter, is named, not answered."""
    answer = server.get(f"/v1/search?{query}")
    assert (answer.status, answer.code) == (422, "invalid")
    assert answer.field(field)["rule"] == rule


def test_tables_of_a_release_before_are_filled(fresh: Server) -> None:
    """A data folder from before there was a search finds everything after the upgrade, and its work lists are whole."""
    case = fresh.case("logistics_delay", channel_refund_id="CR-OLD")
    offer = {"kind": "cash", "amount_fen": 5_000}
    assert fresh.command(f"/v1/cases/{case}/propose-compensation", offer).status == 200
    fresh.settle()
    _made_as_before(fresh)
    assert places(found(fresh, "cr-old")) == [("channel_refund_id", case, "")]
    [row] = fresh.get("/v1/cases?stage=approval_awaited&wait=true").body["items"]
    assert (row["case_id"], row["stages"]) == (case, ["approval_awaited"])


def _made_as_before(server: Server) -> None:
    """Take back what revision 0007 made, while the server stands still, and start it again."""
    server._connection.close()
    server.run(server.embedded.stop())
    with sqlite3.connect(server.settings.data_dir / "cases.db") as database:
        made = "SELECT name FROM sqlite_master WHERE tbl_name = 'case_view' AND sql LIKE '% WHERE %'"
        for (name,) in database.execute(made).fetchall():
            database.execute(f"DROP INDEX {name}")
        database.execute("ALTER TABLE case_view DROP COLUMN stages")
        database.execute("DROP TABLE reference_view")
        database.execute("UPDATE alembic_version SET version_num = '0006'")
    server.start()

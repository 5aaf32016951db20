"""The close of a month from end to end: what is frozen stays, what is late comes later, and anybody can check it."""

import hashlib

import msgspec
import pytest

from contracts.events.finance import DiscrepancyFound
from services.finance.domain.books import BOOKS
from services.kernel.actor import Actor
from services.kernel.event_store import Commit, Statement
from services.kernel.files import Origin
from services.kernel.log_reader import LogReader
from services.kernel.proof import Proven, prove
from tests.finance.periods.shop import Shop, reward
from tests.given import order
from tests.http.server import order_body


def _figures(document: dict[str, object]) -> dict[str, tuple[int, ...]]:
    """Opening, debit, credit and closing by account."""
    accounts: list[dict[str, int]] = document["accounts"]  # type: ignore[assignment]
    names = ("opening_fen", "debit_fen", "credit_fen", "closing_fen")
    return {f"{one['account']}/{one.get('party', '')}": tuple(one[name] for name in names) for one in accounts}


def test_a_closed_month_stays_what_it_was(shop: Shop) -> None:
    """What is heard of October after its close is November's, marked late; October's report does not move a byte."""
    assert _figures(shop.report("2026-10")) == {"channel/taobao": (0, 0, 500, -500), "promotion/": (0, 500, 0, 500)}
    assert shop.shut("2026-10").status == 200
    frozen = shop.server.get("/v1/periods/2026-10/report?format=jsonl").raw

    shop.paid(70, "2026-10-31")
    shop.paid(9, "2026-11-02")
    assert shop.server.get("/v1/periods/2026-10/report?format=jsonl").raw == frozen
    assert shop.check("2026-10")["equal"] is True
    november = shop.report("2026-11")
    assert (november["state"], november["postings"], november["late"]) == ("open", 4, 2)
    assert _figures(november) == {"channel/taobao": (-500, 0, 79, -579), "promotion/": (500, 79, 0, 579)}

    shop.at("2026-12-01T00:00:00+08:00")
    assert shop.shut("2026-11").status == 200
    assert [shop.check(month)["equal"] for month in ("2026-10", "2026-11")] == [True, True]
    assert _figures(shop.report("2026-11")) == _figures(november)


def test_what_is_frozen(shop: Shop) -> None:
    """The event tells the position and root of the log, as a proof makes it, and the SHA-256 of the report's lines."""
    [event] = shop.shut("2026-10").body["events"]
    closed = event["data"]
    lines = shop.server.get("/v1/periods/2026-10/report?format=jsonl").raw
    assert hashlib.sha256(lines).hexdigest() == closed["report"] == shop.report("2026-10")["report"]
    proof = shop.server.run(prove(shop.finance.store, Proven.nothing(closed["position"])))
    assert proof.roots[-1].hash == closed["root"]
    told = [msgspec.json.decode(line) for line in lines.splitlines()]
    assert [line["line"] for line in told] == ["period", "account", "account", "total", "total", "all"]
    assert (told[0]["month"], told[0]["position"], told[0]["postings"]) == ("2026-10", closed["position"], 2)
    assert (told[-1]["debit_fen"], told[-1]["credit_fen"], told[-1]["closing_fen"]) == (500, 500, 0)
    assert all(list(line) == sorted(line) for line in told)


def test_recomputing_does_not_depend_on_the_read_tables_of_the_day(shop: Shop) -> None:
    """Rows that are folded from the log anew give the same bytes."""
    shop.shut("2026-10")
    shop.paid(70, "2026-10-30")
    shop.server.run(shop.server.embedded.rebuild())
    assert shop.check("2026-10")["equal"] is True


def test_what_differs_is_said(shop: Shop) -> None:
    """Where somebody altered rows, so that they still balance: the account, the figure, what was frozen and what is
    found. The next month is not built upon it."""
    shop.shut("2026-10")
    shop.server.run(_run(shop, "UPDATE posting_view SET amount_fen = amount_fen * ?", (2,)))
    found = shop.check("2026-10")
    assert found["equal"] is False
    assert found["found_report"] != found["report"]
    assert found["found_root"] == found["root"]
    assert [
        (one["account"], one["party"], one["figure"], one["frozen"], one["found"]) for one in found["differences"]
    ] == [
        ("channel", "taobao", "credit_fen", 500, 1000),
        ("channel", "taobao", "closing_fen", -500, -1000),
        ("promotion", "", "debit_fen", 500, 1000),
        ("promotion", "", "closing_fen", 500, 1000),
    ]
    shop.at("2026-12-01T00:00:00+08:00")
    assert shop.shut("2026-11").code == "opening_differs"
    shop.server.run(_run(shop, "UPDATE posting_view SET amount_fen = 499 WHERE amount_fen > ?", (0,)))
    assert shop.shut("2026-11").code == "books_unbalanced"


async def _run(shop: Shop, sql: str, values: tuple[object, ...] = ()) -> None:
    await shop.finance.appender.submit(Commit(statements=(Statement(sql, [values]),)))


def test_corrections_are_in_the_month_of_their_approval(shop: Shop) -> None:
    """One that waits while October is closed is told of, and posted in November once it is approved."""
    assert shop.correct().status == 200
    draft = shop.report("2026-10")
    assert ([one["code"] for one in draft["warnings"]], draft["obstacles"]) == (["waiting_corrections"], [])
    assert shop.shut("2026-10").status == 200
    assert shop.server.command("/v1/corrections/K1/approve", {}, "store_manager/老板").status == 200
    assert shop.report("2026-10")["waiting_corrections"] == 1
    assert _figures(shop.report("2026-11"))["bank/"] == (0, 0, 120, -120)
    assert shop.check("2026-10")["equal"] is True


def test_discrepancies_do_not_hold_a_month_up(shop: Shop) -> None:
    """How many were open is in the report, as it was then."""
    found = DiscrepancyFound(
        discrepancy="D1", kind="fee", channel="taobao", day="2026-10-05", expected_fen=0, found_fen=-120
    )
    origin = Origin(Actor("finance", "老钱"), "c1")
    shop.server.run(shop.finance.files.record(BOOKS, lambda *_: [found], origin))
    assert [one["code"] for one in shop.report("2026-10")["warnings"]] == ["open_discrepancies"]
    shop.shut("2026-10")
    assert shop.correct(legs=[], discrepancies=["D1"]).status == 200
    assert shop.server.command("/v1/corrections/K1/approve", {}, "store_manager/老板").status == 200
    assert shop.report("2026-10")["open_discrepancies"] == 1
    assert shop.report("2026-11")["open_discrepancies"] == 0
    assert shop.check("2026-10")["equal"] is True


def test_money_of_an_order_that_is_not_known_waits_for_it(shop: Shop) -> None:
    """A payment that was heard of before its order is of no channel yet: the month is closed once it is."""
    shop.hear(reward(30, 7, "TB2-1"), "2026-10-06T12:00:00+08:00", stream="TB2")
    assert [one["code"] for one in shop.report("2026-10")["obstacles"]] == ["orders_unheard"]
    assert shop.shut("2026-10").code == "orders_unheard"
    known = order()
    late = msgspec.structs.replace(known, order=msgspec.structs.replace(known.order, order_id="TB2"))
    shop.hear(late, "2026-10-01T09:00:00+08:00", stream="TB2")
    assert shop.shut("2026-10").status == 200


def test_nothing_is_closed_before_finance_has_heard_the_others(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cases committed may be of the month: closing waits for it, and says to try again where it does not come."""
    monkeypatch.setattr("services.kernel.log_reader.REACHED_SECONDS", 0.05)
    [reader] = [one for one in shop.followers.readers if one.source == "cases"]
    shop.server.run(reader.stop())
    assert shop.server.command("/v1/orders/TB9", order_body("TB9"), "service/erp", method="PUT").status == 201
    refused = shop.shut("2026-10")
    assert (refused.status, refused.code, shop.version()) == (503, "unavailable", 0)
    shop.server.run(_follow(shop, reader))
    shop.server.settle()
    assert shop.shut("2026-10").status == 200


async def _follow(shop: Shop, reader: LogReader) -> None:
    reader.start(await shop.finance.store.claim(reader.name, reader.source))


def test_a_log_that_was_altered_is_not_closed(shop: Shop) -> None:
    """What does not fit its hash is nothing to freeze, and nothing to agree with what was frozen."""
    assert shop.shut("2026-10").status == 200
    for trigger in shop.server.run(shop.finance.store.query("SELECT name FROM sqlite_master WHERE type = 'trigger'")):
        shop.server.run(_run(shop, f"DROP TRIGGER {trigger['name']}"))
    shop.server.run(_run(shop, "UPDATE events SET actor = 'system/x' WHERE stream = 'TB1' AND version = ?", (2,)))
    found = shop.check("2026-10")
    assert (found["equal"], found["found_root"], found["broken"]["stream"]) == (False, "", "TB1")
    shop.at("2026-12-01T00:00:00+08:00")
    assert shop.shut("2026-11").code == "log_broken"

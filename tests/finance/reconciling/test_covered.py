"""Which channels a month was not reconciled with: whoever closes it should know."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from services.finance.covered import _covers, not_reconciled
from tests.finance.reconciling.office import CLERK, Office

FIRST, LAST = date(2026, 10, 1), date(2026, 10, 31)


@pytest.mark.parametrize(
    ("spans", "covered"),
    [
        ([], False),
        ([("2026-10-01", "2026-10-31")], True),
        ([("2026-09-15", "2026-10-10"), ("2026-10-11", "2026-11-02")], True),
        ([("2026-10-01", "2026-10-20"), ("2026-10-05", "2026-10-31")], True),
        ([("2026-10-02", "2026-10-31")], False),
        ([("2026-10-01", "2026-10-10"), ("2026-10-12", "2026-10-31")], False),
    ],
)
def test_every_day_of_the_month_must_be_in_a_run(spans: list[tuple[str, str]], covered: bool) -> None:
    """Several runs may cover a month together; a day that none of them has is a gap."""
    assert _covers(FIRST, LAST, spans) is covered


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A shop with bills of October that nobody has looked at."""
    office = Office(tmp_path / "data", "2026-11-08T10:00:00+08:00")
    office.paid("HB1", 500, "2026-10-05")
    office.bills()
    office.get("/v1/bills?wait=true")
    yield office
    office.server.close()


def test_a_month_whose_bills_were_never_compared_is_told(office: Office) -> None:
    """A channel that bills came from is named until the whole month was reconciled with it; a month that was closed
    without says so for ever."""
    store = office.server.embedded._running["finance"].service.store
    assert office.server.run(not_reconciled(store, "2026-10")) == ["wechat"]
    assert office.server.run(not_reconciled(store, "9999-12")) == []
    warnings = office.get("/v1/periods/2026-10/report")["warnings"]
    assert [one["code"] for one in warnings if one["code"] == "not_reconciled"] == ["not_reconciled"]
    assert office.server.command("/v1/periods/2026-10/prepare", {}, CLERK).status == 200
    assert office.server.command("/v1/periods/2026-10/close", {}, "finance/小周").status == 200
    office.reconcile(first_day="2026-10-01", last_day="2026-10-31")
    office.get("/v1/reconciliations?wait=true")
    assert office.server.run(not_reconciled(store, "2026-10")) == []
    told = office.get("/v1/periods/2026-10/report")["warnings"]
    assert [one["zh"] for one in told if one["code"] == "not_reconciled"] == ["结账时本月尚未对账的渠道:wechat。"]

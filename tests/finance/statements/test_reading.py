"""Statements of a running shop, over HTTP and at the command line: what its events come to, in either language."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.kernel.actor import Actor
from tests.cli.conftest import _logging
from tests.cli.terminal import Told, aftersales
from tests.shop import FINANCE, Shop, check_books

__all__ = ["_logging"]

AGENT = Actor("agent", "小李")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A refund that was paid, and cash for a parcel that the carrier lost, of which some was collected."""
    folder = tmp_path_factory.mktemp("traded")
    asyncio.run(_traded(folder))
    return folder


async def _traded(folder: Path) -> None:
    shop = await Shop(folder).start()
    case_id = await shop.refund("TB1")
    await shop.server.settle()
    payout = {"payout": f"{case_id}:refund:F1", "status": "succeeded", "channel_ref": "WX-1"}
    await shop.must("POST", f"/v1/cases/{case_id}/confirm-payout", payout, by=FINANCE)
    await shop.order("TB2")
    opened = {"order_id": "TB2", "problem": "logistics_delay", "description": "太慢"}
    case_id = (await shop.must("POST", "/v1/cases", opened))["case_id"]
    here = f"/v1/cases/{case_id}"
    offer = {"kind": "cash", "amount_fen": 1_500}
    proposal = {"proposal": (await shop.must("POST", f"{here}/propose-compensation", offer, by=AGENT))["proposal"]}
    await shop.must("POST", f"{here}/record-buyer-reply", {**proposal, "accepted": True}, by=AGENT)
    await shop.must("POST", f"{here}/pay-compensation", {**proposal, "payment_ref": "WX-2"}, by=FINANCE)
    await shop.must("POST", f"{here}/assess-cause", {"cause": "lost_in_transit"}, by=AGENT)
    await shop.server.settle()
    claim = {"party": "courier/YTO", "amount_fen": 400, "payment_ref": "CLAIM-1"}
    await shop.must("POST", f"{here}/record-recovery", claim, by=FINANCE)
    await shop.server.settle()
    await check_books(shop.server)
    await shop.close()


@pytest.fixture
async def shop(folder: Path) -> AsyncIterator[Shop]:
    """The same shop, at work."""
    shop = await Shop(folder).start()
    yield shop
    await shop.close()


async def test_statements_over_http(shop: Shop) -> None:
    """Sums of every statement are balances of the ledger."""
    ledger = await shop.must("GET", "/v1/ledger/trial-balance?month=2026-10", by=FINANCE)
    held = {(row["account"], row["party"]): row["closing_fen"] for row in ledger["rows"]}

    async def told(path: str) -> Any:
        return await shop.must("GET", f"/v1/{path}", by=AGENT)

    parties = await told("statements/parties?month=2026-10")
    [yto] = parties["parties"]
    assert yto["closing_fen"] == held["recoverable", "courier/YTO"] == 1_100
    assert parties["as_at"]["position"] == await shop.service("finance").store.head_position()
    party = await told("statements/parties/courier/YTO")
    assert [one["move"] for one in party["moves"]] == ["charged", "recovered"]
    assert party["total"]["closing_fen"] == 1_100
    suspense = await told("statements/suspense")
    assert suspense["total"]["closing_fen"] == held["suspense", ""] == 60_000
    assert (await told("statements/deposits"))["total"]["closing_fen"] == 0
    refunds = await told("statements/refunds?by=sku&month=2026-10")
    assert [(row["key"], row["refunded_fen"]) for row in refunds["rows"]] == [("LOCK-A1", 129_900)]
    assert refunds["total"]["goods_fen"] == held["sales_returned", ""]
    losses = await told("statements/losses?by=party&first_month=2026-10&last_month=2026-10")
    assert {row["key"]: row["net_fen"] for row in losses["rows"]} == {"": held["suspense", ""], "courier/YTO": 1_100}
    assert (losses["months"], losses["trends"][1]["recovered_fen"]) == (["2026-10"], [400])
    behind = await told("statements/losses/cases?by=party&group=courier/YTO&limit=1")
    assert [(one["case_id"], one["loss_fen"]) for one in behind["items"]] == [("TB2-1", 1_500)]
    assert (behind["total"]["loss_fen"], behind["has_more"], len(behind["months"])) == (1_500, False, 12)
    [first] = (await told("statements/losses/cases?by=channel&group=taobao&limit=1"))["items"]
    after = f"{first['loss_fen']}:{first['case_id']}"
    [second] = (await told(f"statements/losses/cases?by=channel&group=taobao&after={after}"))["items"]
    assert (first["case_id"], second["case_id"]) == ("TB1-1", "TB2-1")
    owed = await told("statements/recoveries")
    assert [(row["party"], row["closing_fen"], row["open_cases"]) for row in owed["parties"]] == [
        ("courier/YTO", 1_100, 1)
    ]
    indicators = await told("indicators?month=2026-10&defect_cases=1&defect_share_bp=0")
    assert indicators["refund_rate"] == {"numerator": 1, "denominator": 2, "bp": 5_000}
    assert [row["agent"] for row in indicators["agents"]] == ["agent/小李"]
    assert [one["cause"] for one in indicators["batch_defects"]["alarms"]] == ["lost_in_transit"]


REFUSED = (
    ("statements/parties?month=2026-13", "month"),
    ("statements/parties?month=2027-01", "month"),
    ("indicators?month=0000-01", "month"),
    ("statements/parties?months=2026-10", "months"),
    ("statements/parties/nobody", "party"),
    ("statements/parties/production/小张", "party"),
    ("statements/refunds?by=agent", "by"),
    ("indicators?defect_cases=0", "defect_cases"),
    ("statements/losses?by=agent", "by"),
    ("statements/losses?first_month=2026-13", "first_month"),
    ("statements/losses?last_month=2027-01", "last_month"),
    ("statements/losses?sku=", "sku"),
    ("statements/losses?group=x", "group"),
    ("statements/losses/cases", "group"),
    ("statements/losses/cases?by=month&group=2020-01", "group"),
    ("statements/losses/cases?by=month&group=october", "group"),
    ("statements/losses/cases?group=x&after=last", "after"),
    ("statements/losses/cases?group=x&limit=0", "limit"),
    ("statements/losses/cases?group=x&wait=yes", "wait"),
    ("statements/losses?limit=0", "limit"),
    ("statements/recoveries?by=party", "by"),
    ("indicators?defect_days=1.5", "defect_days"),
)


async def test_what_cannot_be_asked_is_refused(shop: Shop) -> None:
    """Each refusal names the parameter."""
    for path, field in REFUSED:
        status, problem = await shop.call("GET", f"/v1/{path}", by=AGENT)
        assert (status, problem["code"], problem["errors"][0]["field"]) == (422, "invalid", field), path
    status, problem = await shop.call("GET", "/v1/statements/parties/courier", by=AGENT)
    assert (status, problem["code"]) == (422, "party_name_required")


def _told(folder: Path, *arguments: str, lang: str = "en_US.UTF-8") -> Told:
    told = aftersales(*arguments, "--data-dir", str(folder), LANG=lang)
    assert told.status == 0, told.err
    return told


@pytest.mark.parametrize(
    ("command", "english", "chinese"),
    [
        (("statement", "parties"), ("Courier YTO", "15.00", "11.00", "over 90 days"), ("快递 YTO", "账龄")),
        (("statement", "party", "courier/YTO"), ("TB2-1", "- recovered", "-4.00"), ("逐笔", "追偿到账")),
        (("statement", "deposits"), ("Deposits", "= sum"), ("押金",)),
        (("statement", "suspense"), ("TB1-1", "600.00"), ("待定损失", "天数")),
        (("statement", "refunds", "--by", "channel"), ("taobao", "1 299.00"), ("渠道",)),
        (("indicators",), ("50.00 %", "agent 小李", "YTO", "none"), ("退款率", "客服 小李", "批次缺陷")),
    ],
    ids=["parties", "party", "deposits", "suspense", "refunds", "indicators"],
)
def test_statements_on_paper(
    folder: Path, command: tuple[str, ...], english: tuple[str, ...], chinese: tuple[str, ...]
) -> None:
    """Names, yuan and of when the books are: in either language, and as JSON."""
    paper = _told(folder, *command).out
    for said in (*english, "Books up to position"):
        assert said.replace("- ", "− ") in paper, paper
    paper = _told(folder, *command, lang="zh_CN.UTF-8").out
    for said in (*chinese, "账簿截至位置"):
        assert said in paper, paper
    assert _told(folder, *command, "--json").json["as_at"]["position"] > 0


def test_a_month_that_is_none_is_refused_on_paper(folder: Path) -> None:
    """In both languages, and with the status of what was asked wrongly."""
    told = aftersales("statement", "parties", "--month", "October", "--data-dir", str(folder))
    told.must_fail(2, "month", "2026-10")

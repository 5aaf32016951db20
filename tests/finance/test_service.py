"""The finance service at work: its books hold what the events of the others post, and nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.finance.ledger.accounts import external_parties
from services.finance.ledger.ledger import orders
from services.finance.ledger.trial import Trial
from services.histories import Logs
from services.kernel.event_store import Commit, Statement
from tests.shop import FINANCE, Shop, check_books


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """Two orders: a refund that finance paid by hand, and cash for a scratch that is nobody's yet."""
    shop = await Shop(tmp_path).start()
    case_id = await shop.refund("TB1")
    await shop.server.settle()
    payout = {"payout": f"{case_id}:refund:F1", "status": "succeeded", "channel_ref": "WX-1"}
    await shop.must("POST", f"/v1/cases/{case_id}/confirm-payout", payout, by=FINANCE)
    await shop.order("TB2")
    opened = await shop.must(
        "POST", "/v1/cases", {"order_id": "TB2", "problem": "bad_review_threat", "description": "差评"}
    )
    offer = {"kind": "cash", "amount_fen": 1_500}
    case_id, proposal = opened["case_id"], ""
    proposal = (await shop.must("POST", f"/v1/cases/{case_id}/propose-compensation", offer))["proposal"]
    await shop.must("POST", f"/v1/cases/{case_id}/record-buyer-reply", {"proposal": proposal, "accepted": True})
    paid = {"proposal": proposal, "payment_ref": "WX-2"}
    await shop.must("POST", f"/v1/cases/{case_id}/pay-compensation", paid)
    await shop.server.settle()
    yield shop
    await shop.close()


async def test_the_stored_books_are_those_that_the_logs_come_to(shop: Shop) -> None:
    """The trial balance of the tables is the one that is made of the logs on demand, account by account."""
    logs = Logs(*(shop.service(name).store for name in ("cases", "refunds", "liability")))
    made = Trial()
    async for order in orders(logs, external_parties(shop.server.policy)):
        made.add(order.postings)
    told = await shop.must("GET", "/v1/ledger/trial-balance", by=FINANCE)
    expected = sorted((row.account, row.party, row.closing_fen) for row in made.balance().rows)
    assert sorted((row["account"], row["party"], row["closing_fen"]) for row in told["rows"]) == expected
    assert told["balances"]
    assert told["position"] == await shop.service("finance").store.head_position()


async def test_what_moved_on_a_channel_says_which_and_by_what_reference(shop: Shop) -> None:
    """Postings on channels name the order's channel, our reference and the channel's own, to be found on its bill."""
    page = await shop.must("GET", "/v1/ledger/postings?account=channel", by=FINANCE)
    told = sorted((row["party"], row["amount_fen"], row["item"], row["channel_ref"]) for row in page["items"])
    assert told == [("taobao", -129_900, "TB1-1:refund:F1", "WX-1"), ("taobao", -1_500, "WX-2", "")]


async def test_debits_are_credits_and_a_lost_row_is_seen(shop: Shop) -> None:
    """The check adds every posting up, and names the event, order and day of one that is missing."""
    assert (await shop.must("GET", "/v1/ledger/check", by=FINANCE))["holds"] is True
    store = shop.service("finance").store
    [lost] = await store.query(
        "SELECT event_id, line, day FROM posting_view WHERE item = 'WX-2' AND account = 'channel'"
    )
    await _damage(shop, "DELETE FROM posting_view WHERE event_id = ? AND line = ?", lost["event_id"], lost["line"])
    told = await shop.must("GET", "/v1/ledger/check", by=FINANCE)
    assert told["holds"] is False
    assert {(one["kind"], one["id"], one["excess_fen"]) for one in told["unbalanced"]} == {
        ("event", lost["event_id"], 1_500),
        ("order", "TB2", 1_500),
        ("day", lost["day"], 1_500),
    }


async def test_the_consistency_check_covers_the_books(shop: Shop) -> None:
    """Every row of finance is what its log comes to; after a rebuild of all read tables it still is."""
    await check_books(shop.server)
    await shop.server.rebuild()
    await check_books(shop.server)


async def test_events_that_come_again_post_nothing_twice(shop: Shop) -> None:
    """Delivered once more, every event posts what it had posted."""
    before = await shop.must("GET", "/v1/ledger/trial-balance", by=FINANCE)
    await shop.server.redeliver()
    assert await shop.must("GET", "/v1/ledger/trial-balance", by=FINANCE) == before


async def _damage(shop: Shop, sql: str, *params: object) -> None:
    await shop.service("finance").appender.submit(Commit(statements=(Statement(sql, [params]),)))

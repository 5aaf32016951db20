"""What the ledger of any shop must say at the end of a history: it balances, and agrees with refunds and liability."""

from collections import Counter
from collections.abc import Sequence
from itertools import permutations

from contracts.events.cases import CaseClosed, CaseReopened
from contracts.policy import load_policy
from services.finance.domain.domain import FinanceDomain
from services.finance.domain.order import OrderBooks
from services.finance.ledger.accounts import CHART, external_parties
from services.finance.ledger.ledger import orders
from services.finance.ledger.postings import Posting
from services.finance.ledger.trial import Trial
from services.histories import Logs
from services.kernel.event_store import Reads
from services.kernel.history import the_end
from services.kernel.log import Record
from services.liability.balances import balances
from services.scenarios.instance import EmbeddedInstance


async def the_books_balance(instance: EmbeddedInstance) -> None:
    """Every event, order and day balances and every identity holds, to the fen; sums over all orders are those that
    liability and the tables of refunds say."""
    stores = {name: one.service.store for name, one in instance._server._running.items()}
    logs = Logs(stores["cases"], stores["refunds"], stores["liability"])
    external = external_parties(load_policy(instance._policy or None))
    postings: list[Posting] = []
    trial = Trial()
    finance = FinanceDomain(load_policy(instance._policy or None))
    async for order in orders(logs, external):
        assert order.breaks == []
        own = [
            [record for record in await store.read_stream(order.order_id) if record.source == name]
            for name, store in stores.items()
        ]
        assert_heard_in_any_order(finance, order.order_id, own, order.postings)
        assert sum(one.amount_fen for one in order.postings) == 0
        postings += order.postings
        trial.add(order.postings)
    assert trial.balance().balances
    assert list(trial.days_that_differ()) == []
    held: Counter[str] = Counter()
    borne: Counter[str] = Counter()
    owed: Counter[str] = Counter()
    for one in postings:
        held[one.account] += one.amount_fen
        borne[one.party] += one.amount_fen if one.account == "losses" else 0
        owed[one.party] += one.amount_fen if one.account == "recoverable" else 0
    closed = await _closed(logs.cases)
    left: Counter[tuple[str, str]] = Counter()
    for one in postings:
        left[one.account, one.case_id] += one.amount_fen
    assert not {key: fen for key, fen in left.items() if fen and CHART[key[0]].ends_empty and key[1] in closed}
    told = await balances(logs.liability, await the_end(logs.liability))
    assert held["suspense"] == told.suspense_fen
    assert {name: fen for name, fen in borne.items() if fen} == {
        one.party: one.charged_fen for one in told.parties if one.charged_fen
    }
    assert {name: fen for name, fen in owed.items() if fen} == {
        one.party: one.charged_fen - one.recovered_fen
        for one in told.parties
        if one.party.partition("/")[0] in external and one.charged_fen != one.recovered_fen
    }
    rows = await stores["refunds"].query("SELECT status, amount_fen FROM payout_view")
    assert -held["payouts_in_transit"] == sum(
        row["amount_fen"] for row in rows if row["status"] in ("requested", "unknown")
    )
    paid = sum(-one.amount_fen for one in postings if one.account == "channel" and one.type == "payout.succeeded")
    assert paid == sum(row["amount_fen"] for row in rows if row["status"] == "succeeded")


def assert_heard_in_any_order(
    finance: FinanceDomain, order_id: str, heard: Sequence[Sequence[Record]], expected: Sequence[Posting]
) -> None:
    """Whichever service is heard first, the books of the finance service hold the same postings, but for the name of a
    channel, which the order tells."""
    wanted = sorted(map(_but_channel, expected))
    for order in permutations(heard):
        books = finance.new_file(order_id)
        assert isinstance(books, OrderBooks)
        for record in (record for records in order for record in records if record.type in finance.learns):
            books.evolve(record)
        assert not books.misposted
        assert sorted(_but_channel(one) for postings in books.postings.values() for one in postings) == wanted
        assert books.order is not None


def _but_channel(posting: Posting) -> tuple[str, ...]:
    party = "" if posting.account == "channel" else posting.party
    about = posting.case_id, posting.item, posting.memo
    return posting.event_id, posting.account, party, str(posting.amount_fen), *about


async def _closed(log: Reads) -> set[str]:
    """Cases that are finished."""
    closed: set[str] = set()
    for head in await log.streams():
        for record in await log.read_stream(head.stream):
            match record.event:
                case CaseClosed(case_id=case_id):
                    closed.add(case_id)
                case CaseReopened(case_id=case_id):
                    closed.discard(case_id)
    return closed

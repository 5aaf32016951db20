"""Events that were altered in a copy are found, with their order and events; what is merely on its way is not."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from contracts.policy import load_policy
from contracts.registry import decode
from services.finance.ledger.accounts import external_parties
from services.finance.ledger.identities import TEXTS, Break
from services.finance.ledger.ledger import orders, posted
from services.histories import History, Logs
from services.kernel.stores import open_store
from tests.doctor.damage import Books
from tests.whatif.conftest import SERVICES

EXTERNAL = external_parties(load_policy())


def _breaks(folder: Path) -> list[Break]:
    async def read() -> list[Break]:
        stores = [open_store(f"sqlite:///{folder / name}.db", decode, read_only=True) for name in SERVICES]
        found = [one async for order in orders(Logs(*stores), EXTERNAL) for one in order.breaks]
        for store in stores:
            await store.close()
        return found

    return asyncio.run(read())


#: Where an event is altered, to what, and what is found.
ALTERED: Sequence[tuple[str, str, dict[str, Any], set[str]]] = [
    ("cases", "deposit.collected", {"amount_fen": 10_002}, {"deposits", "left_over"}),
    ("cases", "deposit.returned", {"amount_fen": 9_000}, {"deposits", "left_over"}),
    ("cases", "return.received", {"freight_fen": 1_301}, {"left_over"}),
    ("cases", "reshipment.shipped", {"goods_cost_fen": 1}, {"not_recorded"}),
    ("refunds", "payout.succeeded", {"amount_fen": 1_299}, {"in_transit", "left_over"}),
    ("refunds", "payout.requested", {"amount_fen": 1_299}, {"in_transit", "left_over"}),
    ("refunds", "return_freight.reimbursed", {"amount_fen": 1_299}, {"misposted", "left_over", "not_recorded"}),
    ("liability", "loss.recorded", {"amount_fen": -1}, {"not_recorded", "suspense", "left_over"}),
    ("liability", "loss.recorded", {"entry": "weather"}, {"misposted", "not_recorded", "suspense", "left_over"}),
    ("liability", "loss.charged", {"amount_fen": 1}, {"suspense", "left_over"}),
]


@pytest.mark.parametrize(
    ("service", "type_", "changes", "codes"),
    ALTERED,
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set) else str(value),
)
def test_what_was_altered_is_found(
    exchanged: Path, tmp_path: Path, service: str, type_: str, changes: dict[str, Any], codes: set[str]
) -> None:
    """Each break names its order, its case and events, and what should be there."""
    books = Books.copied(exchanged, tmp_path / "data")
    books.alter(service, type_, **changes)
    found = _breaks(books.folder)
    assert {one.code for one in found} == codes
    for one in found:
        assert (one.order_id, one.case_id) == ("LIB43", "LIB43-1")
        assert one.expected_fen != one.found_fen or one.code == "misposted"
        assert one.events
        assert one.zh != one.en


def test_what_cannot_be_read_is_told_and_the_others_go_on(history: Path, tmp_path: Path) -> None:
    """One damaged order never hides the rest."""
    books = Books.copied(history, tmp_path / "data")
    books.damage("refunds", "UPDATE events SET data = x'00' WHERE stream = 'WC' AND type = 'refund.calculated'")
    [broken] = _breaks(books.folder)
    assert (broken.code, broken.order_id) == ("unreadable", "WC")
    assert broken.events[0].id.startswith("WC#")


async def _histories(folder: Path) -> list[History]:
    stores = [open_store(f"sqlite:///{folder / name}.db", decode, read_only=True) for name in SERVICES]
    found = []
    for head in await stores[0].streams():
        heard = {name: (await stores[2].inbox(name, [head.stream])).get(head.stream, 0) for name in SERVICES[:2]}
        cases, refunds, liability = [await store.read_stream(head.stream) for store in stores]
        found.append(History(head.stream, cases, refunds, liability, heard))
    for store in stores:
        await store.close()
    return found


async def test_what_is_on_its_way_is_no_break(history: Path) -> None:
    """While liability or refunds is behind, what it has not heard is neither a break nor hides one."""
    for order in await _histories(history):
        assert posted(order, EXTERNAL).breaks == []
        behind = History(order.order_id, order.cases, order.refunds, [], {"cases": 0, "refunds": 0})
        assert posted(behind, EXTERNAL).breaks == []
        begun = [place for place, record in enumerate(order.refunds) if record.source == "cases"]
        for place in begun:  # what follows from an event is written with it
            behind = History(order.order_id, order.cases, order.refunds[:place], [], {"cases": 0, "refunds": 0})
            assert posted(behind, EXTERNAL).breaks == []


async def test_what_was_heard_and_never_recorded_is_a_break(history: Path) -> None:
    """A fact that liability says it heard must be an entry of the loss."""
    lost = [
        (order.order_id, one.code, one.found_fen, [event.type for event in one.events])
        for order in await _histories(history)
        for one in posted(History(order.order_id, order.cases, order.refunds, [], order.heard), EXTERNAL).breaks
        if order.order_id == "WA"
    ]
    assert lost == [("WA", "not_recorded", 2_000, ["compensation.paid"])]


def test_every_break_is_said_in_both_languages() -> None:
    """Nobody reads a bare code."""
    assert all(text.zh and text.en and text.zh != text.en for text in TEXTS.values())

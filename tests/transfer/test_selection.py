"""Which events are meant: by what they are, where they stand, and when they happened."""

from datetime import timedelta
from typing import Any

import pytest

from services.kernel.event_store import EventStore
from services.kernel.log import NoSuchRange
from services.transfer import selection as selecting
from services.transfer.selection import Selection, latest, pages
from tests.transfer.conftest import NewLog
from tests.transfer.history import NOON, grow

PARTY = b'{"type":"loss.charged","case_id":"TB1-1","party":"courier/YTO","amount_fen":1}'
SHARES = b'{"type":"liability.assigned","case_id":"TB1-1","shares":[{"party":"courier/YTO","share_bp":1}]}'


@pytest.fixture
async def store(new_log: NewLog, monkeypatch: pytest.MonkeyPatch) -> EventStore:
    """A log of 30 events, read 4 at a time."""
    monkeypatch.setattr(selecting, "PAGE_RECORDS", 4)
    store = await new_log("log", 30)
    await grow(store, 31, 31, data=PARTY)
    await grow(store, 32, 32, data=SHARES)
    return store


async def found(store: EventStore, **asked: Any) -> list[int]:
    """Positions, read forwards; and backwards it is the same."""
    selection = Selection(**asked)
    forwards = [record async for page in pages(store, "cases", selection) for record in page.records]
    assert await latest(store, "cases", selection, 1_000) == forwards
    assert await latest(store, "cases", selection, 3) == forwards[-3:]
    return [record.position for record in forwards]


@pytest.mark.parametrize(
    ("asked", "positions"),
    [
        ({}, [*range(1, 33)]),
        ({"learned": False}, [n for n in range(1, 33) if n % 3]),
        ({"order": "TB1"}, [1, 8, 15, 22, 29]),
        ({"case": "TB1-1"}, [1, 8, 15, 22, 29]),
        ({"case": "TB1-2"}, []),
        ({"case": "TB1-1", "order": "TB2"}, []),
        ({"order": "TB1", "first": 8, "last": 22}, [8, 15, 22]),
        ({"order": "nobody"}, []),
        ({"types": ("refund.calculated",), "last": 10}, [3, 6, 9]),
        ({"first": 5, "last": 8}, [5, 6, 7, 8]),
        ({"first": 32}, [32]),
        ({"since": NOON + timedelta(minutes=30), "until": NOON + timedelta(minutes=32)}, [30, 31, 32]),
        ({"party": "courier"}, [31, 32]),
        ({"party": "courier/YTO"}, [31, 32]),
        ({"party": "courier/YT"}, []),
    ],
)
async def test_what_is_chosen(store: EventStore, asked: dict[str, Any], positions: list[int]) -> None:
    """Every filter takes what it says and nothing else, across pages, forwards and backwards."""
    assert await found(store, **asked) == positions


@pytest.mark.parametrize(
    ("first", "last", "upside_down"), [(33, 0, False), (1, 33, False), (5, 4, True), (40, 35, True)]
)
async def test_a_range_that_is_not_there(store: EventStore, first: int, last: int, upside_down: bool) -> None:
    """A range past the end or upside down is an error that says how far the log goes, never an empty answer."""
    with pytest.raises(NoSuchRange) as raised:
        [page async for page in pages(store, "cases", Selection(first=first, last=last))]
    assert (raised.value.head, raised.value.upside_down) == (32, upside_down)


async def test_an_empty_log_is_empty(new_log: NewLog) -> None:
    """All of nothing is nothing, and no error."""
    assert await found(await new_log("empty")) == []


async def test_what_comes_meanwhile_is_left_out(store: EventStore) -> None:
    """A reading comes to an end however fast events come in."""
    read = []
    async for page in pages(store, "cases", Selection()):
        read += page.records
        head = await store.head_position()
        await grow(store, head + 1, head + 4)
    assert len(read) == 32

"""What is recorded is sealed, by one key a number, whatever processes do at once and whatever fails on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from contracts.event import free_texts
from contracts.policy import load_policy
from services.cases.domain.domain import CasesDomain
from services.cases.views import CasesViews
from services.kernel.actor import Actor
from services.kernel.clock import ManualClock
from services.kernel.event_store import Commit, CommitResult, KeyRow, StoreUnavailable
from services.kernel.files import Origin
from services.kernel.migrations import migrate
from services.kernel.sealing import KeptKeys, find_sealed
from services.kernel.service import Part, Service
from services.stack.postgres import PostgresCluster
from tests.kernel.postgres import MIGRATIONS, PostgresDatabase
from tests.shop import NOON

MANAGER = Origin(Actor("store_manager", "老陈"), "correlation", "cause")
PART = Part(CasesDomain(load_policy()), CasesViews(), MIGRATIONS, (), keeps_keys=True)
ORDER: dict[str, Any] = {
    "channel": "taobao",
    "buyer_id": "b1",
    "ordered_at": "2026-10-02T09:00:00+08:00",
    "lines": [{"line_id": "L1", "sku": "LOCK", "kind": "product", "quantity": 1, "paid_fen": 100, "unit_cost_fen": 1}],
}
Make = Callable[[], Service[Any]]


@pytest.fixture(scope="module")
def postgres_url(postgres: PostgresCluster) -> str:
    return PostgresDatabase(postgres, "sealing").url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    url = f"sqlite+aiosqlite:///{tmp_path / 'cases.db'}"
    migrate(url, MIGRATIONS)
    return url


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
async def make(database_url: str) -> AsyncIterator[Make]:
    """Makes processes of the cases service on one database."""
    made: list[Service[Any]] = []

    def make() -> Service[Any]:
        made.append(Service(PART, database_url, ManualClock(NOON)))
        return made[-1]

    yield make
    for service in made:
        await service.close()


async def order(service: Service[Any], order_id: str) -> None:
    await service.files.command(order_id, "", "record_order", {"order_id": order_id, **ORDER}, MANAGER)


async def opened(service: Service[Any], order_id: str, words: str) -> Any:
    body = {"order_id": order_id, "problem": "logistics_delay", "description": words}
    return await service.files.command(order_id, "", "open_case", body, MANAGER)


async def erase(service: Service[Any], order_id: str) -> Any:
    body = {"order_id": order_id, "reason": "asked"}
    return await service.files.command(order_id, "", "erase_personal_data", body, MANAGER)


async def read(service: Service[Any], order_id: str) -> list[str | None]:
    """The texts of an order as their keys tell them, None where that was destroyed."""
    keys = await KeptKeys(service.store).keys(order_id)
    records = await service.store.read_stream(order_id)
    texts = [text for record in records for text in free_texts(record.event).values()]
    sealed = [one for text in texts for one in find_sealed(text)]
    assert len(sealed) == len(texts)
    found = [(one, keys[one.number]) for one in sealed]
    return [None if key is None else key.open(one) for one, key in found]


async def numbers(service: Service[Any], order_id: str) -> dict[int, bool]:
    """The numbers of an order's keys, and whether each is there."""
    return {number: key is not None for number, key in (await KeptKeys(service.store).keys(order_id)).items()}


async def test_one_key_an_order_until_it_is_destroyed(make: Make) -> None:
    """All texts of an order share a key; what comes after an erasure gets the next one, and nothing is read as if it
    were of the other."""
    service = make()
    await order(service, "TB1")
    await opened(service, "TB1", "甲")
    await opened(service, "TB1", "乙")
    assert await numbers(service, "TB1") == {1: True}
    assert await read(service, "TB1") == ["甲", "乙"]
    assert [record.type for record in (await erase(service, "TB1")).records] == ["personal_data.erased"]
    assert await read(service, "TB1") == [None, None]
    before = await service.store.head_position()
    assert not (await erase(service, "TB1")).records
    assert await service.store.head_position() == before
    await opened(service, "TB1", "丙")
    assert await numbers(service, "TB1") == {1: False, 2: True}
    assert await read(service, "TB1") == [None, None, "丙"]


async def test_processes_that_write_at_once_seal_with_one_key(make: Make) -> None:
    """Whichever process comes first with the first text of an order: nobody seals with a key that is not the one that
    is kept, and a process that remembers a destroyed key does not use it."""
    one, other = make(), make()
    for number in range(12):
        name = f"R{number}"
        await order(one, name)
        done = await asyncio.gather(
            *(opened(who, name, str(place)) for place, who in enumerate((one, other, one, other)))
        )
        assert {case["description"] for case in map(_described, done)} == {"0", "1", "2", "3"}
        assert await numbers(one, name) == {1: True}
        assert sorted(text or "" for text in await read(one, name)) == ["0", "1", "2", "3"]
        await asyncio.gather(erase(one, name), opened(other, name, "late"))
        await opened(other, name, "later")
        assert (await read(other, name))[-1] == "later"
        assert set(await read(other, name)) <= {None, "late", "later"}


def _described(decided: Any) -> dict[str, str]:
    opened = decided.records[0].event
    return {"description": decided.words[opened.description]}


async def test_key_of_a_failed_commit_is_never_used(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text whose key was not written with it would be lost for ever: what failed leaves no key behind in memory."""
    service = make()
    await order(service, "F1")
    submit = service.appender.submit

    async def fails(commit: Commit) -> CommitResult:
        raise StoreUnavailable("full")

    monkeypatch.setattr(service.appender, "submit", fails)
    with pytest.raises(StoreUnavailable):
        await opened(service, "F1", "甲")
    monkeypatch.setattr(service.appender, "submit", submit)
    await opened(service, "F1", "乙")
    assert await read(service, "F1") == ["乙"]


async def test_folding_sees_no_words(make: Make) -> None:
    """What is in memory is what a replay would give: sealed texts, before and after the file was read again."""
    service = make()
    await order(service, "M1")
    await opened(service, "M1", "李先生")
    async with service.files.reading("M1") as (file, _):
        held = file.cases["M1-1"].description
    assert held.startswith("sealed:1:M1:1:")
    await service.files.forget()
    async with service.files.reading("M1") as (file, _):
        assert file.cases["M1-1"].description == held


def files_in(folder: Path) -> bytes:
    """Every byte that a folder holds."""
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def test_destroyed_keys_leave_the_files_of_sqlite(tmp_path: Path, sqlite_url: str) -> None:
    """On SQLite the bytes of a destroyed key are gone from the database and its journal at once, whatever pages it
    stood on before; those of others are there."""
    service: Service[Any] = Service(PART, sqlite_url, ManualClock(NOON))
    secrets = {f"TB{(number * 7919) % 5000:05}": number.to_bytes(4) * 8 for number in range(1, 5001)}
    rows = [KeyRow(order_id, 1, secret) for order_id, secret in secrets.items()]
    for start in range(0, len(rows), 50):
        await service.store.commit([Commit(keys=tuple(rows[start : start + 50]))])
    gone = list(secrets)[::37]
    await service.store.commit([Commit(keys=tuple(KeyRow(order_id, 1, None, NOON) for order_id in gone))])
    held = files_in(tmp_path)
    assert [order_id for order_id in gone if secrets[order_id] in held] == []
    assert all(secrets[order_id] in held for order_id in secrets if order_id not in gone)
    await service.close()


async def test_journal_is_emptied_once_readers_let_it(tmp_path: Path, sqlite_url: str) -> None:
    """A reader who is in the way holds up no commit; the destroyed key is gone with the first commit afterwards."""
    service: Service[Any] = Service(PART, sqlite_url, ManualClock(NOON))
    secret = bytes(range(32))
    await service.store.commit([Commit(keys=(KeyRow("TB1", 1, secret),))])
    async with service.store.snapshot() as reads:
        await reads.head_position()
        await asyncio.wait_for(service.store.commit([Commit(keys=(KeyRow("TB1", 1, None, NOON),))]), 2)
        assert secret in files_in(tmp_path)
    await order(service, "TB2")
    assert secret not in files_in(tmp_path)
    await service.close()

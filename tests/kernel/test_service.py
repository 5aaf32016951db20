"""One service put together: how it starts, shows how it is, replays, and ends."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.policy import load_policy
from services.cases.domain.domain import CasesDomain
from services.cases.views import CasesViews
from services.kernel.clock import ManualClock
from services.kernel.event_store import StoreUnavailable
from services.kernel.service import Part, Service
from tests.kernel.bus_contract import until
from tests.kernel.toy import BY_AGENT, MIGRATIONS, NOON

ORDER = {
    "channel": "taobao",
    "buyer_id": "b",
    "ordered_at": "2026-02-01T09:00:00+08:00",
    "lines": [{"line_id": "L1", "sku": "A", "kind": "product", "quantity": 1, "paid_fen": 100, "unit_cost_fen": 1}],
}


def new_service(folder: Path) -> Service[Any]:
    return Service(Part(CasesDomain(load_policy()), CasesViews(), MIGRATIONS, ("cases",)), folder, ManualClock(NOON))


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service[Any]]:
    service = new_service(tmp_path)
    await service.open()
    await service.follow({"cases": service.store})
    yield service
    await service.close()


async def open_case(service: Service[Any], order_id: str) -> None:
    await service.files.command(order_id, "", "record_order", {"order_id": order_id, **ORDER}, BY_AGENT)
    body = {"order_id": order_id, "problem": "logistics_delay", "description": "迟"}
    await service.files.command(order_id, "", "open_case", body, BY_AGENT)


async def cases(service: Service[Any]) -> list[str]:
    return [row["case_id"] for row in await service.store.query("SELECT case_id FROM case_view ORDER BY case_id")]


async def test_tables_show_what_was_just_written(service: Service[Any]) -> None:
    """Who waits for the read tables finds in them what was committed before."""
    for n in range(5):
        await open_case(service, f"TB{n}")
        await service.views_caught_up()
        assert len(await cases(service)) == n + 1
    await service.readers[1].reached(await service.store.head_position())
    assert [(lag.consumer, lag.behind) for lag in await service.lags()] == [("views", 0), ("cases-hears-cases", 0)]
    assert await service.ready() == []


async def test_tables_that_do_not_come_on_are_retryable(service: Service[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """If the read tables are far behind, the reader is told to come again, not left waiting."""
    monkeypatch.setattr("services.kernel.log_reader.REACHED_SECONDS", 0.05)
    await service.readers[0].stop()
    await open_case(service, "TB1")
    with pytest.raises(StoreUnavailable):
        await service.views_caught_up()


async def test_rebuilding_and_redelivering_under_load(service: Service[Any]) -> None:
    """Replays beside a stream of commands end with the same tables and no event twice."""
    commands = [asyncio.create_task(open_case(service, f"TB{n:02}")) for n in range(40)]
    for _ in range(4):
        await asyncio.gather(service.rebuild(), service.redeliver(), service.rebuild())
    await asyncio.gather(*commands)
    await service.views_caught_up()
    assert await cases(service) == [f"TB{n:02}-1" for n in range(40)]
    assert len([one for one in asyncio.all_tasks() if one.get_name().startswith("reader:")]) == 2


async def test_rebuild_that_fails_leaves_the_tables_followed(
    service: Service[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay that cannot begin, because the database is away, does not end the following of the log."""

    async def fails() -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(service.projector, "clear", fails)
    with pytest.raises(StoreUnavailable):
        await service.rebuild()
    await open_case(service, "TB1")
    await service.views_caught_up()
    assert await cases(service) == ["TB1-1"]


async def test_timer_goes_on_after_a_failure(service: Service[Any]) -> None:
    """What fails in one round is tried in the next, and told once as long as it is the same."""
    rounds = 0

    async def action() -> None:
        nonlocal rounds
        rounds += 1
        if rounds < 4:
            raise RuntimeError("not now")

    with capture_logs() as logs:
        service.every(0.01, action)
        await until(lambda: rounds > 5)
    assert [one["event"] for one in logs] == ["timer_failed"]


async def test_not_ready_is_said_why(service: Service[Any]) -> None:
    """A stuck consumer and a database that is gone are named, and asking does not fail."""
    service.readers[0].failing = "something"
    assert await service.ready() == ["views: something"]
    service.readers[0].failing = ""
    path = service._url.removeprefix("sqlite+aiosqlite:///")
    os.rename(path, f"{path}.away")
    assert await service.ready() == ["migrations pending"]
    await asyncio.to_thread(Path(path).write_bytes, b"this is no database, however long it is looked at" * 100)
    [problem] = await service.ready()
    assert problem.startswith("database: ")
    os.replace(f"{path}.away", path)


async def test_restart_keeps_everything(tmp_path: Path) -> None:
    """Opened again, a service stands where it ended, and closing twice or unopened is no error."""
    for n in range(3):
        service = new_service(tmp_path)
        await service.open()
        await service.follow({"cases": service.store})
        await open_case(service, f"TB{n}")
        await service.close()
        await service.close()
    service = new_service(tmp_path)
    await service.follow({"cases": service.store})
    await service.views_caught_up()
    assert await cases(service) == ["TB0-1", "TB1-1", "TB2-1"]
    await service.close()
    await new_service(tmp_path).close()


async def test_closing_writes_what_was_taken(tmp_path: Path) -> None:
    """Commands that were taken are on disk after closing, later ones are refused as retryable."""
    service = new_service(tmp_path)
    await service.open()
    await service.follow({"cases": service.store})
    order = {"order_id": "TB1", **ORDER}
    taken = asyncio.create_task(service.files.command("TB1", "", "record_order", order, BY_AGENT))
    await until(lambda: service.appender._submitters or taken.done())
    await service.close()
    assert (await taken).version == 1
    with pytest.raises(StoreUnavailable):
        await service.files.command("TB1", "", "open_case", {}, BY_AGENT)
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    assert not rest

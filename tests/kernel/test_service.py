"""One service put together: how it starts, shows how it is, replays, and ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts.policy import load_policy
from services.cases.domain.domain import CasesDomain
from services.cases.views import CasesViews
from services.kernel.clock import ManualClock
from services.kernel.event_store import Checkpoint, Commit, StoreUnavailable
from services.kernel.followers import Followers
from services.kernel.freshness import TablesStandStill, WrittenElsewhere
from services.kernel.service import Part, Service, Timer
from services.kernel.settings import load_settings
from tests.kernel.bus_contract import until
from tests.kernel.toy import BY_AGENT, MIGRATIONS, NOON

ORDER = {
    "channel": "taobao",
    "buyer_id": "b",
    "ordered_at": "2026-02-01T09:00:00+08:00",
    "lines": [{"line_id": "L1", "sku": "A", "kind": "product", "quantity": 1, "paid_fen": 100, "unit_cost_fen": 1}],
}


def new_service(folder: Path) -> Service[Any]:
    part = Part(CasesDomain(load_policy()), CasesViews(), MIGRATIONS, ("cases",))
    return Service(part, load_settings({}, data_dir=folder).database_of("cases"), ManualClock(NOON))


async def at_work(service: Service[Any], *timers: Timer) -> Followers:
    """Its followers, started."""
    followers = Followers(service, service.followers(), timers, {"cases": service.store})
    service.freshness = followers
    await followers.start()
    return followers


async def end(service: Service[Any], followers: Followers) -> None:
    await followers.stop()
    await service.close()


@pytest.fixture
async def followers(tmp_path: Path) -> AsyncIterator[Followers]:
    service = new_service(tmp_path)
    await service.migrate()
    followers = await at_work(service)
    yield followers
    await end(service, followers)


@pytest.fixture
def service(followers: Followers) -> Service[Any]:
    """The service whose followers are at work."""
    return followers.service


async def open_case(service: Service[Any], order_id: str) -> None:
    await service.files.command(order_id, "", "record_order", {"order_id": order_id, **ORDER}, BY_AGENT)
    body = {"order_id": order_id, "problem": "logistics_delay", "description": "迟"}
    await service.files.command(order_id, "", "open_case", body, BY_AGENT)


async def cases(service: Service[Any]) -> list[str]:
    return [row["case_id"] for row in await service.store.query("SELECT case_id FROM case_view ORDER BY case_id")]


async def test_tables_show_what_was_just_written(service: Service[Any], followers: Followers) -> None:
    """Who waits for the read tables finds in them what was committed before."""
    for n in range(5):
        await open_case(service, f"TB{n}")
        await service.views_caught_up()
        assert len(await cases(service)) == n + 1
    await followers.readers[1].reached(await service.store.head_position())
    assert [(lag.consumer, lag.behind) for lag in await followers.lags()] == [("views", 0), ("cases-hears-cases", 0)]
    assert await service.problems() == followers.problems() == []


async def test_tables_that_do_not_come_on_are_retryable(
    service: Service[Any], followers: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the read tables are far behind, the reader is told to come again, not left waiting."""
    monkeypatch.setattr("services.kernel.log_reader.REACHED_SECONDS", 0.05)
    monkeypatch.setattr("services.kernel.freshness.REACHED_SECONDS", 0.05)
    await followers.readers[0].stop()
    await open_case(service, "TB1")
    for freshness in (followers, WrittenElsewhere(service.store, "views", "cases")):
        service.freshness = freshness
        with pytest.raises(StoreUnavailable):
            await service.views_caught_up()


async def test_tables_that_stand_still_are_told_from_slow_ones(
    service: Service[Any], followers: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits in vain hears before which order nothing goes on; while something does, only that it takes long."""
    monkeypatch.setattr("services.kernel.freshness.REACHED_SECONDS", 0.3)
    await followers.stop()
    await open_case(service, "TB1")
    shown = await service.store.head_position()
    await open_case(service, "TB2")

    async def come_on(position: int) -> None:
        [done] = await service.store.commit([Commit(checkpoint=(Checkpoint("views", "cases", position),))])
        assert not isinstance(done, Exception)

    await come_on(shown)
    service.freshness = WrittenElsewhere(service.store, "views", "cases")
    with pytest.raises(TablesStandStill) as still:
        await service.views_caught_up()
    assert still.value.order_id == "TB2"
    waiting = asyncio.create_task(service.views_caught_up())
    await asyncio.sleep(0.1)
    await come_on(shown + 1)
    with pytest.raises(StoreUnavailable) as slow:
        await waiting
    assert not isinstance(slow.value, TablesStandStill)


async def test_tables_that_another_process_writes(service: Service[Any]) -> None:
    """A process that only answers requests waits for the tables just as well; where nobody is at work, nobody waits."""
    service.freshness = WrittenElsewhere(service.store, "views", "cases")
    for n in range(5):
        await open_case(service, f"TB{n}")
        await service.heard()
        await service.views_caught_up()
        assert len(await cases(service)) == n + 1
    service.freshness = None
    await service.heard()
    await service.views_caught_up()


async def test_who_takes_over_is_noticed(service: Service[Any], followers: Followers) -> None:
    """Followers that another process claimed say so, and nothing that they do counts any more."""
    assert not await followers.overtaken()
    claim = await service.store.claim("views", "cases")
    assert await followers.overtaken()
    await open_case(service, "TB1")
    await until(lambda: followers.readers[0].fenced)
    assert await cases(service) == []
    assert followers.problems() == ["views: another process took over"]
    await followers.stop()
    await followers.start()
    await service.views_caught_up()
    assert await cases(service) == ["TB1-1"]
    assert followers.readers[0].epoch == claim.epoch + 1


async def test_rebuilding_and_redelivering_under_load(service: Service[Any], followers: Followers) -> None:
    """Replays beside a stream of commands end with the same tables and no event twice."""
    commands = [asyncio.create_task(open_case(service, f"TB{n:02}")) for n in range(40)]
    for _ in range(4):
        await asyncio.gather(followers.rebuild(), followers.redeliver(), followers.rebuild())
    await asyncio.gather(*commands)
    await service.views_caught_up()
    assert await cases(service) == [f"TB{n:02}-1" for n in range(40)]
    assert len([one for one in asyncio.all_tasks() if one.get_name().startswith("reader:")]) == 2


async def test_rebuild_that_fails_leaves_the_tables_followed(
    service: Service[Any], followers: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay that cannot begin, because the database is away, does not end the following of the log."""

    async def fails() -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(service.projector, "clear", fails)
    with pytest.raises(StoreUnavailable):
        await followers.rebuild()
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
        timed = Followers(service, [], [Timer(0.01, action)], {}, gauges=False)
        await timed.start()
        await until(lambda: rounds > 5)
        await timed.stop()
    assert [one["event"] for one in logs] == ["timer_failed"]


async def test_stuck_consumer_is_named(followers: Followers) -> None:
    """Readiness says which consumer does not go on, and why."""
    followers.readers[0].failing = "something"
    assert followers.problems() == ["views: something"]


async def test_database_that_is_gone_is_named(tmp_path: Path) -> None:
    """A file that is missing, or is no database, is said, and asking does not fail."""
    service = new_service(tmp_path)  # not at work: nobody may have a file open that another one takes the place of
    assert await service.problems() == ["migrations pending"]
    path = Path(service.database_url.removeprefix("sqlite+aiosqlite:///"))
    await asyncio.to_thread(path.write_bytes, b"this is no database, however long it is looked at" * 100)
    [problem] = await service.problems()
    assert problem.startswith("database: ")
    await service.close()


async def test_restart_keeps_everything(tmp_path: Path) -> None:
    """Opened again, a service stands where it ended, and closing twice or unopened is no error."""
    for n in range(3):
        service = new_service(tmp_path)
        await service.migrate()
        followers = await at_work(service)
        await open_case(service, f"TB{n}")
        await end(service, followers)
        await end(service, followers)
    service = new_service(tmp_path)
    followers = await at_work(service)
    await service.views_caught_up()
    assert await cases(service) == ["TB0-1", "TB1-1", "TB2-1"]
    await end(service, followers)
    await new_service(tmp_path).close()


async def test_closing_writes_what_was_taken(tmp_path: Path) -> None:
    """Commands that were taken are on disk after closing, later ones are refused as retryable."""
    service = new_service(tmp_path)
    await service.migrate()
    followers = await at_work(service)
    order = {"order_id": "TB1", **ORDER}
    taken = asyncio.create_task(service.files.command("TB1", "", "record_order", order, BY_AGENT))
    await until(lambda: service.appender._submitters or taken.done())
    await end(service, followers)
    assert (await taken).version == 1
    with pytest.raises(StoreUnavailable):
        await service.files.command("TB1", "", "open_case", {}, BY_AGENT)
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    assert not rest

"""The shop that a newcomer loads: every role finds something to do in it, and it is never mixed with real orders."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from services.cases.domain.stages import STAGES
from services.embedded import Embedded
from services.kernel.actor import Actor
from services.kernel.settings import load_settings
from services.sample.first_day import SCENES, Played, first_day
from services.sample.loading import AlreadyInUse, Loaded, load
from tests.shop import Api, check_books

NOW: Final = datetime(2026, 11, 20, 4, tzinfo=UTC)
BOSS: Final = Actor("store_manager", "王店长")


class Newcomer:
    """A fresh installation with its own clock, once the shop is loaded, and what it answers."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self.loaded = Loaded(0, 0, 0)
        self.told: dict[str, Any] = {}
        self.refused = False

    async def arrive(self, folder: Path) -> None:
        """Load the shop, and try it once more."""
        server = Embedded(load_settings({}, data_dir=folder, port=0))
        await server.start()
        api = Api(server.base_url, server.token)

        async def note(done: int, total: int) -> None:
            self.steps.append((done, total))

        try:
            now = server.clock.now()
            self.loaded = await load(server.base_url, server.token, now, person="王店长", progress=note)
            await server.settle()
            for path in ASKED:
                self.told[path] = await api.must("GET", f"/v1/{path}", by=BOSS)
            await check_books(server)
            with pytest.raises(AlreadyInUse):
                await load(server.base_url, server.token, now)
            self.refused = True
        finally:
            await api.close()
            await server.stop()


ASKED: Final = (
    "cases?limit=500",
    "payouts?limit=500",
    "exceptions",
    "indicators",
    "statements/recoveries",
    "statements/suspense",
    "statements/losses",
    "ledger/check",
)


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    """One installation for all of these tests."""
    newcomer = Newcomer()
    asyncio.run(newcomer.arrive(tmp_path_factory.mktemp("newcomer")))
    return newcomer


def test_it_is_loaded_whole_and_once(newcomer: Newcomer) -> None:
    """Every step is told of as it is done; a shop that has orders takes no others."""
    assert newcomer.loaded.cases == len(SCENES) == len(newcomer.told["cases?limit=500"]["items"])
    assert [done for done, _ in newcomer.steps] == list(range(1, newcomer.loaded.steps + 1))
    assert newcomer.steps[-1] == (newcomer.loaded.steps, newcomer.loaded.steps)
    assert newcomer.refused


def test_cases_are_left_where_the_plan_says(newcomer: Newcomer) -> None:
    """Each unfinished case waits at its stage; finished ones wait for nothing."""
    cases = {one["case_id"]: one for one in newcomer.told["cases?limit=500"]["items"]}
    planned = {one.case_id[-7:]: one for one in first_day(NOW) if one.scene}
    assert len(planned) == len(cases)
    reached = set()
    for case_id, case in cases.items():
        scene = planned[case_id[-7:]].scene
        assert scene is not None
        stages = {stage.partition("/")[0] for stage in map(str, case["stages"])}
        reached |= stages
        assert not scene.stage or scene.stage in stages, (case_id, case["stages"])
        assert (case["assignee"] == "") == (scene.has == "nobody")
    assert set(STAGES) - reached == {"payout_unknown"}  # which only a provider brings about


def test_every_role_has_something_to_do(newcomer: Newcomer) -> None:
    """Agents and whoever loads it, leads, the manager, the warehouse, finance and operators."""
    cases = newcomer.told["cases?limit=500"]["items"]
    assignees = Counter(one["assignee"] for one in cases)
    assert assignees[""] >= 2
    assert assignees["王店长"] == sum(scene.has == "person" for scene in SCENES)
    waiting = Counter(role for one in cases for role in one["approver"])
    assert waiting["team_lead"] >= 2
    assert waiting["store_manager"] >= 1
    payouts = Counter(one["status"] for one in newcomer.told["payouts?limit=500"]["items"])
    assert payouts["requested"] >= 1
    assert payouts["failed"] == 1
    assert [one["kind"] for one in newcomer.told["exceptions"]["items"]] == ["insurance_second"]


def test_it_says_who_bore_it(newcomer: Newcomer) -> None:
    """A courier owes, something waits in suspense, a batch is alarming, and the books balance."""
    assert newcomer.told["statements/recoveries"]["total"]["closing_fen"] > 0
    assert newcomer.told["statements/suspense"]["total"]["closing_fen"] > 0
    [alarm] = newcomer.told["indicators"]["batch_defects"]["alarms"]
    assert (alarm["sku"], alarm["cause"], len(alarm["cases"])) == ("LOCK-C3", "accessory_defective", 5)
    losses = newcomer.told["statements/losses"]
    assert {"production", "courier", ""} <= {row["key"].partition("/")[0] for row in losses["rows"]}
    assert newcomer.told["ledger/check"]["holds"]


def test_the_same_seed_gives_the_same_steps() -> None:
    """Whoever tells of the sample tells of the same one."""
    assert first_day(NOW) == first_day(NOW)
    assert _asked(first_day(NOW)) != _asked(first_day(NOW, seed=2))


def _asked(orders: Any) -> list[Any]:
    played: list[Played] = list(orders)
    return [step.fields for one in played for step in one.steps]


def test_orders_are_some_days_old_and_nothing_is_of_the_future() -> None:
    """So that every rule takes them by the clock on the wall."""
    for one in first_day(NOW):
        ordered = datetime.fromisoformat(one.steps[0].fields["ordered_at"])
        assert timedelta(days=3) < NOW - ordered < timedelta(days=14)
        assert datetime.fromisoformat(one.steps[0].fields["delivered_at"]) < NOW

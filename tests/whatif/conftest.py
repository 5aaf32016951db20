"""A history that is played once, and what is asked of it."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.policy import load_policy
from contracts.registry import decode
from services.histories import Logs
from services.kernel.stores import open_store
from services.scenarios.format import load_scenario
from services.scenarios.instance import EmbeddedInstance
from services.scenarios.runner import play
from services.whatif.report import Report
from services.whatif.run import Question, what_if
from tests.whatif.watched import watched

#: When the history ends.
NOW = datetime.fromisoformat("2026-11-05T09:00:00+08:00")
SERVICES = ("cases", "refunds", "liability")

Ask = Callable[..., Awaitable[Report]]


@pytest.fixture(scope="package")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the shop of `history.yaml`, as if a power cut had ended it."""
    folder = tmp_path_factory.mktemp("history") / "data"

    async def keep(instance: EmbeddedInstance) -> None:
        shutil.copytree(instance._settings.data_dir, folder)

    file = Path(__file__).parent / "history.yaml"
    result = asyncio.run(play(load_scenario(file), watched(keep), str(file)))
    assert result.ok, [difference.en for difference in result.differences]
    return folder


@pytest.fixture
async def logs(history: Path) -> AsyncIterator[Logs]:
    """Its logs, to be read only."""
    stores = [open_store(f"sqlite:///{history / name}.db", decode, read_only=True) for name in SERVICES]
    yield Logs(*stores)
    for store in stores:
        await store.close()


@pytest.fixture
async def ask(logs: Logs) -> Ask:
    """What if this were the policy: `await ask({"authority": {"agent": 1000}}, begin="2026-11-01")`."""

    async def asked(changes: Mapping[str, Any], **question: Any) -> Report:
        policy = load_policy(changes)
        return await what_if(logs, Question(policy=policy, in_force=load_policy(), most=0, **question), NOW)

    return asked

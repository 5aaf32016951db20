"""Every scenario that is written down happens, the project's own set and the one that the business gave: embedded, and
on PostgreSQL and Kafka with a process for each service."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.scenarios.format import load_scenario
from services.scenarios.result import Reading
from services.scenarios.runner import play
from services.scenarios.stack_instance import Ground
from services.stack.fleet import APART
from services.stack.kafka import KafkaCluster
from services.stack.postgres import PostgresCluster, throwaway_cluster
from tests.finance.ledger.balanced import the_books_balance
from tests.whatif.watched import decided_the_same_again, watched

ROOT = Path(__file__).parents[2]
OWN = sorted((ROOT / "services/scenarios/library").glob("*.yaml"))
GIVEN = sorted((ROOT.parent / "shared/scenarios").glob("*.yaml"))
#: Compensation, approvals and who bears it: something for every role.
APART_TOO = [file for file in OWN if file.stem.startswith("04")]


def comparable(read: Reading) -> Any:
    """What must not depend on the shape: all but ids that are drawn, and the order of what two services did at once."""
    told = msgspec.to_builtins(read)
    for case in told["cases"].values():
        del case["timeline"]
    told["events"] = {label: sorted(types) for label, types in told["events"].items()}
    return told


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresCluster]:
    """A server of its own that leaves flushing to the system: databases are made for each scenario, and nothing
    here crashes the machine."""
    with throwaway_cluster(flushes=False) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def ground(postgres: PostgresCluster, kafka: KafkaCluster) -> Iterator[Ground]:
    """What the scenarios of this module share; each has its own databases, topics and processes."""
    ground = Ground(postgres.url(), kafka.servers)
    asyncio.run(ground.open())
    yield ground
    asyncio.run(ground.close())


@pytest.mark.parametrize("file", [*OWN, *GIVEN], ids=lambda file: file.stem)
async def test_scenario_holds(file: Path, ground: Ground) -> None:
    """The end is the one that the file expects, the same in both shapes; decided again under the policy that was in
    force, the history is the same too, to the last event; and its books balance."""
    scenario = load_scenario(file)
    result = await play(scenario, ground.start, str(file))
    assert result.ok, "\n".join(f"{difference.where}: {difference.en}" for difference in result.differences)
    embedded = await play(scenario, watched(decided_the_same_again, the_books_balance), str(file))
    assert embedded.ok, "\n".join(f"{difference.where}: {difference.en}" for difference in embedded.differences)
    assert comparable(result.read) == comparable(embedded.read)


@pytest.mark.parametrize("file", APART_TOO, ids=lambda file: file.stem)
async def test_scenario_holds_with_roles_apart(file: Path, postgres: PostgresCluster, kafka: KafkaCluster) -> None:
    """It is the same when each role is a process, and two of them share the partitions."""
    async with Ground(postgres.url(), kafka.servers, {**APART, "consume": 2}) as ground:
        result = await play(load_scenario(file), ground.start, str(file))
    assert result.ok, "\n".join(f"{difference.where}: {difference.en}" for difference in result.differences)

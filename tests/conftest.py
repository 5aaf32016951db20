"""What all tests share: servers that are started once per run when first asked for, and logs of their own."""

import gc
import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from services.kernel import long_work
from services.kernel import service as kernel_service
from services.stack.kafka import KafkaCluster, throwaway_brokers
from services.stack.postgres import PostgresCluster, throwaway_cluster
from tests.fresh_databases import FreshDatabases
from tests.shared_broker import LentBroker, SharedBroker
from tests.shop import Shop

# What commands print must not depend on the terminal; test workers are told a width of their own.
os.environ.pop("COLUMNS", None)
# Test processes go on after the long work of commands that they run.
long_work.NICENESS = 0
# Nearly all that is made while tests are collected stays: to look for garbage in it takes a third of that time.
gc.disable()


#: What takes longest begins first, so that no worker is left with it alone.
FIRST = (
    "tests/faults/",
    "scenarios/test_library.py",
    "test_readme.py",
    "stack/test_stack.py",
    "kernel/test_postgres_crash.py",
    "kernel/test_postgres_store.py",
    "http/test_walk.py",
    "console/test_every_page.py",
    "http/test_schemathesis.py",
    "test_process.py",
    "cli/test_role.py",
    "doctor/test_topics.py",
    "kernel/test_kafka_tls.py",
    "kernel/test_kafka_bus.py",
    "stack/test_kafka_cluster.py",
    "benchmarks/test_stack_smoke.py",
    "test_embedded.py",
)


#: Where all tests share one stage that takes long to set up.
STAGED = "tests/faults"


def pytest_configure(config: pytest.Config) -> None:
    """Where tests are dealt out to workers, there is one broker for all of them."""
    if config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SharedBroker())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long modules first, the others in their order."""
    items.sort(key=_place)


def pytest_collection_finish() -> None:
    """Garbage is looked for again from here on, but no more among what was imported and collected."""
    gc.collect()
    gc.freeze()
    gc.enable()


def _place(item: pytest.Item) -> int:
    return next((place for place, part in enumerate(FIRST) if part in str(item.path)), len(FIRST))


class Together(LoadFileScheduling):  # type: ignore[misc]
    """A worker takes a whole module, or all that share a stage: so servers are started once."""

    def _split_scope(self, nodeid: str) -> str:
        module: str = super()._split_scope(nodeid)
        return STAGED if module.startswith(STAGED) else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together | None:
    """For `--dist loadfile`: how tests are dealt out, in the order above."""
    if config.option.dist != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Together(config, log)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresCluster]:
    """A running PostgreSQL server; tests make their own databases in it and leave it running."""
    with throwaway_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[KafkaCluster]:
    """A running Kafka broker; tests put a prefix of their own before topics and groups, and leave it running."""
    if lent := LentBroker.told_to(request.config):
        yield lent
        return
    with throwaway_brokers() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def broker_to_harm() -> Iterator[KafkaCluster]:
    """A running Kafka broker of the module's own, that may be killed and frozen."""
    with throwaway_brokers() as cluster:
        yield cluster


@pytest.fixture(scope="session", autouse=True)
def _fresh_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Services that begin on an empty folder get copies of databases that were migrated once."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kernel_service, "migrate", FreshDatabases(tmp_path_factory.mktemp("fresh")).migrate)
        yield


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    """All services at work on a folder of the test's own."""
    shop = await Shop(tmp_path).start()
    yield shop
    await shop.close()


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """Each test logs as if it were alone: a command line that one sets up would write where nobody reads any more."""
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    for handler in [one for one in logging.root.handlers if one not in handlers]:
        logging.root.removeHandler(handler)
    logging.root.setLevel(level)

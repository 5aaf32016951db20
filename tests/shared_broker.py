"""One Kafka broker for all workers of a run: the process that deals the tests out starts it, workers are told where.

Without workers (`pytest tests/…`) nothing of this is at work: then the `kafka` fixture starts a broker of its own.
"""

import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from services.stack.kafka import START_SECONDS, BrokerFailed, KafkaCluster, throwaway_brokers

#: How workers know of it.
_NAME: Final = "shared_broker"
_POLL_SECONDS: Final = 0.05


class _Said(msgspec.Struct):
    """Where it takes clients and which process it is, or why it is none."""

    servers: str = ""
    pid: int | None = None
    failed: str = ""


class SharedBroker:
    """A plugin of the process that deals the tests out: it starts the broker while tests are collected."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="aftersales-shared-broker-"))
        self._over = threading.Event()
        self._life = threading.Thread(target=self._live)

    def pytest_sessionstart(self) -> None:
        self._life.start()

    def pytest_configure_node(self, node: Any) -> None:
        """Called by pytest-xdist for each worker that it is about to start."""
        node.workerinput[_NAME] = str(self._folder / "said")

    def pytest_unconfigure(self) -> None:
        self._over.set()
        if self._life.ident is not None:
            self._life.join()
        shutil.rmtree(self._folder)

    def _live(self) -> None:
        try:
            with throwaway_brokers() as cluster:
                self._say(_Said(cluster.servers, cluster.pid(0)))
                self._over.wait()
        except Exception as error:  # those tests fail that need it, and tell why
            self._say(_Said(failed=repr(error)))

    def _say(self, said: _Said) -> None:
        draft = self._folder / "draft"
        draft.write_bytes(msgspec.json.encode(said))
        draft.rename(self._folder / "said")


class LentBroker(KafkaCluster):
    """The shared broker in the hands of a worker: others use it too, so it can be neither started, stopped nor harmed.

    A module that does harm has `broker_to_harm` for its `kafka`.
    """

    def __init__(self, servers: str, pid: int | None) -> None:
        self.servers = servers
        self._pid = pid
        self.ports = (int(servers.rpartition(":")[2]),)
        self._brokers = []

    def __len__(self) -> int:
        return 1

    def pid(self, broker: int) -> int | None:
        return self._pid

    @classmethod
    def told_to(cls, config: pytest.Config) -> "LentBroker | None":
        """The one that this worker was told of, once it runs; None in a process that is no worker. Raises
        BrokerFailed."""
        file = getattr(config, "workerinput", {}).get(_NAME)
        if file is None:
            return None
        deadline = time.monotonic() + START_SECONDS
        while not Path(file).exists():
            if time.monotonic() > deadline:
                raise BrokerFailed("the shared broker did not start in time")
            time.sleep(_POLL_SECONDS)
        said = msgspec.json.decode(Path(file).read_bytes(), type=_Said)
        if said.failed:
            raise BrokerFailed(said.failed)
        return cls(said.servers, said.pid)

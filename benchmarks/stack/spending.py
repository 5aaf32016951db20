"""Who spends how much of the cores while something is measured."""

import os
import time
from collections.abc import Mapping
from typing import Self

from benchmarks.figures import shares
from benchmarks.processor import family_seconds, thread_seconds


class Spending:
    """Processor time of processes over a block."""

    def __init__(self, processes: Mapping[str, int], servers: Mapping[str, int | None]) -> None:
        """`servers`: they work in processes that they start themselves."""
        self._processes = processes
        self._servers = servers
        self._at: dict[str, float] = {}
        self._began = 0.0
        self.seconds: dict[str, float] = {}
        """Processor seconds of each over the block."""
        self.wall_seconds = 0.0
        """How long the block took; whoever knows better which part of it counts says so."""

    def __enter__(self) -> Self:
        self._at, self._began = self._now(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall_seconds = time.perf_counter() - self._began
        self.seconds = {name: seconds - self._at[name] for name, seconds in self._now().items()}

    def add(self, name: str, seconds: float) -> None:
        """Count somebody in who is not there any more."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    @property
    def told(self) -> str:
        """The share of one core of each, and of all cores together."""
        cores = len(os.sched_getaffinity(0))
        all_of_them = sum(self.seconds.values()) / self.wall_seconds
        each = {name: seconds / self.wall_seconds for name, seconds in self.seconds.items()}
        parts = shares(dict(sorted(each.items(), key=lambda one: -one[1])))
        return f"of one core: {parts}; together {all_of_them:.2f} of {cores} cores"

    def _now(self) -> dict[str, float]:
        processes = {name: sum(thread_seconds(pid)) for name, pid in self._processes.items()}
        return processes | {name: family_seconds(pid) for name, pid in self._servers.items() if pid}

"""What is told of a moment later is what was told at that moment, all through scenarios of every kind."""

from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from yarl import URL

from services.kernel.actor import Actor
from services.scenarios.format import load_scenario
from services.scenarios.instance import EmbeddedInstance, Setting, start_embedded
from services.scenarios.runner import play

LIBRARY = Path(__file__).parents[2] / "services/scenarios/library"
#: A return, a late insurance, a forfeited deposit, a provider that times out, a reopened case, loss moved between
#: parties.
PLAYED = ("09", "34", "38", "42", "46", "47")
READER = Actor("store_manager", "reader")
SERVICES = ("cases", "refunds", "liability")

#: Path of a document → the document.
Documents = dict[str, Any]


class Sample(msgspec.Struct, frozen=True):
    """What was told at a moment, and how far the logs reached."""

    time: datetime
    heads: dict[str, int]
    documents: Documents


class Watched:
    """An instance that is read again and again while a scenario is played on it."""

    def __init__(self, instance: EmbeddedInstance, orders: list[str]) -> None:
        self.instance = instance
        self.orders = orders
        self.samples: list[Sample] = []
        self.session = aiohttp.ClientSession()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.instance, name)

    async def settle(self) -> None:
        await self.instance.settle()
        server, now = self.instance._server, self.instance._clock.now()
        heads = {name: await server._running[name].service.store.head_position() for name in SERVICES}
        if not self.samples or (self.samples[-1].time, self.samples[-1].heads) != (now, heads):
            self.samples.append(Sample(now, heads, await self.documents()))

    async def close(self) -> None:
        """Go back to every sample before everything is gone."""
        try:
            await self.go_back()
        finally:
            await self.session.close()
            await self.instance.close()

    async def go_back(self) -> None:
        last = {sample.time: sample for sample in self.samples}
        for sample in self.samples:
            by_position = await self.documents(sample.documents, sample.heads)
            assert by_position == sample.documents, sample.time
            if last[sample.time] is sample:  # nothing else happened at this very time
                times = dict.fromkeys(SERVICES, sample.time.isoformat())
                assert await self.documents(sample.documents, times) == sample.documents, sample.time
        await self.add_up()

    async def add_up(self) -> None:
        """The differences from sample to sample sum to the whole one, and that to what the cases say."""
        heads = [0, *(sample.heads["cases"] for sample in self.samples)]
        for path, case in self.samples[-1].documents.items():
            if path.count("/") == 1 and path.startswith("cases/"):
                opened = [
                    head for head, sample in zip(heads[1:], self.samples, strict=True) if path in sample.documents
                ]
                steps = [await self.difference(path, *ends) for ends in pairwise([0, *opened])]
                whole = await self.difference(path, 0, heads[-1])
                for money in ("paid_fen", "received_fen", "charged_fen"):
                    assert _sum(step[money] for step in steps) == _sum([whole[money]]), (path, money)
                assert [event for step in steps for event in step["events"]] == whole["events"]
                assert _sum([whole["charged_fen"]]) == case["losses"]
                assert whole["net_loss_fen"] == case["net_loss_fen"]

    async def difference(self, path: str, begin: int, end: int) -> Any:
        return await self.read(f"{path}/difference", {"from": str(begin), "to": str(end)})

    async def documents(self, wanted: Documents | None = None, points: dict[str, Any] | None = None) -> Documents:
        """All that can be read now, or what is wanted as of a point of each service's log."""
        found: Documents = {}
        paths = list(wanted) if wanted is not None else await self.paths()
        for path in paths:
            asked = {} if points is None else {"as_of": str(points[_service(path)])}
            document = await self.read(path, asked)
            assert bool(document["as_of"]) == bool(asked)
            found[path] = {**document, "as_of": None}
        return found

    async def paths(self) -> list[str]:
        paths = ["balances"]
        for order in self.orders:
            path = f"orders/{order}"
            document = await self.read(path, {})
            if document is not None:
                paths.append(path)
                for case in document["cases"]:
                    own = f"cases/{case['case_id']}"
                    paths += [own, f"{own}/settlement", f"{own}/charges"]
        return paths

    async def read(self, path: str, query: dict[str, str]) -> Any:
        url = URL(self.instance.base_url("GET", path)).joinpath("v1", *path.split("/")).with_query(query)
        headers = {"Authorization": f"Bearer {self.instance.token(READER)}"}
        async with self.session.get(url, headers=headers) as answer:
            if answer.status == 404:
                return None
            assert answer.status == 200, (url, await answer.text())
            return await answer.json()


def _service(path: str) -> str:
    if path.endswith("settlement"):
        return "refunds"
    return "liability" if path.endswith(("charges", "balances")) else "cases"


def _sum(amounts: Any) -> dict[str, int]:
    sums: dict[str, int] = {}
    for each in amounts:
        for name, fen in each.items():
            sums[name] = sums.get(name, 0) + fen
    return {name: fen for name, fen in sums.items() if fen}


@pytest.mark.parametrize("number", PLAYED)
async def test_what_is_told_of_a_moment_is_what_was_told_then(number: str) -> None:
    """Cases, orders, settlements, charges and balances as of each step are, to the last field, what was read at that
    step; and the differences from step to step add up, to the fen."""
    [file] = LIBRARY.glob(f"{number}-*.yaml")
    scenario = load_scenario(file)
    orders = [order.order_id for order in scenario.orders]
    watched: list[Watched] = []

    async def start(setting: Setting) -> Any:
        watched.append(Watched(await start_embedded(setting), orders))
        return watched[0]

    result = await play(scenario, start, str(file))
    assert result.ok, "\n".join(f"{difference.where}: {difference.en}" for difference in result.differences)
    assert len(watched[0].samples) > 2

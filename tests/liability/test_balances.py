"""Balances are, at any moment and whatever the clocks said, the sum of what each case's charges were."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.event import Event, type_of
from contracts.events import liability as li
from contracts.registry import encode
from services.kernel.event_store import Reads
from services.kernel.history import Point, file_as_of
from services.kernel.log import Record
from services.kernel.long_work import CalledOff
from services.liability import balances as module
from services.liability.balances import balances
from services.liability.domain import LiabilityFile
from tests.given import opened
from tests.liability.facts import DOMAIN, charged, entry, reversed_

NOON = datetime.fromisoformat("2026-10-05T12:00:00+08:00")
PARTIES = ("production", "courier/YTO", "warehouse")


class Log:
    """A log of orders TB1 to TB3, as a store reads it."""

    def __init__(self, entries: list[tuple[int, Event, int]]) -> None:
        self.records: list[Record] = []
        versions = {1: 0, 2: 0, 3: 0}
        for position, (order, event, minute) in enumerate(entries, start=1):
            versions[order] += 1
            self.records.append(_record(f"TB{order}", versions[order], event, minute, position))

    async def head_position(self) -> int:
        return len(self.records)

    async def stream_pages(self, stream: str) -> AsyncIterator[list[Record]]:
        yield [record for record in self.records if record.stream == stream]

    async def read_by_stream(self, after: tuple[str, int], limit: int) -> list[Record]:
        behind = sorted((one.stream, one.version, one.position) for one in self.records)
        return [self.records[place - 1] for *key, place in behind if tuple(key) > after][:limit]


def _record(stream: str, version: int, event: Event, minute: int, position: int) -> Record:
    time = NOON + timedelta(minutes=minute)
    source = "cases" if type_of(event) == "case.opened" else "liability"
    texts = ("", "", "", "", "")
    head = (stream, version, version, f"e{position}", type_of(event), 1, source, event.subject, time)
    return Record(*head, *texts, event, encode(event), b"", position)


def _event(order: int, kind: str, party: str, fen: int) -> Event:
    case_id = f"TB{order}-1"
    match kind:
        case "opened":
            return opened(case_id=case_id)
        case "entry":
            return entry("cash", fen, "e", case_id)
        case "charged":
            return charged(party, fen, case_id)
        case "reversed":
            return reversed_(party, fen, case_id)
        case _:
            return li.LossRecovered(case_id=case_id, party=party, amount_fen=fen, payment_ref="R")


KINDS = st.sampled_from(("opened", "entry", "charged", "reversed", "recovered"))
EVENTS = st.tuples(st.integers(1, 3), KINDS, st.sampled_from(PARTIES), st.integers(1, 500), st.integers(0, 9))


async def _summed(log: Log, point: Point) -> tuple[int, dict[str, int], dict[str, int]]:
    """What the files of all orders say, folded as they were."""
    net_fen, charges, recovered = 0, dict[str, int](), dict[str, int]()
    for order in (1, 2, 3):
        file: LiabilityFile = (await file_as_of(DOMAIN, cast(Reads, log), f"TB{order}", point)).file
        for case in file.cases.values():
            net_fen += case.net_fen
            for party, fen in case.charged.items():
                charges[party] = charges.get(party, 0) + fen
            for one in case.recoveries:
                recovered[one.party] = recovered.get(one.party, 0) + one.amount_fen
    return net_fen, charges, recovered


@pytest.mark.parametrize("page", [1, 3, 1000])
@given(entries=st.lists(EVENTS, max_size=30), position=st.integers(0, 30), minute=st.none() | st.integers(0, 9))
async def test_balances_are_the_sum_of_the_charges(
    page: int, entries: list[tuple[int, str, str, int, int]], position: int, minute: int | None
) -> None:
    """Accounts that add up parties and those that add up cases come to the same, to the fen, at every position and
    time, also where clocks went back."""
    log = Log([(order, _event(order, kind, party, fen), at) for order, kind, party, fen, at in entries])
    time = None if minute is None else NOON + timedelta(minutes=minute)
    point = Point("then", min(position, len(entries)), time)
    heard: list[tuple[int, int]] = []

    async def tell(done: int, total: int) -> None:
        heard.append((done, total))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PAGE_RECORDS", page)
        told = await balances(cast(Reads, log), point, tell)
    net_fen, charges, recovered = await _summed(log, point)
    assert told.net_fen == net_fen
    assert {one.party: one.charged_fen for one in told.parties if one.party in charges} == charges
    assert {one.party: one.recovered_fen for one in told.parties if one.party in recovered} == recovered
    assert {one.party for one in told.parties} == {*charges, *recovered}
    assert told.suspense_fen == net_fen - sum(charges.values())
    assert not entries or heard[-1] == (len(entries), len(entries))


async def test_it_can_be_called_off() -> None:
    """Whoever waits for a long log may stop waiting at any page."""
    log: Any = Log([(1, opened(), 0)])

    async def stop(done: int, total: int) -> None:
        raise CalledOff

    with pytest.raises(CalledOff):
        await balances(log, Point("", 1), stop)

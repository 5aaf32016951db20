"""What an operator asks of services apart, on a real database and a real broker: lag and dead letters over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.kernel.kafka.connection import Connection, stop
from services.kernel.kafka.topics import topic_of
from services.operations import lag
from services.stack.kafka import KafkaCluster
from services.stack.postgres import PostgresCluster
from tests.shop import MANAGER
from tests.test_process import Shop, until

PATH = "/v1/dead-letters"


@pytest.fixture
async def shop(tmp_path: Path, postgres: PostgresCluster, kafka: KafkaCluster) -> AsyncIterator[Shop]:
    shop = Shop(tmp_path, postgres, kafka, clock="manual", clock_file=tmp_path / "clock")
    yield shop
    await shop.databases.drop()


async def test_lag_and_dead_letters_of_services_apart(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever serves cases tells of all consumers, by source; a message that nobody can read is found, previewed,
    redriven (and dies again) and given up over HTTP, and who did it is kept; then its order goes on."""
    monkeypatch.setattr(lag, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(lag, "EVERY_SECONDS", 0.1)
    await shop.prepare()
    topic = topic_of("cases", shop.settings.kafka_prefix)
    async with shop.running("cases", "all") as cases:
        await cases.ready()
        await cases.order("PX1")
        body = {"order_id": "PX1", "problem": "logistics_delay", "description": "…"}
        await cases.must("POST", "/v1/cases", body)
        await _send(shop, topic, "PX9")

        async def behind() -> Any:
            seen = {(one["service"], one["source"]): one for one in (await lags(cases))["consumers"]}
            hears = seen["refunds", "cases"]
            published = all(one["behind"] == 0 for one in seen.values() if one["consumer"] == "relay")
            return hears if published and hears["behind"] > 1 else None

        hears = await until(behind)
        assert (hears["partitions"], hears["stuck"], hears["away"]) == (2, "", "")
        assert hears["seconds"] < 60
        async with shop.running("refunds", "consume"):

            async def dead() -> Any:
                found = (await cases.must("GET", PATH))["groups"]
                return [one for one in found if (one["service"], one["state"]) == ("refunds", "dead")]

            [group] = await until(dead)
            assert (group["cause"], group["source"], group["messages"]) == ("invalid_body", "cases", 1)

            async def handled() -> Any:
                seen = await lags(cases)
                return next((one for one in seen["consumers"] if _hears(one) and not one["behind"]), None)

            hears = await until(handled)
            assert (hears["parked"], hears["stuck"]) == (1, "set aside: 1")
            assert hears["trend"]["handled_per_second"] > 0
            assert hears["trend"]["clears_in_seconds"] == 0
            assert len(hears["samples"]) > 1
            place = {"place": group["example"]["place"]}
            [would] = (await cases.must("POST", f"{PATH}/refunds/preview", place))["messages"]
            assert would["outcome"] == "would_be_dead"
            assert "invalid_body" in would["trouble"]
            [again] = (await cases.must("POST", f"{PATH}/refunds/redrive", {**place, "wait_seconds": 20}))["messages"]
            assert again["outcome"] == "dead"
            done = await cases.must("POST", f"{PATH}/refunds/discard", {**place, "reason": "a test of theirs"})
            assert [one["outcome"] for one in done["messages"]] == ["discarded"]
        [kept] = (await cases.must("GET", f"{PATH}/refunds?state=discarded"))["items"]
        assert (kept["resolved_by"], kept["note"]) == (str(MANAGER), "a test of theirs")
        acts = (await cases.must("GET", "/v1/audit?people=true"))["items"]
        assert (str(MANAGER), "case.opened") in [(one["actor"], one["type"]) for one in acts]


async def lags(cases: Any) -> Any:
    return await cases.must("GET", "/v1/lag?trend=true")


def _hears(one: dict[str, Any]) -> bool:
    return (one["service"], one["source"]) == ("refunds", "cases") and one["partitions"] > 0


async def _send(shop: Shop, topic: str, order: str) -> None:
    """An event of cases whose body nobody can read."""
    headers = {
        "ce_specversion": "1.0",
        "ce_id": "e1",
        "ce_type": "case.opened",
        "ce_source": "/aftersales/cases",
        "ce_time": "2026-10-05T10:00:00+08:00",
        "ce_dataschema": "urn:aftersales:event:case.opened:v1",
        "content-type": "application/json",
        "ce_sequence": "1",
        "ce_partitionkey": order,
    }
    producer = await Connection.of(shop.settings).producer("test")
    sent = [(name, text.encode()) for name, text in headers.items()]
    await producer.send_and_wait(topic, msgspec.json.encode({}), order.encode(), headers=sent)
    await stop(producer)

"""What a service tells of a broker that it looks at again and again."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from services.kernel.kafka.connection import BrokerAway, Connection
from services.kernel.kafka.partition_lags import PartitionLags


async def test_a_broker_that_falls_silent_is_told_once_and_so_is_its_return(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads the log sees since when nothing is heard and from when on again, and no line for each look; a
    broker that was never there is told by those who wait for it."""
    answers = ["away", "there", "there", "away", "away", "there", "there"]

    async def nobody(_: Any) -> list[Any]:
        return []

    async def look(*_: Any) -> dict[Any, Any]:
        if answers.pop(0) == "away":
            raise BrokerAway("gone")
        return {}

    monkeypatch.setattr("services.kernel.kafka.partition_lags.checkpoints", nobody)
    monkeypatch.setattr("services.kernel.kafka.lag.Looker.look", look)
    store: Any = None
    lags = PartitionLags("cases", "group", {}, store, Connection(servers="broker:9092"))
    told = []
    with capture_logs() as logs:
        while answers:
            await lags()
            told.append([one["event"] for one in logs])
            logs.clear()
    assert told == [[], [], [], ["broker_silent"], [], ["broker_answers_again"], []]

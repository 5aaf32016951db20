"""The consistency check of services apart: PostgreSQL databases, and topics between them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from contracts.policy import load_policy
from services.catalogue import SERVICES
from services.doctor.checks import CHECKS
from services.doctor.examination import examine, shop_of
from services.doctor.finding import Report
from services.kernel.clock import SystemClock
from services.kernel.kafka.connection import Connection, stop
from services.kernel.kafka.topics import topic_of
from services.process import Process
from services.stack.kafka import KafkaCluster
from services.stack.postgres import PostgresCluster
from tests.apart import Apart
from tests.cli.terminal import aftersales
from tests.kernel.kafka import messages_in
from tests.shop import Api

PATIENCE_SECONDS = 60.0
DAY = timedelta(days=1)


class Examined(Apart):
    """A shop of services apart, its processes, and the consistency check of it."""

    def __init__(self, folder: Path, postgres: PostgresCluster, kafka: KafkaCluster) -> None:
        super().__init__(folder, postgres, kafka)
        self.postgres = postgres

    @asynccontextmanager
    async def at_work(self, services: Sequence[str] = tuple(SERVICES), role: str = "all") -> AsyncIterator[Api]:
        """These services; gives a client of the first."""
        processes = [Process(self.settings, name, role) for name in services]
        try:
            for one in processes:
                await one.listen()
                await one.begin()
            first = processes[0]
            api = Api(first.base_url, lambda actor: first.tokens.make(actor, SystemClock().now(), DAY))
            yield api
            await api.close()
        finally:
            for one in processes:
                await one.stop()

    async def report(self, *names: str) -> Report:
        checks = [check for check in CHECKS if not names or check.name in names]
        async with shop_of(self.settings, load_policy(), SystemClock()) as shop:
            return await examine(shop, checks)

    def environ(self) -> dict[str, str]:
        """What a command needs to find the shop."""
        settings = self.settings
        return {
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "KAFKA_SERVERS": settings.kafka_servers,
            "KAFKA_PREFIX": settings.kafka_prefix,
            "DATA_DIR": str(settings.data_dir / "none"),
        }

    async def damage(self, service: str, sql: str) -> None:
        await asyncio.to_thread(self.postgres.execute, sql, self.databases.name_of(service))

    async def send(self, source: str, **changed: Any) -> None:
        """Put the first message of a topic there once more, changed."""
        connection, topic = Connection.of(self.settings), topic_of(source, self.settings.kafka_prefix)
        first = (await messages_in(connection, topic))[0]
        headers = [(name, changed.pop(name, value)) for name, value in first.headers]
        message = {"key": first.key, "value": first.value, "partition": first.partition, **changed}
        producer = await connection.producer("tests")
        await producer.send_and_wait(topic, headers=headers, **message)
        await stop(producer)


@pytest.fixture
async def apart(tmp_path: Path, postgres: PostgresCluster, kafka: KafkaCluster) -> AsyncIterator[Examined]:
    """A shop of the test's own, nobody at work."""
    apart = Examined(tmp_path, postgres, kafka)
    await apart.prepare()
    yield apart
    await apart.databases.drop()


async def _heard(api: Api, case_id: str) -> None:
    """Wait until what refunds decided came back to cases."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (await api.must("GET", f"/v1/cases/{case_id}"))["payouts"]:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.05)


async def test_services_apart(apart: Examined) -> None:
    """Sound while all runs and at rest; each damage of topics and checkpoints is found where it is, with its mend."""
    async with apart.at_work() as api:
        for number in range(5):
            case_id = await api.refund(f"TB{number}")
            report = await apart.report()
            assert report.sound, report.findings
        await _heard(api, case_id)
    report = await apart.report()
    assert report.sound, report.findings
    assert {(one.check, one.service) for one in report.outcomes if one.check == "topics"} == {
        ("topics", name) for name in SERVICES
    }
    told = await asyncio.to_thread(aftersales, "doctor", "--json", **apart.environ())
    assert told.status == 0, told.out
    assert not (apart.settings.data_dir / "none").exists()
    prefix = apart.settings.kafka_prefix

    await apart.send("refunds")
    assert (await apart.report("topics", "inbox")).sound, "what is published again is the same"

    await apart.send("cases", ce_id=b"of-nobody")
    [stray] = (await apart.report("topics")).findings
    assert "no event of the log" in stray.what.en
    assert stray.where.startswith(f"{prefix}aftersales.cases.v1/")

    await apart.send("refunds", value=b"{}")
    altered = [one for one in (await apart.report("topics")).findings if one.service == "refunds"]
    assert ["another body" in one.what.en for one in altered] == [True]

    group = f"{prefix}aftersales-refunds"
    await apart.damage("refunds", f"UPDATE checkpoints SET position = 999 WHERE consumer = '{group}'")
    beyond = (await apart.report("checkpoints")).findings
    assert {one.mend for one in beyond} == {"aftersales resume refunds --by NAME"}


async def test_what_is_past_retention(apart: Examined) -> None:
    """What Kafka deleted in time is noted and no damage; what it deleted before it was handled is."""
    async with apart.at_work() as api:
        await _heard(api, await api.refund("TB1"))
    topic = topic_of("cases", apart.settings.kafka_prefix)
    last = max((await messages_in(Connection.of(apart.settings), topic)), key=lambda message: message.offset)
    place = TopicPartition(topic, last.partition)
    admin = await Connection.of(apart.settings).admin()
    await admin.delete_records({place: RecordsToDelete(2)})
    await stop(admin)
    report = await apart.report()
    assert report.sound, report.findings
    [note] = [one for one in report.not_compared if one.service == "cases"]
    assert note.where == f"{topic}/{last.partition}"
    group = f"{apart.settings.kafka_prefix}aftersales-refunds"
    lost = f"UPDATE checkpoints SET position = 1 WHERE consumer = '{group}' AND source = '{topic}/{last.partition}'"
    await apart.damage("refunds", lost)
    [deleted] = (await apart.report("checkpoints")).findings
    again, then = deleted.mend.split(" && ")
    assert (again, then) == (
        "aftersales republish cases --from-position 1 --by NAME",
        "aftersales resume refunds --by NAME",
    )


async def test_an_event_that_never_reached_its_topic(apart: Examined) -> None:
    """The relay says that it published what is not there: found, with the position to publish again from; and what
    nobody heard is not yet published, so it is no damage before that."""
    async with apart.at_work() as api:
        await _heard(api, await api.refund("TB1"))
    # Decided while nobody publishes.
    async with shop_of(apart.settings, load_policy(), SystemClock()) as shop:
        first = await shop.stores["cases"].head_position() + 1
    async with apart.at_work(["cases"], "api") as api:
        await api.order("TB2")
    assert (await apart.report()).sound, "it is on its way"
    await apart.damage("cases", f"UPDATE checkpoints SET position = {first} WHERE consumer = 'relay'")
    [missing] = (await apart.report("topics")).findings
    assert missing.mend == f"aftersales republish cases --from-position {first} --by NAME"


async def test_a_message_that_was_passed_without_being_handled(apart: Examined) -> None:
    """A consumer whose place in a partition is behind what it did not handle: found, and published again it heals."""
    async with apart.at_work() as api:
        await _heard(api, await api.refund("TB1"))
    await apart.damage("liability", "DELETE FROM inbox WHERE source = 'refunds' AND stream = 'TB1'")
    [passed] = (await apart.report("inbox")).findings
    assert (passed.service, passed.where) == ("liability", "refunds/TB1")
    assert passed.mend == "aftersales republish refunds --from-position 1 --by NAME"

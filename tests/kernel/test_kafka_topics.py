"""Topics: made as they should be, and never changed in a way that moves keys."""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from uuid_utils import uuid7

from contracts.policy import load_policy
from contracts.registry import HEARS
from services.catalogue import SERVICES
from services.kernel.clock import SystemClock
from services.kernel.kafka.connection import Connection, stop
from services.kernel.kafka.topics import (
    Found,
    Topic,
    TopicRefused,
    dead_letters_of,
    ensure,
    group_of,
    is_there,
    look,
    missing,
    present,
    topic_of,
    topics,
    topics_of,
)
from services.kernel.settings import Settings, load_settings
from services.stack.kafka import KafkaCluster
from tests.kernel.kafka import make_topic

_CLI = "from services.cli.topics import app; app()"
_DATABASE_URL = "postgresql://a:b@host/aftersales_{service}"


@pytest.fixture
def settings(kafka: KafkaCluster) -> Settings:
    """Topics under a prefix of their own."""
    return _settings(kafka_servers=kafka.servers, kafka_prefix=f"{uuid7()}.")


@pytest.fixture
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = await Connection.of(settings).admin()
    yield admin
    await stop(admin)


def test_names_are_those_of_the_convention() -> None:
    """What others read in their consoles and configure in their tools."""
    assert topic_of("cases") == "aftersales.cases.v1"
    assert topic_of("orders", "shop2.") == "shop2.orders.v1"
    assert group_of("refunds", "shop2.") == "shop2.aftersales-refunds"
    assert dead_letters_of("aftersales.cases.v1", "aftersales-refunds") == "aftersales.cases.v1.aftersales-refunds.dlq"


def test_the_longest_prefix_makes_no_name_too_long() -> None:
    """Kafka takes 249 characters."""
    settings = _settings(kafka_servers="host:9092", kafka_prefix="p" * 100)
    assert max(len(topic.name) for topic in topics(settings)) <= 249


def test_each_service_needs_its_own_what_it_hears_and_its_dead_letters() -> None:
    """A service waits for no topic that is none of its business."""
    settings = _settings(kafka_servers="host:9092")
    assert {topic.name for topic in topics_of("refunds", settings)} == {
        "aftersales.refunds.v1",
        "aftersales.cases.v1",
        "aftersales.cases.v1.aftersales-refunds.dlq",
    }
    assert {topic.name for service in HEARS for topic in topics_of(service, settings)} == {
        topic.name for topic in topics(settings)
    }


@pytest.mark.parametrize("service", HEARS)
async def test_topics_are_made_for_what_services_hear(service: str, tmp_path: Path) -> None:
    """Services hear what the table says that topics are made from: none waits for a topic that nobody makes."""
    assembly = SERVICES[service](load_settings({}, data_dir=tmp_path), load_policy(), SystemClock())
    assert {one for one in assembly.service.part.hears_from if one != service} == set(HEARS[service])
    await assembly.service.close()


async def test_what_is_missing_is_made_as_it_should_be(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    """First nothing is there, then everything with the settings asked for, and a second time there is nothing to do."""
    wanted = topics(settings)
    assert {one.state for one in await ensure(admin, wanted, dry_run=True)} == {"missing"}
    assert {one.topic for one in await missing(admin, wanted)} == {topic.name for topic in wanted}
    assert {one.state for one in await ensure(admin, wanted)} == {"created"}
    found = await ensure(admin, wanted)
    assert {one.state for one in found} == {"as_it_should_be"}
    assert [one.partitions for one in found] == [topic.partitions for topic in wanted]
    assert await missing(admin, wanted) == []


async def test_two_may_make_them_at_once(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    """Deployments of several services run side by side."""
    found = await asyncio.gather(ensure(admin, topics(settings)), ensure(admin, topics(settings)))
    assert all(one.usable for both in found for one in both)


async def test_partitions_are_never_added(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    """Events of an order would move to another partition, where nothing keeps them behind the earlier ones."""
    wanted = topics(settings)
    await ensure(admin, wanted)
    more = [msgspec.structs.replace(topic, partitions=topic.partitions + 2) for topic in wanted]
    for one in await ensure(admin, more, alter=True):
        assert (one.state, [difference.setting for difference in one.differences]) == ("differs", ["partitions"])
        assert one.usable
    assert [one.state for one in await look(admin, wanted)] == ["as_it_should_be"] * len(wanted)


async def test_settings_are_altered_only_when_asked(
    settings: Settings, admin: AIOKafkaAdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention is changed by `alter`, for all brokers, and what somebody else set on the topic stays."""
    connection = Connection.of(settings)
    name = topic_of("cases", connection.prefix)
    await make_topic(connection, name, 6, retention_ms="5000", segment_ms="777777")
    wanted = [topic for topic in topics(settings) if topic.name == name]
    (found,) = await ensure(admin, wanted)
    assert found.state == "differs"
    assert {one.setting: (one.found, one.wanted) for one in found.differences} == {
        "retention.ms": ("5000", str(14 * 24 * 3600 * 1000)),
        "max.message.bytes": ("1048588", "2097152"),
    }
    assert not found.usable
    ask, asked = admin.describe_configs, itertools.count()
    old = await ask([ConfigResource(ConfigResourceType.TOPIC, name)])
    # The first broker that is asked afterwards has not heard of the change.
    monkeypatch.setattr(
        admin, "describe_configs", lambda about: asyncio.sleep(0, old) if next(asked) == 2 else ask(about)
    )
    (altered,) = await ensure(admin, wanted, alter=True)
    assert altered == Found(name, "altered", 6, 1)
    other = Topic(name, 6, 1, {**wanted[0].configs, "segment.ms": "777777"})
    assert [one.state for one in await look(admin, [other])] == ["as_it_should_be"]


async def test_topics_are_made_only_once_every_broker_knows_them(
    settings: Settings, admin: AIOKafkaAdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request may go to another broker, and one may not have heard of a topic that another tells of: that topic
    counts as missing, and making it ends when it is there for all."""
    wanted = topics(settings)
    ask = admin.describe_topics
    told_ahead = [{"topic": topic.name, "partitions": [{"partition": 0, "replicas": [0]}]} for topic in wanted]
    monkeypatch.setattr(admin, "describe_topics", lambda: asyncio.sleep(0, told_ahead))
    assert {one.state for one in await look(admin, wanted)} == {"missing"}
    asked = itertools.count()
    # Every other broker has not heard of them.
    monkeypatch.setattr(admin, "describe_topics", lambda: ask() if next(asked) % 2 else asyncio.sleep(0, []))
    assert {one.state for one in await ensure(admin, wanted)} == {"created"}


async def test_what_the_brokers_refuse_is_said(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    """More copies than brokers cannot be."""
    with pytest.raises(TopicRefused, match="replication factor"):
        await ensure(admin, [Topic(f"{settings.kafka_prefix}x", 1, 3, {})])


async def test_a_process_waits_for_topics(settings: Settings, admin: AIOKafkaAdminClient) -> None:
    """Looking for topics makes none, and the wait ends when somebody makes them."""
    connection, wanted = Connection.of(settings), topics_of("refunds", settings)
    waiting = asyncio.create_task(present(connection, wanted))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    assert not await is_there(connection, wanted[0].name)
    await ensure(admin, wanted)
    await asyncio.wait_for(waiting, 10)
    assert await is_there(connection, wanted[0].name)


def test_the_command_line_makes_and_lists_them(settings: Settings) -> None:
    """What an operator types: a dry run changes nothing, and the status tells whether all is well."""
    assert [one["state"] for one in _run(settings, 1, "ensure", "--dry-run", "--json")["topics"]] == ["missing"] * 14
    assert [one["state"] for one in _run(settings, 0, "ensure", "--json")["topics"]] == ["created"] * 14
    assert _run(settings, 0, "list", "--json")["ok"]
    more = settings.model_copy(update={"kafka_partitions": 9, "kafka_retention_days": -1})
    told = _run(more, 1, "ensure", "--alter")["text"]
    assert "partitions: 6 → 9" in told
    assert "republish" in told
    assert "retention.ms" not in told


@pytest.mark.parametrize(("servers", "code"), [("", "no_broker"), ("127.0.0.1:1", "broker_away")])
def test_the_command_line_says_why_it_cannot(servers: str, code: str) -> None:
    """No traceback: which setting, or that nobody answers there."""
    assert _run(_settings(kafka_servers=servers), 2, "list", "--json")["error"]["code"] == code


def _settings(**given: object) -> Settings:
    return load_settings({}, database_url=_DATABASE_URL, **given)


def _run(settings: Settings, status: int, *arguments: str) -> dict[str, Any]:
    names = ("kafka_servers", "kafka_prefix", "kafka_partitions", "kafka_retention_days")
    given = {f"AFTERSALES_{name.upper()}": str(getattr(settings, name)) for name in names}
    done = subprocess.run(
        [sys.executable, "-c", _CLI, *arguments],
        env={**os.environ, "AFTERSALES_DATABASE_URL": _DATABASE_URL, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return msgspec.json.decode(done.stdout) if "--json" in arguments else {"text": done.stdout}

"""The Kafka cluster that tests and the stack start for themselves."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.stack.kafka import KafkaCluster, KafkaMissing, kafka_jars, throwaway_brokers
from services.stack.ports import free_port

_PARENT = """
import sys
from services.stack.kafka import KafkaCluster
cluster = KafkaCluster()
cluster.start()
print(cluster.pid(0), flush=True)
sys.stdin.read()
"""


async def test_data_outlives_kill_and_a_new_cluster_on_its_folder(tmp_path: Path) -> None:
    """What was acknowledged is there after kill -9, and when the same folder is started again on other ports."""
    cluster = KafkaCluster(folder=tmp_path / "kafka")
    try:
        cluster.start()
        await _make_topic(cluster, "kept", 1)
        await _produce(cluster, "kept", b"1")
        cluster.kill(0)
        cluster.restart(0)
        await _produce(cluster, "kept", b"2")
    finally:
        cluster.close()
    again = KafkaCluster(folder=tmp_path / "kafka")
    try:
        again.start()
        assert again.servers != cluster.servers
        assert await _all(again, "kept", 2) == [b"1", b"2"]
    finally:
        again.close()


def test_brokers_begin_with_classes_at_hand() -> None:
    """A broker uses the archive of classes beside the jars, without which it needs twice the time to start."""
    with throwaway_brokers() as cluster:
        used = Path(f"/proc/{cluster.pid(0)}/maps").read_text()
    assert f"{kafka_jars()}-" in used
    assert ".jsa" in used


def test_clients_find_the_broker_where_it_was(tmp_path: Path) -> None:
    """The port that is preferred is taken if it is free, and no other listener of a broker takes it."""
    port, other = free_port(), free_port()
    assert KafkaCluster(3, tmp_path, preferred_ports=[port, other]).ports[:2] == (port, other)
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", port))
        somebody.listen()
        assert KafkaCluster(1, tmp_path, preferred_ports=[port]).ports[0] != port


def test_brokers_end_with_their_killed_parent() -> None:
    """No broker is left over when whoever started it is killed."""
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout
        broker = int(parent.stdout.readline())
        os.kill(broker, 0)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{broker}").exists() and "Z" not in Path(f"/proc/{broker}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_jars_are_fetched_once_by_two_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that fetch at the same time both get a whole folder, and leave nothing else behind."""
    kafka_jars()  # Maven has everything at hand now
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    threads = [threading.Thread(target=kafka_jars) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(kafka_jars().glob("kafka_2.13-*.jar"))
    assert [folder.name for folder in (tmp_path / "aftersales").iterdir()] == [kafka_jars().name]


def test_missing_java_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Java, and where it cannot be installed, the message says what to install."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(KafkaMissing, match=r"openjdk-17-jre-headless maven.*There is no java"):
        KafkaCluster()


async def _make_topic(cluster: KafkaCluster, topic: str, replicas: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, replicas)])
    await admin.close()


async def _produce(cluster: KafkaCluster, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=cluster.servers, acks="all", enable_idempotence=True, request_timeout_ms=5_000
    )
    await producer.start()
    await producer.send_and_wait(topic, value)
    await producer.stop()


async def _all(cluster: KafkaCluster, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=cluster.servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()

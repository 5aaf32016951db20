"""A shop of services apart, for tests: databases and topics of its own on the servers that tests share."""

import uuid
from pathlib import Path

from services.kernel.kafka.connection import Connection, stop
from services.kernel.kafka.topics import ensure, topics
from services.kernel.settings import load_settings
from services.stack.databases import Databases
from services.stack.kafka import KafkaCluster
from services.stack.postgres import PostgresCluster


class Apart:
    """Its databases, topics and settings."""

    def __init__(self, folder: Path, postgres: PostgresCluster, kafka: KafkaCluster, **changed: object) -> None:
        name = uuid.uuid4().hex[:8]
        self.databases = Databases(postgres.url(), f"{name}_")
        usual: dict[str, object] = {
            "data_dir": folder,
            "port": 0,
            "drain_seconds": 0.0,
            "database_url": self.databases.url,
            "kafka_servers": kafka.servers,
            "kafka_prefix": f"{name}.",
            "kafka_partitions": 2,
        }
        self.settings = load_settings({}, **{**usual, **changed})

    async def prepare(self) -> None:
        """Make what its services need before they work."""
        await self.databases.make()
        await self.databases.migrate(self.settings.data_dir)
        await self.make_topics()

    async def make_topics(self) -> None:
        """Make the topics that are missing."""
        admin = await Connection.of(self.settings).admin()
        await ensure(admin, topics(self.settings))
        await stop(admin)

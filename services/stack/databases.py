"""The databases of the services on one PostgreSQL server: one each, made and brought up to date."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy import make_url

from contracts.policy import load_policy
from services.catalogue import SERVICES
from services.kernel.clock import SystemClock
from services.kernel.settings import SERVICE, load_settings

_NAME: Final = "aftersales_" + SERVICE


class Databases:
    """One database for each service, on the server that `server_url` leads to (`postgresql://user:password@host/…`)."""

    def __init__(self, server_url: str, prefix: str = "", services: Sequence[str] = tuple(SERVICES)) -> None:
        """`prefix`: put before their names, for databases beside those of the shop. `services`: who has one."""
        self._services = services
        self._server = make_url(server_url).set(drivername="postgresql")
        self._name = prefix + _NAME

    @property
    def url(self) -> str:
        """Their address, with `{service}` for the name of the service."""
        return self.url_of(SERVICE)

    def url_of(self, service: str) -> str:
        """The address of a service's database."""
        # By hand: rendered, the braces of the placeholder would be escaped.
        base = self._server.set(database="").render_as_string(hide_password=False)
        return base.rstrip("/") + "/" + self.name_of(service)

    def name_of(self, service: str) -> str:
        """The name of a service's database."""
        return self._name.replace(SERVICE, service)

    async def make(self, template: "Databases | None" = None) -> None:
        """Make those that are missing, empty or as copies of others that nobody is connected to."""
        await asyncio.gather(*(self._make(service, template) for service in self._services))

    async def _make(self, service: str, template: "Databases | None") -> None:
        name = self.name_of(service)
        async with self._connection() as connection:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                source = template.name_of(service) if template else "template1"
                await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"')

    async def migrate(self, data_dir: Path) -> None:
        """Bring them up to date; `data_dir` is where services would keep other things."""
        settings = load_settings({}, data_dir=data_dir, database_url=self.url)
        policy, clock = load_policy(), SystemClock()
        for name in self._services:  # one after another: Alembic keeps its context in module globals
            service = SERVICES[name](settings, policy, clock).service
            try:
                await service.migrate()
            finally:
                await service.close()

    async def drop(self) -> None:
        """Remove them, whoever is still connected."""
        await asyncio.gather(*(self._drop(service) for service in self._services))

    async def _drop(self, service: str) -> None:
        async with self._connection() as connection:
            await connection.execute(f'DROP DATABASE IF EXISTS "{self.name_of(service)}" WITH (FORCE)')

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        url = self._server.set(database="postgres").render_as_string(hide_password=False)
        connection = await asyncpg.connect(url)
        try:
            yield connection
        finally:
            await connection.close()

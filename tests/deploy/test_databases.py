"""The databases and users that Compose makes at its first start, made on a real server."""

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import asyncpg
import pytest

from services.catalogue import SERVICES
from services.kernel.migrations import migrate
from services.kernel.settings import Settings, load_settings
from services.stack.postgres import USER, PostgresCluster, postgres_programs, throwaway_cluster
from tests.deploy.files import DEPLOY

_RIGHTS = """
    SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication FROM pg_roles WHERE rolname = current_user
"""


@pytest.fixture(scope="module")
def secrets_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make-secrets.sh` draws, in a folder of its own."""
    folder = tmp_path_factory.mktemp("deploy")
    (folder / "make-secrets.sh").write_bytes((DEPLOY / "make-secrets.sh").read_bytes())
    subprocess.run(["sh", folder / "make-secrets.sh"], check=True, capture_output=True)
    before = _contents(folder / "secrets")
    subprocess.run(["sh", folder / "make-secrets.sh"], check=True, capture_output=True)
    assert _contents(folder / "secrets") == before, "drawn anew"
    return folder / "secrets"


@pytest.fixture(scope="module")
def cluster(secrets_folder: Path) -> Iterator[PostgresCluster]:
    """A server on which the script has run; one of its own, because roles are a server's and not a database's."""
    with throwaway_cluster() as server:
        password = re.search(r":([0-9a-f]+)@", server.url())
        assert password is not None
        environment = {
            **os.environ,
            "PATH": f"{postgres_programs()}:{os.environ['PATH']}",
            "SECRETS": str(secrets_folder),
            "POSTGRES_USER": USER,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "PGPASSWORD": password[1],
        }
        subprocess.run(["sh", DEPLOY / "postgres" / "databases.sh"], check=True, env=environment, capture_output=True)
        yield server


def _settings(cluster: PostgresCluster, secrets_folder: Path, service: str) -> Settings:
    """As drawn, but for where the server is."""
    url = (secrets_folder / f"database_url_{service}").read_text().replace("@postgres/", f"@127.0.0.1:{cluster.port}/")
    return load_settings({"AFTERSALES_DATABASE_URL": url})


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_can_migrate_its_database_and_nothing_more(
    cluster: PostgresCluster, secrets_folder: Path, service: str
) -> None:
    """With the secret that was drawn for it, a service makes its tables, and is no administrator."""
    url = _settings(cluster, secrets_folder, service).database_of(service)
    migrate(url, DEPLOY.parent / "services" / service / "migrations")
    assert asyncio.run(_asked(url, "SELECT count(*) FROM alembic_version")) == 1
    assert asyncio.run(_asked(url, _RIGHTS)) is False


@pytest.mark.parametrize("other", ["aftersales_refunds", "postgres"])
async def test_a_service_cannot_connect_to_another_database(
    cluster: PostgresCluster, secrets_folder: Path, other: str
) -> None:
    """Whoever gets hold of one service's secret reads nothing of the others."""
    url = _settings(cluster, secrets_folder, "cases").database_of("cases")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(url, database=other)


async def _asked(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def test_secrets_are_long_and_each_its_own(secrets_folder: Path) -> None:
    """No two secrets are alike, and every one that Compose mounts is drawn."""
    contents = _contents(secrets_folder)
    assert len(set(contents.values())) == len(contents) == 7
    assert all(len(content) >= 24 for content in contents.values())
    assert secrets_folder.stat().st_mode & 0o077 == 0


def _contents(folder: Path) -> Mapping[str, str]:
    return {file.name: file.read_text() for file in sorted(folder.iterdir())}

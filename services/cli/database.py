"""The database of a service, for a command that ends by itself: where it is, and what to do where it fails."""

import errno
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from contracts.registry import decode
from services.cli.address import without_password
from services.cli.failure import Failure, reason_of
from services.histories import Logs
from services.kernel.event_store import CommitFailed, EventStore, StoreRefused, StoreUnavailable
from services.kernel.settings import Settings
from services.kernel.stores import DATABASE_ERRORS, open_store
from services.logs import logs_to_read

#: What stands between a command and the data where nobody said where the data is.
_WHERE: Final = (
    ". var/stack/env:使用本机的 stack(make stack) / works on the stack of this machine (make stack)",
    "--data-dir 或 AFTERSALES_DATA_DIR:aftersales serve 的数据目录"
    " / --data-dir or AFTERSALES_DATA_DIR: the data folder of aftersales serve",
    "AFTERSALES_DATABASE_URL:PostgreSQL 的地址 / its address on PostgreSQL",
    "还没有数据:先启动 aftersales serve(或 make stack) / no data yet: start aftersales serve first (or make stack)",
)
_ACCESS: Final = (
    "请检查 AFTERSALES_DATABASE_URL 的用户、密码和库名 / check user, password and database in AFTERSALES_DATABASE_URL",
)
_RUNNING: Final = (
    "PostgreSQL 在运行吗?请检查 AFTERSALES_DATABASE_URL / is PostgreSQL running? check AFTERSALES_DATABASE_URL",
    "用的是 stack:确认它在运行,再执行 . var/stack/env / on a stack: see that it runs, then . var/stack/env again",
)


@asynccontextmanager
async def opened(settings: Settings, service: str) -> AsyncIterator[EventStore]:
    """The database of a service, closed in the end. Raises `Failure` where it cannot be used."""
    with on_database(settings, service):
        store = open_store(settings.database_of(service), decode, readers=1)
        try:
            yield store
        finally:
            await store.close()


def must_be_there(settings: Settings, service: str) -> None:
    """Raises `Failure` before anything is made beside a database that is not there."""
    with on_database(settings, service):
        if not settings.database_url.get_secret_value() and not Path(place_of(settings, service)).is_file():
            raise StoreUnavailable("not there")


@asynccontextmanager
async def logs_there(settings: Settings) -> AsyncIterator[Logs]:
    """All logs, to be read only. Raises `Failure` for the first database that cannot be used."""
    async with logs_to_read(settings) as logs:
        for service, log in vars(logs).items():
            with on_database(settings, service):
                await log.head_position()
        yield logs


@contextmanager
def on_database(settings: Settings, service: str) -> Iterator[None]:
    """What a database has against the work in this block is told as a `Failure`: which one it is, and what to do."""
    try:
        yield
    except (StoreUnavailable, CommitFailed, *DATABASE_ERRORS) as error:
        trouble = trouble_of(settings, service, error)
        raise Failure(
            "database_refused" if isinstance(error, StoreRefused) else "store_unavailable",
            f"打不开 {service} 的数据库 {trouble}",
            f"The database of {service} cannot be used, {trouble}",
            mistakes=ways_out(settings, service, error),
        ) from None


def trouble_of(settings: Settings, service: str, error: BaseException) -> str:
    """Where a database is that cannot be used, and why it cannot."""
    place = place_of(settings, service)
    missing = not settings.database_url.get_secret_value() and not Path(place).exists()
    return f"{place}: {os.strerror(errno.ENOENT) if missing else reason_of(error)}"


def place_of(settings: Settings, service: str) -> str:
    """Where the database of a service is, without the password."""
    url = settings.database_of(service)
    if not settings.database_url.get_secret_value():
        return str(make_url(url).database)
    return without_password(url) or "AFTERSALES_DATABASE_URL"


def ways_out(settings: Settings, service: str, error: BaseException) -> list[str]:
    """What to do about a database that cannot be used, zh / en each."""
    if not isinstance(error, StoreUnavailable | TimeoutError):  # it answers, but not as it should
        migrate = f"aftersales migrate {service}" if settings.database_url.get_secret_value() else "aftersales serve"
        return [f"尚未建表或未升级:{migrate} / it was not brought up to date yet: {migrate}"]
    if not settings.database_url.get_secret_value():
        return list(_WHERE)
    return list(_ACCESS if isinstance(error, StoreRefused) else _RUNNING)

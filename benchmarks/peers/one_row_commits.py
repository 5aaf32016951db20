"""What a service without group commit does: one row, one transaction, one flush, through SQLAlchemy async."""

import asyncio
import time
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

_ROWS = sa.Table(
    "rows", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("body", sa.LargeBinary)
)


def commits_per_second(folder: Path, body: bytes, count: int) -> float:
    """Commit `count` rows with this body, one after another, into a file in this folder."""
    return asyncio.run(_measure(folder / "rows.db", body, count))


async def _measure(file: Path, body: bytes, count: int) -> float:
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}", pool_size=1, max_overflow=0)

    @sa.event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: object, _: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    async with engine.begin() as connection:
        await connection.run_sync(_ROWS.metadata.create_all)
    began = time.perf_counter()
    for _ in range(count):
        async with engine.begin() as connection:
            await connection.execute(_ROWS.insert().values(body=body))
    seconds = time.perf_counter() - began
    await engine.dispose()
    return count / seconds

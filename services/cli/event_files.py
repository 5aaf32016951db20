"""`aftersales events export|import`: a history in a file, to be kept, analysed, or moved to another installation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
import typer

from contracts.registry import decode
from services.catalogue import SERVICES
from services.cli.bar import bar
from services.cli.by_name import By, DryRun, Reason, must_be_told
from services.cli.claim import claimed
from services.cli.database import on_database, opened, place_of
from services.cli.environment import log_beside_the_answer, make_folder, settings_in_force
from services.cli.event_choice import OfService, Range
from services.cli.event_failures import explained
from services.cli.failure import Failure, told
from services.cli.operated import operated
from services.cli.options import with_options
from services.cli.output import AsJson, DataDir, show_json
from services.cli.serving import named
from services.kernel.clock import clock_of
from services.kernel.event_store import EventStore
from services.kernel.long_work import Tell
from services.kernel.settings import Settings
from services.operations.moving import as_options, outcome_of
from services.policy import policy_in_force
from services.transfer.exporting import export as write
from services.transfer.files import OpenFile
from services.transfer.formats import Format
from services.transfer.importing import Import, check, import_events
from services.transfer.lines import Manifest
from services.transfer.selection import Selection

Place = Annotated[Path, typer.Argument(metavar="FILE", help="*.jsonl, *.jsonl.gz or *.parquet. 文件。")]

log = structlog.get_logger(__name__)


class FileFormat(StrEnum):
    """The formats of a file of events."""

    JSONL = "jsonl"
    PARQUET = "parquet"


@with_options(Range)
def export(
    asked: Range,
    service: OfService,
    file: Place,
    format: Annotated[FileFormat | None, typer.Option(help="By the name of the file unless said. 格式。")] = None,
    by: By = "",
    reason: Reason = "",
) -> None:
    """Write events to a file, with all that it takes to verify and import it elsewhere. 导出事件,可校验、可导入。"""
    with told(asked.json), explained():
        settings, selection = asked.settings(), asked.selection()
        log_beside_the_answer(settings, asked.json)
        [name] = named([service])
        suffix = FileFormat.PARQUET if file.suffix == ".parquet" else FileFormat.JSONL
        kind: Format = "parquet" if (format or suffix) is FileFormat.PARQUET else "jsonl"
        manifest = asyncio.run(_export(settings, name, selection, file, kind, by, reason, shown=not asked.json))
        if asked.json:
            show_json({"file": str(file), "manifest": manifest})
        else:
            typer.echo("\n".join((str(file), *_lines(manifest))))


def import_(
    file: Place,
    dry_run: DryRun = False,
    by: By = "",
    reason: Reason = "",
    data_dir: Annotated[Path | None, DataDir] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Take an exported log into an installation that is empty, or holds what comes before, and verify it on the way.
    The service must not run; its read tables build themselves when it does. 导入导出的日志,边导入边校验(服务须停止)。
    """
    with told(json), explained():
        must_be_told(by, reason, dry_run=dry_run)
        settings = settings_in_force(data_dir=data_dir)
        log_beside_the_answer(settings, json)
        service = _service_of(file)
        with bar(f"import {service}", shown=not json) as tell:
            work = _check if dry_run else _import
            done = asyncio.run(work(settings, service, file, tell))
        if not dry_run:
            manifest = done.manifest
            told_of = {"first": manifest.first, "last": manifest.last, "added": done.added, "root": done.root}
            log.warning("imported", service=service, file=str(file), by=by, reason=reason, **told_of)
        _show(file, done, dry_run, json)


async def _export(
    settings: Settings,
    service: str,
    selection: Selection,
    file: Path,
    format: Format,
    by: str,
    reason: str,
    *,
    shown: bool,
) -> Manifest:
    options = {**as_options(selection), "format": format, "file": str(file)}
    title = f"export {service}"
    async with (
        operated(settings, service, "export", by=by, reason=reason, options=options, title=title, shown=shown) as work,
        opened(settings, service) as store,
    ):
        with explained():
            manifest = await write(store, service, selection, file, format, work)
        work.outcome = outcome_of(manifest)
        return manifest


async def _check(settings: Settings, service: str, file: Path, tell: Tell) -> Import:
    if not _is_there(settings, service):
        return await check(file, None, decode, tell)
    async with opened(settings, service) as store:
        return await check(file, store, decode, tell)


def _is_there(settings: Settings, service: str) -> bool:
    """Whether there is a database, as far as a data folder shows it."""
    return bool(settings.database_url.get_secret_value()) or Path(place_of(settings, service)).exists()


async def _import(settings: Settings, service: str, file: Path, tell: Tell) -> Import:
    async with _filled(settings, service) as store:
        return await import_events(file, store, decode, tell)


@asynccontextmanager
async def _filled(settings: Settings, service: str) -> AsyncIterator[EventStore]:
    """The database to be filled. In a data folder it is made where there is none, and nobody may serve it meanwhile."""
    if settings.database_url.get_secret_value():
        async with opened(settings, service) as store:
            yield store
        return
    make_folder(settings.data_dir)
    with claimed(settings.data_dir, [service]):
        await _migrate(settings, service)
        async with opened(settings, service) as store:
            yield store


async def _migrate(settings: Settings, service: str) -> None:
    assembly = SERVICES[service](settings, policy_in_force(settings), clock_of(settings))
    try:
        with on_database(settings, service):
            await assembly.service.migrate()
    finally:
        await assembly.service.close()
        await assembly.closed()


def _service_of(file: Path) -> str:
    service = OpenFile(file).heading().service
    if service not in SERVICES:
        raise Failure(
            "unknown_service",
            f"{file} 是服务 {service} 的日志,这里没有这个服务。",
            f"{file} holds the log of {service}, and there is no such service here.",
        )
    return service


def _show(file: Path, done: Import, dry_run: bool, json: bool) -> None:
    if json:
        show_json({"file": str(file), "dry_run": dry_run, **msgspec.structs.asdict(done)})
        return
    typer.echo("\n".join((str(file), *_lines(done.manifest))))
    typer.echo(f"  已有 there already  {done.already}")
    typer.echo(f"  {'将导入 to import' if dry_run else '已导入 imported'}  {done.added}")
    if dry_run:
        typer.echo("未作改动 nothing was changed (--dry-run)")
    elif not done.manifest.complete:
        typer.echo(
            "这段历史还不到末尾:导入其余部分之后才能启动服务。\n"
            "This is not the history to its end: do not start the service before the rest is imported."
        )


def _lines(manifest: Manifest) -> list[str]:
    heading = manifest.heading
    selection = " ".join(f"{name}={text}" for name, text in heading.selection.items())
    return [
        f"  服务 service    {heading.service}",
        f"  位置 positions  {manifest.first}–{manifest.last}",
        f"  事件 events     {manifest.events}" + (f" ({selection})" if selection else ""),
        f"  根 root         {manifest.root}",
        f"  SHA-256         {manifest.sha256}",
    ]

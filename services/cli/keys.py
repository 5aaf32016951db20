"""`aftersales keys export|import`: the keys of what people wrote, taken along apart from the history that they open."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Final

import structlog
import typer

from services.cli.by_name import By, DryRun, Reason, must_be_told
from services.cli.claim import claimed
from services.cli.database import opened, place_of
from services.cli.environment import log_beside_the_answer, settings_in_force
from services.cli.failure import NOT_SO, Failure, file_exists, told
from services.cli.output import AsJson, DataDir, show_json
from services.kernel.settings import Settings
from services.transfer.keys import KeysUnreadable, check_keys, export_keys, import_keys

#: The service that keeps them.
_KEEPER: Final = "cases"

app = typer.Typer(no_args_is_help=True, help="Keys of free texts. 文字内容的密钥。")
log = structlog.get_logger(__name__)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A key a line. 密钥文件,一行一个。")]


@app.callback()
def keys() -> None:
    """Keys of free texts. 文字内容的密钥。"""


@app.command("export")
def export(
    file: File,
    by: By = "",
    reason: Reason = "",
    data_dir: Annotated[Path | None, DataDir] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Write all keys to a new file that only its owner may read. Whoever has it and the events reads everything, and
    what is erased later stays readable with it: delete it once it is imported. 导出全部密钥;导入后请删除该文件。
    """
    with told(json), _explained():
        must_be_told(by, reason, dry_run=False)
        settings = settings_in_force(data_dir=data_dir)
        log_beside_the_answer(settings, json)
        number = asyncio.run(_export(settings, file))
        log.warning("keys_exported", file=str(file), number=number, by=by, reason=reason)
        _tell(file, number, "导出 exported", json)


@app.command("import")
def import_(
    file: File,
    dry_run: DryRun = False,
    by: By = "",
    reason: Reason = "",
    data_dir: Annotated[Path | None, DataDir] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Add the keys of a file, beside a history that was imported. What was destroyed here or there stays destroyed. The
    service must not run meanwhile. 导入密钥;任一方已销毁的仍算销毁。须先停止服务。
    """
    with told(json), _explained():
        must_be_told(by, reason, dry_run=dry_run)
        settings = settings_in_force(data_dir=data_dir)
        log_beside_the_answer(settings, json)
        if dry_run:
            return _tell(file, check_keys(file), "文件中 in the file", json)
        _must_be_there(settings)
        added = asyncio.run(_import(settings, file))
        log.warning("keys_imported", file=str(file), added=added, by=by, reason=reason)
        return _tell(file, added, "新增 added", json)


async def _export(settings: Settings, file: Path) -> int:
    async with opened(settings, _KEEPER) as store:
        return await export_keys(store, file)


async def _import(settings: Settings, file: Path) -> int:
    served_from_files = not settings.database_url.get_secret_value()
    with claimed(settings.data_dir, [_KEEPER]) if served_from_files else nullcontext():
        async with opened(settings, _KEEPER) as store:
            if not await store.head_position():
                raise _no_events(place_of(settings, _KEEPER))
            return await import_keys(store, file)


def _must_be_there(settings: Settings) -> None:
    """Raises `Failure` where a data folder has no history that keys could open."""
    place = place_of(settings, _KEEPER)
    if not settings.database_url.get_secret_value() and not Path(place).exists():
        raise _no_events(place)


def _no_events(place: str) -> Failure:
    command = "aftersales events import FILE --by NAME --reason WHY"
    return Failure(
        "no_events",
        f"{place} 里还没有事件。请先导入 {_KEEPER} 的事件:{command}。",
        f"There are no events in {place} yet. Import the events of {_KEEPER} first: {command}.",
    )


def _tell(file: Path, number: int, what: str, json: bool) -> None:
    if json:
        show_json({"file": str(file), "keys": number})
    else:
        typer.echo(f"{file}\n  {what}  {number}")


@contextmanager
def _explained() -> Iterator[None]:
    """Raises `Failure` for what a person at the command line can mend."""
    try:
        yield
    except KeysUnreadable as error:
        zh, en = f"{error.file} 第 {error.line} 行不是密钥。", f"Line {error.line} of {error.file} is no key."
        raise Failure("keys_unreadable", zh, en, status=NOT_SO) from None
    except FileExistsError as error:
        raise file_exists(str(error.filename)) from None

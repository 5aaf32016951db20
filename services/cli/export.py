"""`aftersales books export`: a table of the books as a file: a spreadsheet, CSV, JSON Lines, or a beancount journal."""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final

import aiohttp
import msgspec
import typer
from yarl import URL

from services.cli.bar import bar
from services.cli.case_reading import READER, must_be_http, own_token, refused
from services.cli.database import must_be_there, on_database, opened
from services.cli.failure import NOT_SO, Failure, file_exists, told
from services.cli.look import Asked
from services.cli.options import with_options
from services.cli.output import show_json
from services.finance.exports.making import NAMES, Order, make, order_of
from services.kernel.actor import Actor
from services.kernel.clock import clock_seen
from services.kernel.long_work import Tell
from services.kernel.refusal import Refusal
from services.kernel.settings import Settings
from services.kernel.whole_file import filled
from services.wording.words import Words, plural

#: Every role may read; who owns the books asks here.
ROLE: Final = "finance"
SERVICE: Final = "finance"

#: Bytes that are fetched at a time.
_PIECE: Final = 1 << 18
#: A server writes the whole file before it sends any of it.
_PATIENCE: Final = aiohttp.ClientTimeout(total=None, sock_connect=30)


class FileFormat(StrEnum):
    """The formats of an export."""

    XLSX = "xlsx"
    CSV = "csv"
    JSONL = "jsonl"
    BEANCOUNT = "beancount"


_ENDINGS: Final[Mapping[str, FileFormat]] = {
    **{f".{format}": format for format in FileFormat},
    ".bean": FileFormat.BEANCOUNT,
}


app = typer.Typer(no_args_is_help=True, help="The books as files. 账表导出。")


@app.callback()
def books() -> None:
    """The books as files. 账表导出。"""


@app.command()
@with_options(Asked)
def export(
    asked: Asked,
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"{', '.join(NAMES)}. 表名。")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Where to write it. 写到哪个文件。")],
    format: Annotated[
        FileFormat | None, typer.Option(help="By the name of the file unless said. 格式。", show_default=False)
    ] = None,
    month: Annotated[str, typer.Option(help="A month of the shop's, as 2026-10. 月份。", show_default=False)] = "",
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there. 覆盖已有文件。")] = False,
) -> None:
    """Write a table of the books to a file, as it is now, of all time or one month. 导出账表到文件;可指定月份。

    XLSX: ids are texts, amounts are numbers of yuan, nothing is a formula.
    编号为文本,金额为数字(元),不含公式。

    CSV: what a spreadsheet would take for a formula (it begins with = + - @, a tab
    or a line break) gets an apostrophe; Excel shows long ids as numbers.
    会被当作公式的文本前加撇号;Excel 会把长编号显示成数字。

    JSON Lines: whole fen, for programs. 金额为整数分,供程序读取。

    The journal: the whole ledger, for beancount. journal:整本总账,供 beancount 使用。
    """
    with told(asked.json):
        settings, words = asked.begin()
        order = _order(name, format or _by_ending(to), month, words)
        if to.exists() and not force:
            raise file_exists(str(to))
        with bar(words.say("导出", "exporting"), shown=not asked.json) as tell:
            rows = asyncio.run(_written(settings, asked, order, to, tell))
        if asked.json:
            show_json({"file": str(to), **msgspec.structs.asdict(order), "rows": rows, "bytes": to.stat().st_size})
        else:
            counted = "" if rows is None else f"  {words.say(f'{rows} 行', plural(rows, 'row'))}"
            typer.echo(f"{to}{counted}")


def _by_ending(file: Path) -> FileFormat:
    """The format that the name of a file asks for. Raises `Failure`."""
    if (format := _ENDINGS.get(file.suffix.lower())) is not None:
        return format
    choices = ", ".join(FileFormat)
    raise Failure(
        "invalid",
        f"--format:从文件名 {file.name} 看不出格式,请指明:{choices}。",
        f"--format: the name {file.name} tells no format; say one of: {choices}.",
    )


def _order(name: str, format: FileFormat, month: str, words: Words) -> Order:
    try:
        return order_of(name, format, month, words.language)
    except Refusal as refusal:
        raise _failure(refusal) from None


def _failure(refusal: Refusal) -> Failure:
    """What is wrong with what was asked for, named as the command line names it."""
    error = refusal.errors[0]
    option = "NAME" if error["field"] == "name" else f"--{error['field']}"
    return Failure("invalid", f"{option}:{error['zh']}。", f"{option}: {error['en']}.")


async def _written(settings: Settings, asked: Asked, order: Order, to: Path, tell: Tell) -> int | None:
    """Write the file; gives its rows where they were counted here."""
    if asked.url:
        await _fetched(settings, asked, order, to, tell)
        return None
    must_be_there(settings, SERVICE)
    async with opened(settings, SERVICE) as store:
        with on_database(settings, SERVICE), filled(to) as file:
            try:
                return await make(store, order, clock_seen(settings).now(), file, tell)
            except Refusal as refusal:
                raise _failure(refusal) from None


async def _fetched(settings: Settings, asked: Asked, order: Order, to: Path, tell: Tell) -> None:
    must_be_http(asked.url)
    token = asked.token or own_token(settings, Actor(ROLE, READER))
    query = {"format": order.format, "lang": order.lang} | ({"month": order.month} if order.month else {})
    url = URL(asked.url).joinpath("v1", "exports", order.name).with_query(query)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(headers=headers, timeout=_PATIENCE) as session,
            session.get(url) as response,
        ):
            if response.status != HTTPStatus.OK:
                raise refused(response.status, await response.json(content_type=None), asked.url)
            await _saved(response, to, tell)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise Failure(
            "no_server",
            f"连不上 {asked.url}:{error}。请检查 --url;不写 --url 就直接读数据库。",
            f"No server answers at {asked.url}: {error}. Check --url; leave it away to read the database.",
            status=NOT_SO,
        ) from None


async def _saved(response: aiohttp.ClientResponse, to: Path, tell: Tell) -> None:
    size, done = response.content_length or 0, 0
    with filled(to) as file:
        async for piece in response.content.iter_chunked(_PIECE):
            await asyncio.to_thread(file.write, piece)
            done += len(piece)
            await tell(done, max(done, size))

"""`aftersales bill mapping`: saved column mappings, by which carriers' statements and other tables are imported."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from services.cli.acting import acting
from services.cli.books import FINANCE, Document, show_books
from services.cli.by_name import By, must_be_by_somebody
from services.cli.failure import told
from services.cli.imported_sheet import mappings_sheet
from services.cli.look import Asked
from services.cli.options import with_options
from services.cli.output import paper, show_json
from services.kernel.settings import Settings
from services.wording.words import Words

app = typer.Typer(no_args_is_help=True, help="Saved column mappings. 已保存的列映射。")

Name = Annotated[str, typer.Argument(metavar="NAME", help="As YTO-claims. 映射名称。")]


@app.callback()
def mapping() -> None:
    """Saved column mappings. 已保存的列映射。"""


@app.command()
@with_options(Asked)
def save(
    asked: Asked,
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML or JSON: which column is what. 列映射文件。")],
    by: By = "",
) -> None:
    """Save a column mapping, to import by its name; one of the same name is replaced. 保存列映射,同名则替换。"""
    with told(asked.json):
        must_be_by_somebody(by, dry_run=False)
        settings, words = asked.begin()
        answer = asyncio.run(_saved(settings, asked, name, file.read_bytes(), by))
        if asked.json:
            show_json(answer)
        elif answer["events"]:
            paper().print(words.stacked(f"已保存列映射 {name}", f"saved the mapping {name}"), markup=False)
        else:
            zh, en = f"列映射 {name} 已是如此,未改动", f"the mapping {name} is so already, nothing changed"
            paper().print(words.stacked(zh, en), markup=False)


@app.command("list")
@with_options(Asked)
def list_(asked: Asked) -> None:
    """Saved column mappings. 列出已保存的列映射。"""
    show_books(asked, mappings_sheet, "bill-mappings", limit=500)


@app.command()
@with_options(Asked)
def show(asked: Asked, name: Name) -> None:
    """A saved column mapping, as it was written. 查看一个列映射的原文。"""
    show_books(asked, _as_written, "bill-mappings", name)


def _as_written(_: Console, __: Words, mapping: Document) -> None:
    typer.echo(mapping["content"].rstrip("\n"))


async def _saved(settings: Settings, asked: Asked, name: str, content: bytes, by: str) -> dict[str, Any]:
    async with acting(settings, FINANCE, by, asked.url, asked.token) as act:
        return await act.put("bill-mappings", name, data=content)

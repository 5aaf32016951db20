"""Where results go: standard output, as a person or as a machine reads it."""

import os
import sys
from typing import Any, Final

import msgspec
import typer
from rich.console import Console

#: How wide tables are where there is no terminal to ask.
WIDTH: Final = 120

AsJson = typer.Option("--json", help="For machines. 输出 JSON。")
DataDir = typer.Option("--data-dir", help="The data folder. 数据目录。")
InLanguage = typer.Option("--lang", help="zh or en; by LANG unless said. 语言。")


def show_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(msgspec.json.encode(value).decode())


def paper() -> Console:
    """Standard output for tables: as wide as the terminal."""
    asked = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if asked else WIDTH, highlight=False)

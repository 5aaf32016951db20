"""`aftersales config check`: what is in force, where it comes from, and what is wrong with it."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich import box
from rich.markup import escape
from rich.table import Table

from contracts.policy import PolicyInvalid
from services.cli.address import without_password
from services.cli.environment import settings_in_force, unwritable
from services.cli.failure import NOT_LIKE_THIS, Failure
from services.cli.output import AsJson, DataDir, paper, show_json
from services.kernel.settings import PREFIX, Settings, SettingsInvalid, sources
from services.policy import policy_in_force

app = typer.Typer(no_args_is_help=True, help="Configuration. 配置。")


@app.callback()
def config() -> None:
    """Configuration. 配置。"""


@app.command()
def check(
    data_dir: Annotated[Path | None, DataDir] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Show what is in force and what is wrong; secrets are hidden. 查看生效的配置及其错误,密钥不显示。"""
    settings, policy, mistakes = _in_force(data_dir)
    rows = [_row(name, settings, data_dir) for name in Settings.model_fields]
    if json:
        show_json({"ok": not mistakes, "policy": policy, "settings": rows, "mistakes": mistakes})
    else:
        _show(rows, policy, mistakes)
    raise typer.Exit(NOT_LIKE_THIS if mistakes else 0)


def _in_force(data_dir: Path | None) -> tuple[Settings | None, str, list[str]]:
    """The settings where they are valid, the policy's version where it is, and all mistakes."""
    try:
        settings = settings_in_force(data_dir=data_dir)
    except SettingsInvalid as invalid:
        return None, "", invalid.mistakes
    mistakes = _folder_mistakes(settings.data_dir)
    try:
        return settings, policy_in_force(settings).version, mistakes
    except PolicyInvalid as invalid:
        return settings, "", [*mistakes, *(str(mistake) for mistake in invalid.mistakes)]
    except OSError as error:
        unreadable = f"{PREFIX}POLICY_FILE: 无法读取 {error.filename} / cannot be read: {error.strerror}"
        return settings, "", [*mistakes, unreadable]


def _folder_mistakes(folder: Path) -> list[str]:
    """Why a server could not write there, found out without writing anything."""
    nearest = next((place for place in (folder, *folder.absolute().parents) if place.exists()), folder)
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return []
    wrong: Failure = unwritable(folder, "Permission denied" if nearest.is_dir() else f"{nearest}: Not a directory")
    return [f"{PREFIX}DATA_DIR: {wrong.zh} / {wrong.en}"]


def _row(name: str, settings: Settings | None, data_dir: Path | None) -> dict[str, Any]:
    field = Settings.model_fields[name]
    variable = sources().get(name)
    given = name == "data_dir" and data_dir is not None
    value = getattr(settings, name) if settings else os.environ.get(variable or "", field.default)
    return {
        "name": PREFIX + name.upper(),
        "value": _shown(value, secret=isinstance(field.default, SecretStr)),
        "source": "--data-dir" if given else variable or "default",
        "description": field.description or "",
    }


def _shown(value: Any, secret: bool) -> Any:
    if isinstance(value, (int, float)) or value is None:
        return value
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    address = without_password(text)
    if address is not None:
        return address
    return "***" if text and (secret or "://" in text) else text


def _show(rows: list[dict[str, Any]], policy: str, mistakes: list[str]) -> None:
    table = Table("设置 setting", "值 value", "来源 source", "说明 what it is", box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        value = "" if row["value"] is None else str(row["value"])
        table.add_row(row["name"], escape(value), escape(row["source"]), row["description"])
    console = paper()
    console.print(table)
    if policy:
        console.print(f"政策版本 policy version: {policy}")
    for mistake in mistakes:
        console.print(f"[red]✗[/] {escape(mistake)}", soft_wrap=True)
    if not mistakes:
        console.print("[green]✓[/] 配置正确;没有连接任何服务器,密码等未经验证")
        console.print("  the configuration is right; nothing was connected to, so no password was tried")

"""`aftersales token`: who may call, signed with the data folder's secret."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from services.cli.environment import settings_in_force, tokens_of
from services.cli.failure import Failure, told
from services.cli.output import AsJson, DataDir, show_json
from services.kernel.actor import ROLES, Actor
from services.kernel.clock import SystemClock

#: A token lives longer only by being made again.
MAX_DAYS: Final = 3650
MAX_NAME_CHARACTERS: Final = 100


def token(
    role: Annotated[str, typer.Option(help=f"{', '.join(ROLES)}. 岗位。")],
    name: Annotated[str, typer.Option(help="Whose token it is. 姓名。")],
    days: Annotated[int, typer.Option(help="How long it is valid. 有效天数。")] = 30,
    data_dir: Annotated[Path | None, DataDir] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Make a token; the server need not run. 签发令牌,服务不必在运行。"""
    with told(json):
        _check(role, name, days)
        tokens = tokens_of(settings_in_force(data_dir=data_dir))
        now, valid_for = SystemClock().now(), timedelta(days=days)
        made = tokens.make(Actor(role, name.strip()), now, valid_for)
        if json:
            show_json({"token": made, "role": role, "name": name.strip(), "expires_at": now + valid_for})
        else:
            typer.echo(made)


def _check(role: str, name: str, days: int) -> None:
    if role not in ROLES:
        raise Failure(
            "invalid",
            f"--role:没有岗位 {role}。可选:{', '.join(ROLES)}。",
            f"--role: there is no role {role}. There are: {', '.join(ROLES)}.",
        )
    if not 0 < len(name.strip()) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise Failure(
            "invalid",
            f"--name:姓名须为 1 到 {MAX_NAME_CHARACTERS} 个可见字符。",
            f"--name: a name has 1 to {MAX_NAME_CHARACTERS} printable characters.",
        )
    if not 1 <= days <= MAX_DAYS:
        raise Failure(
            "invalid", f"--days:须为 1 到 {MAX_DAYS} 天。", f"--days: must be from 1 to {MAX_DAYS} days, not {days}."
        )

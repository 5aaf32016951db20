"""`aftersales link`: a one-time link into the console of a running server."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from services.catalogue import SERVICES
from services.cli.case_reading import must_be_http
from services.cli.claim import address_of, claimed
from services.cli.environment import settings_in_force, tokens_of
from services.cli.failure import NOT_SO, Failure, told
from services.cli.output import AsJson, DataDir, show_json
from services.cli.serve import FIRST_ACTOR
from services.console.signing_in.links import ALL_ROLES, OneTimeLinks, address
from services.kernel.clock import SystemClock
from services.kernel.http.identity import NAME_MAX, is_name
from services.kernel.settings import Settings
from services.token_secret import token_secret

#: A link is for now: it travels through terminals and chats.
MAX_MINUTES: Final = 24 * 60

_EVERYWHERE: Final = ("0.0.0.0", "::")


def link(
    role: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(ALL_ROLES)}; may be repeated, the first is begun in. 岗位,可重复。"),
    ] = None,
    name: Annotated[str, typer.Option(help="Who signs in. 姓名。")] = FIRST_ACTOR.name,
    minutes: Annotated[int, typer.Option(help="How long it can be used. 有效分钟数。")] = 15,
    url: Annotated[str, typer.Option(help="Where the console is reached. 控制台地址。")] = "",
    data_dir: Annotated[Path | None, DataDir] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Make a link that signs somebody in to the console, once. 生成一次性登录链接。"""
    with told(json):
        roles = role or list(ALL_ROLES)
        _check(roles, name, minutes)
        settings = settings_in_force(data_dir=data_dir)
        _must_take_links(settings)
        base_url = url or _console(settings)
        must_be_http(base_url)
        _must_run(settings)
        tokens_of(settings)  # says what is wrong with the secret
        now, valid_for = SystemClock().now(), timedelta(minutes=minutes)
        token = OneTimeLinks(token_secret(settings), now).make(name.strip(), roles, now, valid_for)
        made = address(base_url, token)
        if json:
            show_json({"link": made, "name": name.strip(), "roles": roles, "expires_at": now + valid_for})
        else:
            typer.echo(made)


def _check(roles: list[str], name: str, minutes: int) -> None:
    for role in roles:
        if role not in ALL_ROLES:
            raise Failure(
                "invalid",
                f"--role:没有岗位 {role}。可选:{', '.join(ALL_ROLES)}。",
                f"--role: there is no role {role} of people. There are: {', '.join(ALL_ROLES)}.",
            )
    if not is_name(name.strip()):
        raise Failure(
            "invalid",
            f"--name:姓名须为 1 到 {NAME_MAX} 个可见字符。",
            f"--name: a name has 1 to {NAME_MAX} printable characters.",
        )
    if not 1 <= minutes <= MAX_MINUTES:
        raise Failure(
            "invalid",
            f"--minutes:须为 1 到 {MAX_MINUTES} 分钟。",
            f"--minutes: must be from 1 to {MAX_MINUTES} minutes, not {minutes}.",
        )


def _console(settings: Settings) -> str:
    """Where the console is reached: by the settings, or as the server at work says. Raises `Failure` where neither
    does."""
    if said := settings.console_url or address_of(settings.data_dir):
        return said
    if not settings.port:
        raise Failure(
            "address_unknown",
            "AFTERSALES_PORT 为 0,不知道服务监听哪个端口。请用 --url 指定,如 --url http://127.0.0.1:8080。",
            "AFTERSALES_PORT is 0, so it is not known where the server listens."
            " Say it, as in --url http://127.0.0.1:8080.",
        )
    host = "127.0.0.1" if settings.host in _EVERYWHERE else settings.host
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _must_take_links(settings: Settings) -> None:
    """Where a provider says who people are, no link lets anybody in. Raises `Failure`."""
    if settings.oidc_issuer:
        raise Failure(
            "links_not_taken",
            f"已设 AFTERSALES_OIDC_ISSUER,只能经 {settings.oidc_issuer} 登录控制台。",
            f"AFTERSALES_OIDC_ISSUER is set: people sign in to the console with {settings.oidc_issuer} only.",
        )


def _must_run(settings: Settings) -> None:
    """A server takes no link from before its start. Raises `Failure` where none is at work on the data folder; one
    whose services run apart has none."""
    if settings.kafka_servers or settings.token_secret.get_secret_value():
        return
    if settings.data_dir.is_dir():
        try:
            with claimed(settings.data_dir, [next(iter(SERVICES))]):
                pass
        except Failure:
            return
    raise Failure(
        "no_server",
        f"数据目录 {settings.data_dir} 上没有服务在运行。请先启动(make run 或 aftersales serve),它启动时会给出链接。",
        f"No server is at work on the data folder {settings.data_dir}."
        " Start it first (make run, or aftersales serve); it prints a link when it starts.",
        status=NOT_SO,
    )

"""`aftersales serve`: the services at work, until SIGTERM or SIGINT."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import structlog
import typer

from services import loop
from services.catalogue import SERVICES
from services.cli.claim import claimed, found_at
from services.cli.environment import make_folder, settings_in_force, tokens_of
from services.cli.failure import Failure, told
from services.cli.output import AsJson, DataDir, show_json
from services.cli.serving import listening, named, told_to_stop
from services.cli.version import released
from services.console.signing_in.links import ALL_ROLES
from services.embedded import Embedded
from services.garbage import spare_collector
from services.kernel import tracing
from services.kernel.actor import Actor
from services.kernel.logging import set_up
from services.kernel.settings import Settings, SettingsInvalid

#: The token that a first start prints, so that a newcomer can begin.
FIRST_ACTOR: Final = Actor("store_manager", "newcomer")
FIRST_TOKEN_DAYS: Final = 7

log = structlog.get_logger(__name__)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. 监听地址。")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. 端口,0 表示任选。")] = None,
    data_dir: Annotated[Path | None, DataDir] = None,
    service: Annotated[
        list[str] | None, typer.Option(help="Only this service; may be repeated. 只运行此服务,可重复。")
    ] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Run the services, all or some of them, on a data folder. 运行服务(全部或其中几个)。"""
    with told(json):
        settings = settings_in_force(host=host, port=port, data_dir=data_dir)
        names = named(service or list(SERVICES))
        _must_be_embedded(settings)
        set_up(settings.log_level, settings.log_format, role="serve")
        make_folder(settings.data_dir)
        with claimed(settings.data_dir, names):
            loop.run(_serve(settings, names, json))


def _must_be_embedded(settings: Settings) -> None:
    """Everything in one process, consumers that read logs: with a broker, services run apart."""
    if settings.kafka_servers:
        raise Failure(
            "broker_is_set",
            "已设 AFTERSALES_KAFKA_SERVERS,服务应各自运行:对每个服务用 aftersales all 服务名,"
            "或分别用 api、relay、consume;要在一个进程里运行,请去掉这个设置。",
            "AFTERSALES_KAFKA_SERVERS is set, so services run apart: aftersales all SERVICE for each of them, or api,"
            " relay and consume; to run them in one process, unset it.",
        )


async def _serve(settings: Settings, names: list[str], json: bool) -> None:
    first = not settings.token_secret.get_secret_value() and not (settings.data_dir / "token.secret").exists()
    tokens_of(settings)
    server = Embedded(settings, only=names)
    tracing.set_up(settings.otlp_endpoint)
    try:
        with told_to_stop() as stop:
            with listening(settings):
                await server.start()
            spare_collector()
            link = server.link(FIRST_ACTOR.name, ALL_ROLES)
            with found_at(settings.data_dir, server.base_url if link else ""):
                _tell(server, names, link, first, json)
                await stop.wait()
        await server.leave()
    finally:
        await server.stop()
        log.info("stopped", services=names)
        await tracing.shut_down()


def _tell(server: Embedded, names: list[str], link: str, first: bool, json: bool) -> None:
    token = server.token(FIRST_ACTOR, timedelta(days=FIRST_TOKEN_DAYS)) if first else ""
    if json:
        show_json(
            {
                "url": server.base_url,
                **({"console": link} if link else {}),
                "docs": f"{server.base_url}/docs",
                "services": names,
                "data_dir": str(server.settings.data_dir),
                "policy": server.policy.version,
                "pid": os.getpid(),
                **({"token": token} if token else {}),
            }
        )
        return
    typer.echo(f"aftersales {released()} · {', '.join(names)}")
    typer.echo(f"  监听 listening   {server.base_url}")
    if link:
        typer.echo(f"  控制台 console   {link}")
        typer.echo("                   (一次有效 works once; aftersales link 再取一个 makes another)")
    typer.echo(f"  文档 API docs    {server.base_url}/docs?token={token or '…'}")
    typer.echo(f"  数据 data        {server.settings.data_dir}")
    typer.echo(f"  令牌 a token     aftersales token --role agent --name 小李{_folder_option(server.settings)}")
    typer.echo("  停止 stop        Ctrl-C")
    if token:
        typer.echo(f"\n首次启动,送上店长令牌({FIRST_TOKEN_DAYS} 天有效),可以马上试:")
        typer.echo(f"First start: here is a store manager's token, good for {FIRST_TOKEN_DAYS} days. Try:")
        typer.echo(f"  TOKEN={token}")
        typer.echo(f'  curl -H "Authorization: Bearer $TOKEN" {server.base_url}/v1/cases')


def _folder_option(settings: Settings) -> str:
    try:
        usual = settings_in_force().data_dir
    except SettingsInvalid:  # an option overrode what is wrong in the environment
        return f" --data-dir {settings.data_dir}"
    return "" if settings.data_dir == usual else f" --data-dir {settings.data_dir}"

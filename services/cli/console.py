"""`aftersales console`: the pages for people as a process of their own, until SIGTERM or SIGINT."""

import os
import sys
from typing import Annotated

import typer

from services import loop
from services.cli.environment import settings_in_force, tokens_of
from services.cli.failure import Failure, told
from services.cli.output import AsJson, show_json
from services.cli.serve import FIRST_ACTOR
from services.cli.serving import listening, told_to_stop
from services.cli.version import released
from services.console.signing_in.links import ALL_ROLES
from services.console_process import ConsoleProcess
from services.garbage import spare_collector
from services.kernel import tracing
from services.kernel.logging import set_up
from services.kernel.settings import Settings


def console(
    host: Annotated[str | None, typer.Option(help="Address to listen on. 监听地址。")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. 端口,0 表示任选。")] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Show the pages for people, where services run apart. 单独运行控制台网页(服务分开部署时)。"""
    with told(json):
        settings = settings_in_force(host=host, port=port)
        set_up(settings.log_level, settings.log_format, role="console")
        _must_reach_api(settings)
        tokens_of(settings)
        loop.run(_serve(settings, json))


def _must_reach_api(settings: Settings) -> None:
    if not settings.api_url:
        raise Failure(
            "settings_missing",
            "console 需要 AFTERSALES_API_URL:各服务 API 的地址,如 http://front 或 http://{service}-api:8080。"
            "用 aftersales serve 时,控制台已在同一个进程里。",
            "console needs AFTERSALES_API_URL: where the services answer, as in http://front or"
            " http://{service}-api:8080. With aftersales serve the console is in the same process already.",
        )


async def _serve(settings: Settings, json: bool) -> None:
    process = ConsoleProcess(settings)
    tracing.set_up(settings.otlp_endpoint)
    try:
        with told_to_stop() as stop:
            with listening(settings):
                await process.start()
            spare_collector()
            _tell(process, json)
            await stop.wait()
        await process.leave()
    finally:
        await process.stop()
        await tracing.shut_down()


def _tell(process: ConsoleProcess, json: bool) -> None:
    link = process.link(FIRST_ACTOR.name, ALL_ROLES)
    if json:
        told_link = {"console": link} if link else {}
        show_json({"role": "console", "url": process.base_url, **told_link, "pid": os.getpid()})
        return
    typer.echo(f"aftersales {released()} · console")
    typer.echo(f"  监听 listening   {process.base_url}/console/")
    if link:  # a container's output goes to logs, which many may read
        shown = link if sys.stdout.isatty() else "aftersales link"
        typer.echo(f"  登录 sign in     {shown}")
        typer.echo("                   (一次有效 works once; aftersales link 再取一个 makes another)")
    typer.echo(f"  API             {process.settings.api_url}")
    typer.echo("  停止 stop        Ctrl-C")

"""`aftersales stack`: the production shape on this machine, without Docker, until SIGTERM or SIGINT."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from services.cli.claim import claimed
from services.cli.environment import make_folder, settings_in_force
from services.cli.failure import Failure, told
from services.cli.output import AsJson, show_json
from services.cli.version import released
from services.kernel.logging import set_up
from services.kernel.settings import PREFIX
from services.stack.fleet import APART, TOGETHER
from services.stack.kafka import BrokerFailed, KafkaMissing
from services.stack.postgres import PostgresMissing, ServerFailed
from services.stack.processes import ProcessFailed
from services.stack.stack import Stack, Tell, throw_away, usual_folder
from services.stack.supervisor import Supervisor

#: What the stack decides itself; every other setting of the environment applies to its processes.
_OWN: Final = (
    "API_URL",
    "CLOCK",
    "DATA_DIR",
    "DATABASE_URL",
    "HOST",
    "KAFKA_",
    "LOG_FORMAT",
    "MEDIA_URL",
    "PORT",
    "TOKEN_SECRET",
)
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
#: Signals so close together are one request: `make` passes on a SIGTERM that its whole group got. In seconds.
_ONE_REQUEST_SECONDS: Final = 1.0


def stack(
    brokers: Annotated[Literal["1", "3"], typer.Option(help="Kafka brokers; three replicate. Kafka 节点数。")] = "1",
    apart: Annotated[bool, typer.Option("--apart", help="A process for each role. 每个角色一个进程。")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw earlier data away first. 先清空旧数据。")] = False,
    folder: Annotated[
        Path | None, typer.Option(help="Where data, logs and stack.json are (var/stack). 数据与日志目录。")
    ] = None,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """PostgreSQL, Kafka and the services as processes, for trials. 在本机按生产形态运行:数据库、Kafka、各服务进程。"""
    with told(json):
        settings = settings_in_force()
        set_up(settings.log_level, settings.log_format)
        place = folder or usual_folder(settings.data_dir, os.environ)
        make_folder(place)
        with claimed(place, ["stack"]):
            if fresh:
                throw_away(place)

            def tell(zh: str, en: str) -> None:
                typer.echo(f"{zh} / {en}", err=json)

            roles = APART if apart else TOGETHER
            made = Stack(place, brokers=int(brokers), roles=roles, settings=_given(), console=True, tell=tell)
            try:
                asyncio.run(_run(made, tell, json))
            except (PostgresMissing, KafkaMissing) as error:
                raise Failure("program_missing", f"缺少程序:{error}", f"A program is missing: {error}") from None
            except (ServerFailed, BrokerFailed, ProcessFailed) as error:
                raise Failure("not_started", f"启动失败:{error}", f"It did not start: {error}") from None


def _given() -> dict[str, str]:
    own = tuple(PREFIX + name for name in _OWN)
    return {name: value for name, value in os.environ.items() if name.startswith(PREFIX) and not name.startswith(own)}


async def _run(stack: Stack, tell: Tell, json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        stop.set()
        for number in _STOP_SIGNALS:  # then another signal ends it at once, and all that it started with it
            loop.call_later(_ONE_REQUEST_SECONDS, loop.remove_signal_handler, number)

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, asked)
    work = asyncio.create_task(_work(stack, tell, json))
    ending = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({work, ending}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ending.cancel()
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


async def _work(stack: Stack, tell: Tell, json: bool) -> None:
    """Start, then watch until it is called off."""
    await stack.start()
    try:
        _describe(stack, json)
        await Supervisor(stack, tell).run()
    finally:
        await stack.stop()


def _near(file: Path) -> Path:
    """A file as somebody in this folder would name it."""
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file


def _describe(stack: Stack, json: bool) -> None:
    made = stack.described()
    if json:
        show_json(made)
        return
    typer.echo(f"\naftersales {released()} · PostgreSQL · Kafka ×{made.brokers}")
    typer.echo(f"  控制台 console     {made.link or f'{made.console}/console/'}")
    if made.link:
        typer.echo(f"                     (一次有效 works once; . {_near(stack.shell_file)} && aftersales link)")
    for service, url in made.services.items():
        typer.echo(f"  {service:<10} {url}   文档 docs {url}/docs?token=$TOKEN")
    for name, process in made.processes.items():
        typer.echo(f"  {name:<18} pid {process.pid:<8} 日志 log {process.log}")
    typer.echo(f"  Kafka      {made.kafka_servers}")
    typer.echo(f"  数据库 databases   {made.database_url.rpartition('@')[2]}")
    typer.echo(f"  一览 all of this   {stack.file}")
    typer.echo(f"  命令 commands      . {_near(stack.shell_file)} && aftersales lag")
    typer.echo("  停止 stop          Ctrl-C\n")
    typer.echo(f"  TOKEN={made.token}")
    typer.echo(f'  curl -H "Authorization: Bearer $TOKEN" {made.services["cases"]}/v1/cases\n')

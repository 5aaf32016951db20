"""`aftersales api|relay|consume|all|migrate SERVICE`: one service as processes of its own, by what they do."""

import asyncio
import os
from typing import Annotated, Any, Final

import typer

from services import loop
from services.catalogue import SERVICES
from services.cli.database import place_of
from services.cli.environment import settings_in_force, tokens_of
from services.cli.failure import NOT_SO, Failure, told
from services.cli.output import AsJson, show_json
from services.cli.serving import listening, named, told_to_stop
from services.cli.version import released
from services.garbage import spare_collector
from services.kernel import tracing
from services.kernel.clock import clock_of
from services.kernel.event_store import StoreRefused
from services.kernel.kafka.connection import BrokerRefused
from services.kernel.logging import set_up
from services.kernel.service import Service
from services.kernel.settings import Settings
from services.policy import policy_in_force
from services.process import Process
from services.waiting import Waiting, database_of

Which = Annotated[str, typer.Argument(metavar="SERVICE", help=f"{', '.join(SERVICES)}. 服务名。")]
Host = Annotated[str | None, typer.Option(help="Address to listen on. 监听地址。")]
Port = Annotated[int | None, typer.Option(help="Port; 0 takes a free one. 端口,0 表示任选。")]
Json = Annotated[bool, AsJson]

#: How long it may take to find out whether a database lets us in, before it is told where the process listens.
SILENT_SECONDS: Final = 3.0
#: How long `migrate` waits for a database that is away, unless said otherwise.
MIGRATE_SECONDS: Final = 60.0
#: Roles that need the broker; requests are answered without it.
_WITH_BROKER: Final = ("relay", "consume", "all")


def api(service: Which, host: Host = None, port: Port = None, json: Json = False) -> None:
    """Answer the requests to a service. 处理某服务的请求。"""
    _run("api", service, host, port, json)


def relay(service: Which, host: Host = None, port: Port = None, json: Json = False) -> None:
    """Publish the events of a service; one process at a time. 发布某服务的事件。"""
    _run("relay", service, host, port, json)


def consume(service: Which, host: Host = None, port: Port = None, json: Json = False) -> None:
    """Hear the events of other services, keep the read tables, pay. 消费事件、维护查询表、付款。"""
    _run("consume", service, host, port, json)


def all_(service: Which, host: Host = None, port: Port = None, json: Json = False) -> None:
    """All that a service does, in one process. 在一个进程里完成某服务的全部工作。"""
    _run("all", service, host, port, json)


def migrate(
    service: Which,
    timeout: Annotated[
        float, typer.Option(min=1, help="How long to wait for the database, in seconds. 最多等待数据库的秒数。")
    ] = MIGRATE_SECONDS,
    json: Json = False,
) -> None:
    """Bring the database of a service up to date, then end. 升级某服务的数据库结构。"""
    with told(json):
        settings = settings_in_force()
        [name] = named([service])
        set_up(settings.log_level, settings.log_format, service=name, role="migrate")
        _must_be_apart(settings, "migrate")  # `serve` brings its own files up to date
        policy = policy_in_force(settings)
        assembly = SERVICES[name](settings, policy, clock_of(settings))
        changed = asyncio.run(_migrate(settings, assembly.service, timeout))
        if json:
            show_json({"service": name, "role": "migrate", "changed": changed})
        else:
            typer.echo(
                f"{name}: 数据库已升级 the database was brought up to date"
                if changed
                else f"{name}: 数据库已是最新 the database is up to date"
            )


def _run(role: str, service: str, host: str | None, port: int | None, json: bool) -> None:
    with told(json):
        settings = settings_in_force(host=host, port=port)
        [name] = named([service])
        set_up(settings.log_level, settings.log_format, service=name, role=role)
        _must_be_apart(settings, role)
        tokens_of(settings)
        loop.run(_serve(settings, name, role, json))


def _must_be_apart(settings: Settings, role: str) -> None:
    lacking = ["AFTERSALES_DATABASE_URL"] if not settings.database_url.get_secret_value() else []
    if role in _WITH_BROKER and not settings.kafka_servers:
        lacking.append("AFTERSALES_KAFKA_SERVERS")
    if lacking:
        names = ", ".join(lacking)
        raise Failure(
            "settings_missing",
            f"{role} 需要 {names}:服务的各个进程共用 PostgreSQL,经 Kafka 互通。"
            "没有它们时,用 aftersales serve 在一个进程里运行。",
            f"{role} needs {names}: the processes of a service share PostgreSQL, and services reach one another through"
            " Kafka. Without them, aftersales serve runs all in one process.",
        )


async def _serve(settings: Settings, service: str, role: str, json: bool) -> None:
    process = Process(settings, service, role)
    tracing.set_up(settings.otlp_endpoint)
    try:
        with told_to_stop() as stop:
            with listening(settings):
                await process.listen()
            await _work(process, stop, json)
            spare_collector()
            await stop.wait()
        await process.leave()
    finally:
        await process.stop()
        await tracing.shut_down()


async def _work(process: Process, stop: asyncio.Event, json: bool) -> None:
    """Begin, or end the beginning when told to stop. Where it listens is told when it has begun or waits for what is
    away: not before it is known whether it is let in. Raises `Failure` where it is refused."""
    beginning = asyncio.create_task(process.begin(), name="begin")
    stopping = asyncio.create_task(stop.wait())
    waiting = asyncio.create_task(process.hesitates())
    tasks = (beginning, stopping, waiting)
    try:
        await asyncio.wait(tasks, timeout=SILENT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        _must_be_let_in(beginning)
        _tell(process, json)
        await asyncio.wait([beginning, stopping], return_when=asyncio.FIRST_COMPLETED)
        _must_be_let_in(beginning)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _must_be_let_in(beginning: "asyncio.Task[None]") -> None:
    if beginning.done() and (error := beginning.exception()):
        raise refused(error) or error


async def _migrate(settings: Settings, service: Service[Any], timeout_s: float) -> bool:
    """Whether there was anything to do. Raises `Failure` where the database did not let us in by then."""
    try:
        if service.store.shared:
            await _until_there(settings, service, timeout_s)
        behind = await service.is_behind()
        await service.migrate()
        return behind
    except StoreRefused as error:
        raise refused(error) or error from None
    finally:
        await service.close()


async def _until_there(settings: Settings, service: Service[Any], timeout_s: float) -> None:
    """Only waiting has an end: a migration that has begun takes as long as it takes."""
    waiting = Waiting()
    try:
        async with asyncio.timeout(timeout_s):
            await waiting.until_clear(database_of(service))
    except TimeoutError:
        reason = waiting.obstacle.reason if waiting.obstacle else "no answer in time"
        where = f"{place_of(settings, service.name)}: {reason}"
        raise Failure(
            "store_unavailable",
            f"等了 {timeout_s:g} 秒,{service.name} 的数据库仍打不开 {where}。"
            "请检查 AFTERSALES_DATABASE_URL 的主机和端口,以及 PostgreSQL 是否在运行;要等更久用 --timeout。",
            f"After {timeout_s:g} s the database of {service.name} still cannot be reached, {where}."
            " Check host and port in AFTERSALES_DATABASE_URL, and whether PostgreSQL runs; --timeout waits longer.",
            status=NOT_SO,
        ) from None


def refused(error: BaseException) -> Failure | None:
    """What to tell of a database or broker that does not let us in: waiting is of no use."""
    if isinstance(error, StoreRefused):
        return Failure(
            "database_refused",
            f"数据库拒绝连接:{error}。请检查 AFTERSALES_DATABASE_URL 的用户、密码和库名。",
            f"The database does not let us in: {error}. Check user, password and database in AFTERSALES_DATABASE_URL.",
        )
    if isinstance(error, BrokerRefused):
        return Failure(
            "broker_refused",
            f"Kafka 拒绝连接:{error}。请检查 AFTERSALES_KAFKA_SECURITY、_MECHANISM、_USERNAME、_PASSWORD 和 _CA。",
            f"Kafka does not let us in: {error}. Check AFTERSALES_KAFKA_SECURITY, _MECHANISM, _USERNAME,"
            " _PASSWORD and _CA.",
        )
    return None


def _tell(process: Process, json: bool) -> None:
    if json:
        show_json({"url": process.base_url, "service": process.service.name, "role": process.role, "pid": os.getpid()})
        return
    typer.echo(f"aftersales {released()} · {process.service.name} · {process.role}")
    typer.echo(f"  监听 listening   {process.base_url}")
    typer.echo("  停止 stop        Ctrl-C")

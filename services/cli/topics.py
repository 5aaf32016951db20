"""`aftersales topics`: the topics that there must be at the brokers, and whether they are as they should be."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from rich import box
from rich.table import Table

from services.cli.by_name import DryRun
from services.cli.environment import settings_in_force
from services.cli.failure import NOT_SO, Failure, reason_of, told
from services.cli.output import AsJson, paper, show_json
from services.kernel.kafka.connection import BrokerAway, BrokerRefused, Connection, stop
from services.kernel.kafka.topics import Difference, Found, TopicRefused, ensure, look, topics
from services.kernel.logging import set_up
from services.kernel.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Topics at the brokers. Kafka 主题。")

_STATES: Final = {
    "created": "created 已创建",
    "as_it_should_be": "as it should be 正常",
    "differs": "differs 不一致",
    "altered": "altered 已修改",
    "missing": "missing 缺少",
}
_ADVICE: Final = {
    "partitions": (
        "不会给已有主题增加分区:同一订单的事件会换分区,顺序就乱了。请设 AFTERSALES_KAFKA_PARTITIONS 为现有分区数;"
        "确需更多时,用新的 AFTERSALES_KAFKA_PREFIX 建新主题,再从日志重新发布:"
        "aftersales republish SERVICE --by 姓名。",
        "Partitions are not added to a topic that exists: events of an order would move and lose their order."
        " Set AFTERSALES_KAFKA_PARTITIONS to what is there; if more are needed, make new topics under a new"
        " AFTERSALES_KAFKA_PREFIX and publish from the log again (aftersales republish SERVICE --by NAME).",
    ),
    "replication": (
        "副本数须由 Kafka 管理员调整(kafka-reassign-partitions)。",
        "Replicas are changed by whoever runs Kafka (kafka-reassign-partitions).",
    ),
}
_ALTER: Final = ("其余差异可用 --alter 修改。", "What else differs is changed with --alter.")


@app.command("ensure")
def ensure_command(
    alter: Annotated[
        bool, typer.Option("--alter", help="Also change settings that differ. 同时修改不一致的设置。")
    ] = False,
    dry_run: DryRun = False,
    json: Annotated[bool, AsJson] = False,
) -> None:
    """Make the topics that are missing. 创建缺少的主题。"""
    with told(json):
        _show(asyncio.run(_ensure(settings_in_force(), alter, dry_run)), json)


@app.command("list")
def list_command(json: Annotated[bool, AsJson] = False) -> None:
    """Show the topics that there must be, and what is there. 查看所需的主题。"""
    with told(json):
        _show(asyncio.run(_look(settings_in_force())), json)


async def _ensure(settings: Settings, alter: bool, dry_run: bool) -> list[Found]:
    admin = await _admin(settings)
    try:
        return await ensure(admin, topics(settings), alter=alter, dry_run=dry_run)
    except TopicRefused as refused:
        raise Failure(
            "topic_refused", f"Kafka 拒绝了主题 {refused.topic}:{refused.reason}", f"Kafka refused {refused}"
        ) from None
    except (KafkaError, TimeoutError) as error:
        raise _away(error) from None
    finally:
        await stop(admin)


async def _look(settings: Settings) -> list[Found]:
    admin = await _admin(settings)
    try:
        return await look(admin, topics(settings))
    except (KafkaError, TimeoutError) as error:
        raise _away(error) from None
    finally:
        await stop(admin)


async def _admin(settings: Settings) -> AIOKafkaAdminClient:
    set_up("critical", "pretty")  # what the client logs of a broker that is away is said below
    if not settings.kafka_servers:
        raise Failure(
            "no_broker",
            "没有设置 Kafka。请设 AFTERSALES_KAFKA_SERVERS(主机:端口);用本机的 stack 时先执行 . var/stack/env。",
            "No brokers are named. Set AFTERSALES_KAFKA_SERVERS (host:port); for the stack of this machine,"
            " . var/stack/env first.",
        )
    try:
        return await Connection.of(settings).admin()
    except BrokerAway as away:
        raise _away(away) from None
    except BrokerRefused as refused:
        raise Failure(
            "broker_refused",
            f"Kafka 不让登录,请检查用户、密码、机制和证书:{reason_of(refused)}",
            f"Kafka does not let us in; check user, password, mechanism and certificates: {reason_of(refused)}",
        ) from None


def _away(error: Exception) -> Failure:
    return Failure(
        "broker_away",
        f"连不上 Kafka,请检查 AFTERSALES_KAFKA_SERVERS 和网络:{reason_of(error)}",
        f"Kafka cannot be reached; check AFTERSALES_KAFKA_SERVERS and the network: {reason_of(error)}",
    )


def _show(found: Sequence[Found], json: bool) -> None:
    differing = [one for one in found if one.state in ("differs", "missing")]
    if json:
        show_json({"ok": not differing, "topics": found})
    else:
        _print(found)
    if differing:
        raise typer.Exit(NOT_SO)


def _print(found: Sequence[Found]) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("topic", "state", "partitions", "replicas", "differs"):
        table.add_column(heading, overflow="fold")
    for one in found:
        differences = "\n".join(_said(difference) for difference in one.differences)
        table.add_row(one.topic, _STATES[one.state], str(one.partitions), str(one.replication), differences)
    paper().print(table)
    settings = {difference.setting: difference for one in found for difference in one.differences}
    for setting, advice in _ADVICE.items():
        if setting in settings:
            typer.echo("\n".join(advice))
    if any(difference.alterable for difference in settings.values()):
        typer.echo("\n".join(_ALTER))


def _said(difference: Difference) -> str:
    return f"{difference.setting}: {difference.found} → {difference.wanted}"

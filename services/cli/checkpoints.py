"""`aftersales republish|resume|rewind SERVICE`: moving checkpoints, while the service is at work.

Each takes over what it moves: whoever works on it is refused from then on, and begins anew from where it was moved to.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import structlog
import typer
from aiokafka import TopicPartition
from rich import box
from rich.table import Table

from services.catalogue import SERVICES, Assembly
from services.cli.by_name import By, DryRun, Reason, must_be_by_somebody
from services.cli.database import must_be_there, on_database
from services.cli.environment import log_beside_the_answer, settings_in_force
from services.cli.failure import Failure, reason_of, told
from services.cli.operated import told_of
from services.cli.output import DataDir, paper, show_json
from services.cli.role import Json, Which, refused
from services.cli.serving import named
from services.kernel.clock import clock_of
from services.kernel.kafka.connection import BrokerAway, BrokerRefused, Connection
from services.kernel.kafka.lag import look_at
from services.kernel.kafka.relay import Relay
from services.kernel.kafka.topics import group_of, topic_of
from services.kernel.lag import checkpoints, of_log
from services.kernel.service import Service
from services.kernel.settings import PREFIX, Settings
from services.kernel.takeover import move_to
from services.kernel.views import Projector
from services.policy import policy_in_force
from services.wording.words import plural

#: Who has a command of their own, to read again.
_OTHERWISE: Final = {Projector.name: "rebuild {} --swap", Relay.name: "republish {}"}

log = structlog.get_logger(__name__)


class Move(msgspec.Struct, frozen=True):
    """A checkpoint that was moved, or would be: what stands behind `to` is read again."""

    consumer: str
    source: str
    position: int
    to: int


class Asked(msgspec.Struct, frozen=True):
    """What is asked for, as it is told of in the log, and who wants it."""

    kind: str
    options: dict[str, Any]
    by: str
    reason: str
    dry_run: bool


Work = Callable[[Service[Any], Settings], Awaitable[list[Move]]]


def republish(
    service: Which,
    from_position: Annotated[int, typer.Option(min=1, help="First position of the log. 从日志的哪个位置开始。")] = 1,
    dry_run: DryRun = False,
    by: By = "",
    reason: Reason = "",
    json: Json = False,
) -> None:
    """Publish a service's events once more; consumers skip what they had. 重新发布某服务的事件(已处理的会跳过)。"""

    events = 0

    async def run(service: Service[Any], _: Settings) -> list[Move]:
        nonlocal events
        before = from_position - 1
        stands = await service.store.checkpoint(Relay.name, service.name)
        if before > stands:
            raise Failure(
                "would_skip",
                f"日志只发布到第 {stands} 条,从第 {from_position} 条开始会漏掉中间的事件。",
                f"The log is published up to {stands}: from {from_position} on, events in between would be left out.",
            )
        events = await _events(service, before) - await _events(service, stands)
        if not dry_run:
            await move_to(service.store, Relay.name, service.name, before)
            log.warning("republishing", service=service.name, after=before, until=stands, by=by, reason=reason)
        return [Move(Relay.name, service.name, stands, before)]

    asked = Asked("republish", {"from_position": from_position}, by, reason, dry_run)
    _run(service, run, asked, json, needs=("DATABASE_URL",), closing=lambda: _published_again(events, dry_run))


def resume(service: Which, dry_run: DryRun = False, by: By = "", reason: Reason = "", json: Json = False) -> None:
    """Go on in partitions whose next event the broker does not hold any more, where it begins now. Nothing is skipped:
    publish again what is missing (republish). Kafka 已删除未处理的事件时,从现存的最早处继续;缺少的须重新发布。
    """

    async def run(service: Service[Any], settings: Settings) -> list[Move]:
        group = group_of(service.name, settings.kafka_prefix)
        moves = await _out_of_range(service, settings, group)
        for move in [] if dry_run else moves:
            await move_to(service.store, group, move.source, move.to)
            log.warning(
                "resumed", consumer=group, source=move.source, at=move.position, to=move.to, by=by, reason=reason
            )
        return moves

    asked = Asked("resume", {}, by, reason, dry_run)
    _run(service, run, asked, json, needs=("DATABASE_URL", "KAFKA_SERVERS"))


def rewind(
    service: Which,
    consumer: Annotated[str, typer.Argument(help="Who reads again, as aftersales lag names it. 消费者。")],
    to: Annotated[int, typer.Option(min=0, help="It reads again what stands behind. 从这个位置之后重读。")] = 0,
    dry_run: DryRun = False,
    by: By = "",
    reason: Reason = "",
    data_dir: Annotated[Path | None, DataDir] = None,
    json: Json = False,
) -> None:
    """Have a consumer read again; what it handled is skipped. Where aftersales serve is at work, stop it first.
    让消费者从较早处重读(已处理的会跳过);aftersales serve 在运行时请先停止。
    """

    async def run(service: Service[Any], _: Settings) -> list[Move]:
        own = [one for one in await checkpoints(service.store) if one.consumer == consumer]
        if consumer in _OTHERWISE or not own:
            raise _not_rewound(consumer, service.name)
        moves = [Move(one.consumer, one.source, one.position, to) for one in own if one.position > to]
        for move in [] if dry_run else moves:
            await move_to(service.store, move.consumer, move.source, move.to)
            log.warning("rewound", consumer=consumer, source=move.source, at=move.position, to=to, by=by, reason=reason)
        return moves

    _run(service, run, Asked("rewind", {"consumer": consumer, "to": to}, by, reason, dry_run), json, data_dir=data_dir)


def _not_rewound(consumer: str, service: str) -> Failure:
    if other := _OTHERWISE.get(consumer):
        return Failure(
            "another_command",
            f"{consumer} 请用 aftersales {other.format(service)} --by 姓名。",
            f"For {consumer} there is aftersales {other.format(service)} --by NAME.",
        )
    return Failure(
        "unknown_consumer",
        f"{service} 没有消费者 {consumer};aftersales lag 列出全部。",
        f"{service} has no consumer {consumer}; aftersales lag shows them all.",
    )


async def _out_of_range(service: Service[Any], settings: Settings, group: str) -> list[Move]:
    """Partitions whose next event is not there: deleted before it was handled, or the topic was made anew."""
    topics = [topic_of(one, settings.kafka_prefix) for one in service.part.hears_from if one != service.name]
    stands = {
        TopicPartition(*one.partition): one.position
        for one in await checkpoints(service.store)
        if one.consumer == group and one.partition
    }
    looks = await look_at(Connection.of(settings), topics, stands)
    return [
        # 0: wherever the partition begins when its owner looks
        Move(group, f"{place.topic}/{place.partition}", look.position, look.position + look.lost if look.lost else 0)
        for place, look in looks.items()
        if look.lost or look.position > look.end
    ]


def _run(
    service: str,
    work: Work,
    asked: Asked,
    json: bool,
    *,
    needs: Sequence[str] = (),
    data_dir: Path | None = None,
    closing: Callable[[], str] | None = None,
) -> None:
    """`needs`: settings without which there is nothing to do, by their short names; `closing`: what is said below."""
    with told(json):
        settings = settings_in_force(data_dir=data_dir)
        log_beside_the_answer(settings, json)
        [name] = named([service])
        must_be_by_somebody(asked.by, dry_run=asked.dry_run)
        _must_be_set(settings, needs)
        must_be_there(settings, name)
        assembly = SERVICES[name](settings, policy_in_force(settings), clock_of(settings))
        with on_database(settings, name):
            moves = asyncio.run(_done(assembly, work, settings, asked))
        if json:
            show_json({"service": name, "dry_run": asked.dry_run, "moves": moves})
        else:
            _show(moves, asked.dry_run, asked.by)
            if closing:
                paper().print(closing(), soft_wrap=True)


async def _events(service: Service[Any], position: int) -> int:
    """How many events of its own a service's log holds behind a position."""
    return (await of_log(service.store, position, service.name)).behind


def _published_again(events: int, dry_run: bool) -> str:
    would = "would be" if dry_run else "will be"
    return f"将重新发布 {events} 个事件 {plural(events, 'event')} {would} published again"


def _must_be_set(settings: Settings, needs: Sequence[str]) -> None:
    given = {"DATABASE_URL": settings.database_url.get_secret_value(), "KAFKA_SERVERS": settings.kafka_servers}
    if lacking := ", ".join(PREFIX + name for name in needs if not given[name]):
        raise Failure(
            "settings_missing",
            f"需要 {lacking}:此命令只用于经 Kafka 互通的服务。用本机的 stack 时先执行 . var/stack/env;"
            "用 aftersales serve 时不需要此命令。",
            f"This needs {lacking}: it is for services that reach one another through Kafka. For the stack of this"
            " machine, . var/stack/env first; with aftersales serve there is nothing to do.",
        )


async def _done(assembly: Assembly, work: Work, settings: Settings, asked: Asked) -> list[Move]:
    try:
        moves = await work(assembly.service, settings)
        if moves and not asked.dry_run:
            outcome = {"moves": msgspec.to_builtins(moves)}
            who = {"by": asked.by, "reason": asked.reason}
            await told_of(settings, assembly.service.name, asked.kind, **who, options=asked.options, outcome=outcome)
        return moves
    except BrokerRefused as error:
        raise refused(error) or error from None
    except BrokerAway as away:
        where = f"{settings.kafka_servers}: {reason_of(away)}"
        raise Failure("broker_away", f"连不上 Kafka {where}", f"Kafka cannot be reached, {where}") from None
    finally:
        await assembly.service.close()
        await assembly.closed()


def _show(moves: Sequence[Move], dry_run: bool, by: str) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("消费者 consumer", "来源 source", "原位置 was at", "移到 moved to"):
        table.add_column(heading, overflow="fold")
    for move in moves:
        table.add_row(move.consumer, move.source, str(move.position), str(move.to))
    console = paper()
    console.print(table if moves else "没有需要移动的 nothing to move")
    if dry_run and moves:
        console.print("未作改动 nothing was changed (--dry-run)")
    elif moves:
        console.print(f"操作人 by: {by}", markup=False)

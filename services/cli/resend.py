"""`aftersales events resend`: events once more, to a topic or an endpoint, marked as a replay."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import structlog
import typer

from services.cli.address import without_password
from services.cli.by_name import By, DryRun, Reason, must_be_told
from services.cli.database import opened
from services.cli.event_choice import OfService, Range
from services.cli.event_failures import explained
from services.cli.failure import NOT_SO, Failure, told
from services.cli.operated import operated
from services.cli.options import with_options
from services.cli.output import show_json
from services.cli.serving import named
from services.kernel.files import new_id
from services.kernel.kafka.connection import Connection
from services.kernel.log import Record, rfc3339
from services.kernel.logging import set_up
from services.kernel.refusal import Refusal
from services.kernel.settings import Settings
from services.operations.moving import as_options, figures_of
from services.transfer.replay import SECRET_BYTES, Endpoint, Target, Topic
from services.transfer.resending import Sent, may_send_to, must_be_known
from services.transfer.resending import resend as send
from services.transfer.selection import Selection, bounds
from services.wording.facts import moment

#: Events a second unless said otherwise: nobody who listens is flooded.
RATE: Final = 200.0

log = structlog.get_logger(__name__)


@with_options(Range)
def resend(
    asked: Range,
    service: OfService,
    topic: Annotated[str, typer.Option(help="To this Kafka topic. 发到此 Kafka 主题。", show_default=False)] = "",
    url: Annotated[str, typer.Option(help="To this HTTP address. 发到此 HTTP 地址。", show_default=False)] = "",
    secret_file: Annotated[
        Path | None, typer.Option(help="Secret that signs what goes to --url (whsec_…). --url 的签名密钥文件。")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole log. 全部事件。")] = False,
    rate: Annotated[float, typer.Option(min=0, help="Events a second; 0: no limit. 每秒条数,0 不限。")] = RATE,
    into_live_topic: Annotated[
        bool, typer.Option("--into-live-topic", help="Yes, into the topic that services hear. 确认发到正在使用的主题。")
    ] = False,
    dry_run: DryRun = False,
    by: By = "",
    reason: Reason = "",
) -> None:
    """Send events once more, with the ids they had, marked as a replay (ce_replay). 重发事件(原编号,带重发标记)。"""
    with told(asked.json), explained():
        settings, selection = asked.settings(), asked.selection()
        set_up(settings.log_level, "pretty")
        [name] = named([service])
        if selection == Selection() and not everything:
            raise Failure(
                "invalid",
                "请指明事件:--case、--order、--type、--party、--from、--to,或 --all 表示全部。",
                "Say which events: --case, --order, --type, --party, --from, --to, or --all for all of them.",
            )
        must_be_told(by, reason, dry_run=dry_run)
        replay = new_id()
        target = _target(settings, topic, url, secret_file, replay)
        where = topic or without_password(url) or ""
        sending = Sending(topic, target, where, everything, into_live_topic, dry_run, rate)
        sent = asyncio.run(_resend(settings, name, selection, sending, replay, by, reason, shown=not asked.json))
        if not dry_run:
            log.warning("resent", service=name, to=where, replay=replay, events=sent.events, by=by, reason=reason)
        _show(asked, name, where, replay, sent, dry_run)


def _target(settings: Settings, topic: str, url: str, secret_file: Path | None, replay: str) -> Target:
    if bool(topic) == bool(url):
        raise Failure("invalid", "请指明 --topic 或 --url 之一。", "Say either --topic or --url.")
    if topic:
        if not settings.kafka_servers:
            raise Failure(
                "no_broker",
                "--topic:没有设置 Kafka。请设 AFTERSALES_KAFKA_SERVERS;用本机的 stack 时先执行 . var/stack/env。",
                "--topic: no brokers are named. Set AFTERSALES_KAFKA_SERVERS; for the stack of this machine,"
                " . var/stack/env first.",
            )
        return Topic(Connection.of(settings), topic, replay)
    if not url.startswith(("http://", "https://")):
        raise Failure("invalid", "--url:须为 http(s) 地址。", "--url: it must be an http(s) address.")
    if secret_file is None:
        raise Failure(
            "invalid",
            "--secret-file:请给出签名密钥文件,接收方凭它确认来源。",
            "--secret-file: name the file with the secret that the receiver checks signatures by.",
        )
    try:
        return Endpoint(url, secret_file.read_text(encoding="utf-8").strip(), replay)
    except ValueError:
        raise Failure(
            "invalid",
            f"--secret-file:{secret_file} 里不是密钥(whsec_… 的 base64,至少 {SECRET_BYTES} 字节)。",
            f"--secret-file: {secret_file} holds no secret (base64, whsec_…, {SECRET_BYTES} bytes or more).",
        ) from None


class Sending(NamedTuple):
    """Where to, and how. `topic`: empty where it is an HTTP address; `where`: either, as it may be told."""

    topic: str
    target: Target
    where: str
    everything: bool
    into_live_topic: bool
    dry_run: bool
    rate: float

    def options(self, selection: Selection) -> dict[str, Any]:
        """What is asked for, as it is told of in the log."""
        place = {"topic": self.topic} if self.topic else {"url": self.where}
        said = {"everything": self.everything, "into_live_topic": self.into_live_topic}
        yes = {name: True for name, value in said.items() if value}
        return {**as_options(selection), **place, **yes, "rate": self.rate}


async def _resend(
    settings: Settings,
    service: str,
    selection: Selection,
    sending: Sending,
    replay: str,
    by: str,
    reason: str,
    *,
    shown: bool,
) -> Sent:
    topic, dry_run = sending.topic, sending.dry_run
    try:
        async with opened(settings, service) as store:
            with _known(service, selection):
                await must_be_known(store, service, selection)
            if topic:
                await may_send_to(topic, store, service, selection, settings.kafka_prefix, sending.into_live_topic)
            # what is told of the resending itself is not meant, and not published yet
            _, last = await bounds(store, selection)
            if not last:
                return Sent()
            selection = msgspec.structs.replace(selection, last=last)
            async with operated(
                settings,
                service,
                "resend",
                by="" if dry_run else by,
                reason=reason,
                options=sending.options(selection),
                title=f"resend {service}",
                shown=shown,
            ) as work:
                target = None if dry_run else sending.target
                with explained():  # what is told of it must not hold the password of an address
                    sent = await send(store, service, selection, target, sending.rate, work)
                work.outcome = {"to": sending.where, "replay": replay, **figures_of(sent)}
                return sent
    finally:
        await sending.target.close()


@contextmanager
def _known(service: str, selection: Selection) -> Iterator[None]:
    """An order or a case that the log does not know is told as a `Failure`."""
    try:
        yield
    except Refusal as refusal:
        zh, en, name = "订单", "order", selection.order
        if refusal.code == "unknown_case":
            zh, en, name = "售后单", "case", selection.case
        zh, en = f"{service} 的日志里没有{zh} {name}。", f"There is no {en} {name} in {service}."
        raise Failure(refusal.code, zh, en, status=NOT_SO) from None


def _show(asked: Range, service: str, where: str, replay: str, sent: Sent, dry_run: bool) -> None:
    if asked.json:
        told_of = {"service": service, "target": where, "replay": "" if dry_run else replay, "dry_run": dry_run}
        show_json({**told_of, "events": sent.events, "first": _record(sent.first), "last": _record(sent.last)})
        return
    typer.echo(f"{'将重发 to be sent' if dry_run else '已重发 sent'}  {sent.events}  →  {where}")
    for label, record in (("首条 first", sent.first), ("末条 last", sent.last)):
        if record is not None:
            typer.echo(f"  {label}  #{record.position}  {moment(rfc3339(record.time))}  {record.type}  {record.id}")
    if not sent.events:
        typer.echo(f"  {service} 没有符合条件的自有事件 {service} has no event of its own like that")
    typer.echo("未作改动 nothing was changed (--dry-run)" if dry_run else f"  重发标记 ce_replay  {replay}")


def _record(record: Record | None) -> dict[str, Any] | None:
    if record is None:
        return None
    return {"position": record.position, "id": record.id, "type": record.type, "time": rfc3339(record.time)}

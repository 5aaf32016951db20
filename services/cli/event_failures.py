"""What keeps events from being read, moved or sent, told to a person: what it is, and the way out."""

from collections.abc import Iterator
from contextlib import contextmanager

from services.cli.address import without_password
from services.cli.event_choice import upside_down
from services.cli.failure import NOT_SO, Failure, file_exists, reason_of
from services.kernel.kafka.connection import BrokerAway, BrokerRefused
from services.kernel.log import NoSuchRange
from services.transfer.exporting import LogDamaged, NothingChosen
from services.transfer.formats import FileAltered, FileCut, NoFileOfEvents, ParquetMissing
from services.transfer.importing import AtWork, DoesNotFit, NotWhole, UnknownTypes
from services.transfer.replay import NoTopic, NotTaken
from services.transfer.resending import ForeignTopic, Interrupted, LiveTopic, NotPublishedYet


@contextmanager
def explained() -> Iterator[None]:
    """Raises `Failure` for what goes wrong in the block, where somebody at the command line can do something."""
    try:
        yield
    except Exception as error:
        failure = _failure(error)
        if failure is None:
            raise
        raise failure from None


def _failure(error: Exception) -> Failure | None:
    match error:
        case NoSuchRange():
            return _range(error)
        case FileCut() | FileAltered() | NoFileOfEvents():
            return _file(error)
        case DoesNotFit() | NotWhole() | UnknownTypes() | AtWork():
            return _import(error)
        case LiveTopic() | ForeignTopic() | NotPublishedYet() | NoTopic() | NotTaken() | Interrupted():
            return _sending(error)
        case BrokerAway() | BrokerRefused():
            return _broker(error)
        case NothingChosen():
            return Failure("no_events", "没有符合条件的事件。", "No event is like that.", status=NOT_SO)
        case LogDamaged():
            return Failure(
                "log_damaged",
                f"{error.service} 的日志在 {error.where} 损坏:{error.zh}。"
                f"没有写出或发出任何事件。详查:aftersales verify {error.service}。",
                f"The log of {error.service} is damaged at {error.where}: {error.en}. Nothing was written or sent."
                f" To find out more: aftersales verify {error.service}.",
                status=NOT_SO,
            )
        case ParquetMissing():
            return Failure(
                "parquet_missing",
                "Parquet 需要另装:pip install 'aftersales[parquet]';或用 --format jsonl。",
                "Parquet needs one more package: pip install 'aftersales[parquet]'; or use --format jsonl.",
            )
        case FileExistsError(filename=str(name)):
            return file_exists(name)
        case _:
            return None


def _range(error: NoSuchRange) -> Failure:
    if error.upside_down:
        return upside_down(error.first, error.last)
    return Failure(
        "past_the_end",
        f"位置 {error.last} 超出日志末尾;日志有 {error.head} 条。",
        f"Position {error.last} is past the end; the log holds {error.head} records.",
    )


def _file(error: FileCut | FileAltered | NoFileOfEvents) -> Failure:
    zh = f",在第 {error.position} 条之后" if error.position else ""
    en = f", behind position {error.position}" if error.position else ""
    match error:
        case FileCut():
            return Failure(
                "file_cut",
                f"{error.file} 不完整{zh}:{error.zh}。未作改动;请重新导出或传输。",
                f"{error.file} was cut short{en}: {error.en}. Nothing was changed; export or copy it again.",
                status=NOT_SO,
            )
        case FileAltered():
            return Failure(
                "file_altered",
                f"{error.file} 被改动过{zh}:{error.zh}。未作改动;请重新导出或传输。",
                f"{error.file} was altered{en}: {error.en}. Nothing was changed; export or copy it again.",
                status=NOT_SO,
            )
        case _:
            return Failure(
                "no_file_of_events",
                f"{error.file} 不是 aftersales events export 导出的文件:{error.zh}。",
                f"{error.file} was not made by aftersales events export: {error.en}.",
            )


def _import(error: DoesNotFit | NotWhole | UnknownTypes | AtWork) -> Failure:
    match error:
        case DoesNotFit(missing=True):
            return Failure(
                "does_not_fit",
                f"{error.file} 从第 {error.position} 条开始,而这里的日志只有 {error.head} 条。"
                f"请先导入第 {error.head + 1} 到 {error.position - 1} 条。未作改动。",
                f"{error.file} begins at position {error.position}, but the log here holds {error.head} records."
                f" Import {error.head + 1} to {error.position - 1} first. Nothing was changed.",
                status=NOT_SO,
            )
        case DoesNotFit():
            return Failure(
                "does_not_fit",
                f"这里的日志在第 {error.position} 条与 {error.file} 不同:不是同一段历史。"
                "请导入到空的安装(另一个 --data-dir 或数据库)。未作改动。",
                f"The log here differs from {error.file} at position {error.position}: it is another history."
                " Import it into an empty installation (another --data-dir or database). Nothing was changed.",
                status=NOT_SO,
            )
        case NotWhole():
            chosen = " ".join(f"{name}={text}" for name, text in error.selection.items())
            return Failure(
                "not_whole",
                f"{error.file} 只含筛选出的事件({chosen}),不能导入。请不带筛选条件重新导出。",
                f"{error.file} holds a selection ({chosen}) and cannot be imported. Export it without a selection.",
                status=NOT_SO,
            )
        case UnknownTypes():
            return Failure(
                "unknown_event",
                f"{error.file} 第 {error.position} 条({error.type})本版本无法读取:{error.reason}。请先升级。未作改动。",
                f"This release cannot read position {error.position} ({error.type}) of {error.file}: {error.reason}."
                " Upgrade first. Nothing was changed.",
                status=NOT_SO,
            )
        case _:
            return Failure(
                "at_work",
                f"{error.service} 的进程正在使用这个日志。请先停止它的全部进程,再导入(可重复执行,已有的会跳过)。",
                f"Processes of {error.service} are at work on this log. Stop all of them, then import (again, if it had"
                " begun: what is there is passed over).",
            )


def _sending(
    error: LiveTopic | ForeignTopic | NotPublishedYet | NoTopic | NotTaken | Interrupted,
) -> Failure:
    match error:
        case LiveTopic():
            return Failure(
                "live_topic",
                f"{error.topic} 是正在使用的主题,其他服务在消费。确需发到这里,请加 --into-live-topic。",
                f"{error.topic} is a live topic that other services hear. If that is meant, add --into-live-topic.",
            )
        case ForeignTopic():
            return Failure(
                "foreign_topic",
                f"{error.topic} 是 {error.source} 的主题,{error.service} 的事件在那里无人能处理。",
                f"{error.topic} is the topic of {error.source}: nobody there can handle events of {error.service}.",
            )
        case NotPublishedYet():
            return Failure(
                "not_published_yet",
                f"日志只发布到第 {error.published} 条;其后的会由 relay 首次发布。请用 --to {error.published}。",
                f"The log is published up to {error.published}, the relay publishes what follows for the first time."
                f" Use --to {error.published}.",
            )
        case NoTopic():
            return Failure(
                "no_topic",
                f"没有主题 {error.topic}。请先由 Kafka 管理员创建,或检查名称。",
                f"There is no topic {error.topic}. Have it made first, or check its name.",
            )
        case NotTaken():
            where = without_password(error.url) or error.url
            return Failure(
                "not_taken",
                f"{where} 没有接收事件 {error.record.id}:{error.answer}。",
                f"{where} did not take event {error.record.id}: {error.answer}.",
                status=NOT_SO,
            )
        case _:
            return _interrupted(error)


def _interrupted(error: Interrupted) -> Failure:
    cause = error.__cause__
    why = _failure(cause) if isinstance(cause, Exception) else None
    zh, en = (why.zh, why.en) if why else (f"{reason_of(error)}。", f"{reason_of(error)}.")
    if not error.sent.events and why:
        return why
    return Failure(
        why.code if why else "interrupted",
        f"{zh}已发送 {error.sent.events} 条;可用 --from {error.position} 继续。",
        f"{en} {error.sent.events} events were sent; go on with --from {error.position}.",
        status=NOT_SO,
    )


def _broker(error: BrokerAway | BrokerRefused) -> Failure:
    if isinstance(error, BrokerRefused):
        return Failure(
            "broker_refused",
            f"Kafka 不让登录,请检查用户、密码、机制和证书:{reason_of(error)}",
            f"Kafka does not let us in; check user, password, mechanism and certificates: {reason_of(error)}",
        )
    return Failure(
        "broker_away",
        f"连不上 Kafka,请检查 AFTERSALES_KAFKA_SERVERS 和网络:{reason_of(error)}",
        f"Kafka cannot be reached; check AFTERSALES_KAFKA_SERVERS and the network: {reason_of(error)}",
    )

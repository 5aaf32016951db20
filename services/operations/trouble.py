"""Why an operation could not come to its end, in words for those who read of it later."""

from typing import Final

from services.cases.media import MediaAway
from services.kernel.event_store import StoreError
from services.kernel.kafka.connection import BrokerAway, BrokerRefused
from services.kernel.leases import LeaseHeld
from services.kernel.log import NoSuchRange
from services.kernel.operations import Trouble
from services.kernel.proof.checkpoint import ProgressInvalid
from services.kernel.rebuild import AnotherKept, TakenOver, Unbuildable
from services.kernel.refusal import Refusal
from services.kernel.workers import WorkerLost
from services.transfer.exporting import LogDamaged, NothingChosen
from services.transfer.formats import ParquetMissing
from services.transfer.replay import NoTopic, NotTaken
from services.transfer.resending import ForeignTopic, Interrupted, LiveTopic, NotPublishedYet

#: The longest part of a text that is not ours.
_QUOTED: Final = 300


def trouble_of(error: BaseException) -> Trouble:
    """What an error means. What nobody foresaw is told as it is."""
    match error:
        case NoSuchRange():
            return Trouble(
                "no_such_range",
                f"日志只有位置 1 到 {error.head},没有 {error.first} 到 {error.last} 这一段。",
                f"The log has positions 1 to {error.head}, none from {error.first} to {error.last}.",
            )
        case NothingChosen():
            return Trouble("no_events", "没有符合条件的事件。", "No event is like that.")
        case LogDamaged():
            return Trouble(
                "log_damaged",
                f"日志在 {error.where} 损坏:{error.zh}。没有写出或发出任何事件;请做 verify 详查。",
                f"The log is damaged at {error.where}: {error.en}. Nothing was written or sent; verify the log.",
            )
        case LiveTopic():
            return Trouble(
                "live_topic",
                f"{error.topic} 是正在使用的主题。确需发到这里,请设 into_live_topic。",
                f"{error.topic} is a live topic that services hear. If that is meant, set into_live_topic.",
            )
        case ForeignTopic():
            return Trouble(
                "foreign_topic",
                f"{error.topic} 是 {error.source} 的主题,{error.service} 的事件在那里无人能处理。",
                f"{error.topic} is the topic of {error.source}: nobody there can handle events of {error.service}.",
            )
        case NotPublishedYet():
            return Trouble(
                "not_published_yet",
                f"日志只发布到第 {error.published} 条,其后的会由 relay 首次发布。请把 last 设为 {error.published}。",
                f"The log is published up to {error.published}; the relay publishes what follows for the first time."
                f" Set last to {error.published}.",
            )
        case NoTopic():
            return Trouble("no_topic", f"没有主题 {error.topic}。", f"There is no topic {error.topic}.")
        case NotTaken():
            return Trouble(
                "not_taken",
                f"接收方没有接收事件 {error.record.id}:{_brief(error.answer)}。",
                f"The receiver did not take event {error.record.id}: {_brief(error.answer)}.",
            )
        case MediaAway():
            return Trouble(
                "media_away",
                f"读不到存放凭证文件的地方:{_brief(error.reason)}",
                f"Where evidence files are kept cannot be reached: {_brief(error.reason)}",
            )
        case Interrupted():
            cause = trouble_of(error.__cause__) if error.__cause__ else Trouble("unsent", "发送失败。", "Not taken.")
            return Trouble(
                cause.code,
                f"{cause.zh}已发送 {error.sent.events} 条,可从位置 {error.position} 继续。",
                f"{cause.en} {error.sent.events} events were sent; go on from position {error.position}.",
            )
        case BrokerAway() | BrokerRefused():
            return Trouble("broker_away", f"连不上 Kafka:{_told(error)}", f"Kafka cannot be reached: {_told(error)}")
        case ParquetMissing():
            return Trouble("parquet_missing", "此处没有安装 Parquet 支持。", "Parquet is not installed here.")
        case ProgressInvalid():
            return Trouble(
                "progress_invalid",
                f"校验进度文件不可用({error.reason}):请取消后重新开始。",
                f"The file with how far the proof came cannot be used ({error.reason}): start it anew.",
            )
        case LeaseHeld():
            return Trouble(
                "rebuild_under_way",
                f"查询表正在重建,由 {error.holder} 进行。请等它结束。",
                f"Read tables are being rebuilt already, by {error.holder}. Wait until that has ended.",
            )
        case AnotherKept():
            names = ", ".join(error.tables)
            return Trouble(
                "another_rebuild_kept",
                f"还留有上次重建的 {names}。请先重建这些表,或丢弃:"
                f"aftersales rebuild {error.service} --discard --by 姓名",
                f"A rebuild of {names} was begun before. Go on with these, or drop it:"
                f" aftersales rebuild {error.service} --discard --by NAME",
            )
        case Unbuildable():
            return Trouble(
                "unbuildable",
                f"流 {error.stream} 第 {error.version} 条算不出查询表:{_told(error)}。查询表未作改动。",
                f"Stream {error.stream} does not come to rows at version {error.version}: {_told(error)}. The read"
                " tables were not touched.",
            )
        case TakenOver():
            return Trouble(
                "taken_over",
                "另一个重建接手了。查询表未作改动。",
                "Another rebuild took over. The read tables were not touched.",
            )
        case WorkerLost():
            return Trouble("worker_lost", "一个工作进程意外结束(可能内存不足)。", "A worker ended (out of memory?).")
        case Refusal():
            return Trouble(error.code, f"不能这样做:{_told(error)}", f"This cannot be done: {_told(error)}")
        case StoreError():
            return Trouble(
                "store_unavailable", f"数据库用不了:{_told(error)}", f"The database cannot be used: {_told(error)}"
            )
        case OSError():
            return Trouble("file_unusable", f"文件用不了:{_told(error)}", f"A file cannot be used: {_told(error)}")
        case _:
            told = f"{type(error).__name__}: {_told(error)}"
            return Trouble("internal", f"内部错误:{told}", f"Something went wrong inside: {told}")


def _told(error: BaseException) -> str:
    """One line of an error, of a length that fits an event."""
    said = "; ".join(one["en"] for one in error.errors) if isinstance(error, Refusal) and error.errors else str(error)
    return _brief(said)


def _brief(text: str) -> str:
    return " ".join(text.split())[:_QUOTED]

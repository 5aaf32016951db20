"""What mends what: the commands that findings name."""

from contracts.policy import Text
from services.catalogue import SERVICES
from services.doctor.finding import Way


def restore(*services: str) -> Way:
    """A log is evidence and never edited: what was changed in it comes back from a copy."""
    command, names = f"aftersales verify {' '.join(services)}", " / ".join(services)
    return Way(
        command,
        Text(
            zh=f"日志不能修改。用 {command} 看清是哪里,停止 {names},从备份恢复它的数据库,再检查一次。",
            en=f"A log is never edited. See with {command} where it was altered, stop {names}, restore its database"
            " from a backup, and check again.",
        ),
    )


def rebuild(service: str) -> Way:
    """Read tables are built anew from the log and put in place."""
    command = f"aftersales rebuild {service} --swap --by NAME"
    return Way(
        command,
        Text(
            zh=f"从日志重建查询表并换上(不必停机):{command}",
            en=f"Build the read tables anew from the log and put them in place, while all runs: {command}",
        ),
    )


def republish(source: str, position: int = 1) -> Way:
    """Events go out once more; consumers skip what they had."""
    if source not in SERVICES:
        return Way("", Text(zh="请上游系统重新发送。", en="Have the upstream system send it again."))
    command = f"aftersales republish {source} --from-position {position} --by NAME"
    return Way(
        command,
        Text(zh=f"重新发布(已处理的会跳过):{command}", en=f"Publish again; what was handled is skipped: {command}"),
    )


def resume(service: str) -> Way:
    """Partitions whose next event is not there go on where they begin."""
    command = f"aftersales resume {service} --by NAME"
    return Way(command, Text(zh=f"从分区现存的最早处继续:{command}", en=f"Go on where the partition begins: {command}"))


def rewind(service: str, consumer: str) -> Way:
    """A consumer reads again from the beginning; what it handled is skipped."""
    command = f"aftersales rewind {service} {consumer} --by NAME"
    return Way(
        command,
        Text(
            zh=f"让它从头再读一遍(已处理的会跳过;aftersales serve 请先停止):{command}",
            en="Have it read again from the beginning (what was handled is skipped; stop aftersales serve first):"
            f" {command}",
        ),
    )


def redrive(service: str, place: str) -> Way:
    """A dead message is tried again, or given up by name."""
    command = f"aftersales dlq redrive {place} --service {service} --by NAME"
    discard = f"aftersales dlq discard {place} --service {service} --by NAME --reason WHY"
    return Way(
        command,
        Text(
            zh=f"排除原因后重投:{command};确实不要的则放弃:{discard}",
            en=f"Remove the cause, then {command}; or give it up: {discard}",
        ),
    )


def look_at(service: str, place: str) -> Way:
    """A message that waits says itself why."""
    command = f"aftersales dlq show {place} --service {service}"
    return Way(
        command,
        Text(zh=f"会自动重试,原因见 {command}", en=f"It is tried again by itself; for the reason see {command}"),
    )


def start(service: str) -> Way:
    """What asks about payouts is not at work."""
    return Way(
        f"aftersales all {service}",
        Text(
            zh=f"{service} 会自己向支付方查询:请确认它在运行(aftersales serve,或 aftersales all {service}),"
            "再检查一次。",
            en=f"{service} asks the provider by itself: see that it runs (aftersales serve, or aftersales all"
            f" {service}), and check again.",
        ),
    )


def confirm(case_id: str, payout: str) -> Way:
    """Somebody has to find out whether the money moved."""
    command = f"POST /v1/cases/{case_id}/confirm-payout"
    return Way(
        command,
        Text(
            zh=f"由财务向支付方核实 {payout},再以 {command} 记录结果。",
            en=f"Finance finds out from the provider about {payout} and records it: {command}",
        ),
    )


def finance(service: str) -> Way:
    """Money that was decided wrongly is put right by people; the log stays as it is."""
    command = f"aftersales verify {service}"
    return Way(
        command,
        Text(
            zh=f"先用 {command} 确认日志未被改动:改动过就从备份恢复;未改动则是程序错误,请财务按差额处理并保留此报告。",
            en=f"First see with {command} whether the log was altered: if so, restore it from a backup; if not, it is a"
            " fault of the program: finance settles the difference, and keep this report.",
        ),
    )


def topics() -> Way:
    """Topics that are missing are made."""
    command = "aftersales topics ensure"
    return Way(command, Text(zh=f"建立缺少的主题:{command}", en=f"Make the topics that are missing: {command}"))


def republish_then_resume(source: str, service: str) -> Way:
    """What Kafka deleted is published again before its reader goes on."""
    first, then = republish(source), resume(service)
    return Way(
        f"{first.command} && {then.command}" if first.command else then.command,
        Text(zh=f"先{first.text.zh};再{then.text.zh}", en=f"First: {first.text.en} Then: {then.text.en}"),
    )


def brokers() -> Way:
    """Whether brokers let us in, and how."""
    command = "aftersales lag"
    return Way(
        command,
        Text(
            zh=f"确认 Kafka 在运行,AFTERSALES_KAFKA_… 设置正确({command} 会说明),再检查一次。",
            en=f"See that Kafka runs and AFTERSALES_KAFKA_… is right ({command} says more), and check again.",
        ),
    )

"""What is said where an operation cannot be done, in both languages."""

from collections.abc import Mapping
from typing import Any, Final

from contracts.policy import Text
from services.kernel.operations.operation import State

#: What states are called.
STATES: Final[Mapping[State, Text]] = {
    "running": Text(zh="进行中", en="running"),
    "paused": Text(zh="已暂停", en="paused"),
    "interrupted": Text(zh="已中断", en="interrupted"),
    "cancelled": Text(zh="已取消", en="cancelled"),
    "finished": Text(zh="已完成", en="finished"),
    "failed": Text(zh="失败", en="failed"),
}
#: What may be done to an operation.
_COMMANDS: Final[Mapping[str, Text]] = {
    "pause": Text(zh="暂停", en="paused"),
    "resume": Text(zh="继续", en="resumed"),
    "cancel": Text(zh="取消", en="cancelled"),
    "end": Text(zh="结束", en="ended"),
}
#: By the code of the refusal; places are filled from its params.
_REFUSALS: Final[Mapping[str, Text]] = {
    "unknown_operation": Text(
        zh="没有运维操作 {operation}。请核对编号;列表里有全部操作。",
        en="There is no operation {operation}. Check its id; the list of operations has them all.",
    ),
    "operation_state": Text(
        zh="运维操作 {operation} {state},不能{command}。请先查看它的状态。",
        en="The operation {operation} is {state} and cannot be {command}. Look at its state first.",
    ),
    "operation_not_resumable": Text(
        zh="运维操作 {operation} 不能继续:{work} 只有原来的命令能做。请重新执行那条命令",
        en="The operation {operation} cannot be resumed: only the command that began it can do {work}. Give that"
        " command again",
    ),
    "operation_at_work": Text(
        zh="{service} 上已有同类操作 {kind} 在进行:{operation}。请等它结束,或先取消它。",
        en="An operation of this kind, {kind}, is under way on {service} already: {operation}. Wait for its end, or"
        " cancel it first.",
    ),
    "operation_without_file": Text(
        zh="运维操作 {operation} 在这里没有文件:它还没有完成、不产生文件,或文件在另一个进程的数据目录里。",
        en="The operation {operation} has no file here: it is not finished, makes none, or another process keeps it in"
        " a data folder of its own.",
    ),
    "unknown_message": Text(
        zh="{service} 在 {place} 没有留下消息。它可能已经处理完;请刷新列表。",
        en="{service} left nothing behind at {place}. Maybe it was handled since: look at the list again.",
    ),
    "not_dead": Text(
        zh="{service} 的消息 {place} 不是死信(等待中,或已有人处理)。请先看它现在的状态。",
        en="The message {place} of {service} is not dead: it waits, or somebody saw to it. Look at its state first.",
    ),
}
#: How the sentence before goes on, by whether a part is done that need not be done again.
_ANEW: Final = Text(zh="。", en=".")
_FROM: Final = Text(zh=",并加 --from {first}:此前的都已发送。", en=" with --from {first}: what stands before was sent.")
#: Codes of the refusals that are worded here.
CODES: Final = frozenset(_REFUSALS)


def said(code: str, params: Mapping[str, Any]) -> Text:
    """A refusal in words."""
    text = _REFUSALS[code]
    if code == "operation_not_resumable":
        rest = _FROM if params.get("first") else _ANEW
        text = Text(zh=text.zh + rest.zh, en=text.en + rest.en)
    names: dict[str, Mapping[Any, Text]] = {"state": STATES, "command": _COMMANDS}
    known = {name: names[name][value] for name, value in params.items() if name in names}
    return Text(
        zh=text.zh.format_map({**params, **{name: one.zh for name, one in known.items()}}),
        en=text.en.format_map({**params, **{name: one.en for name, one in known.items()}}),
    )

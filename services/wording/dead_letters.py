"""Messages that did not go on: what their states, causes and outcomes are called."""

from typing import Final

from contracts.policy import Text
from services.kernel.kafka.parking import BEHIND, DEAD, DISCARDED, FAILED, GAP, REDRIVEN, WAITING

STATES: Final = {
    WAITING: Text("等待", "waiting"),
    DEAD: Text("死信", "dead"),
    DISCARDED: Text("已放弃", "discarded"),
    REDRIVEN: Text("已重新处理", "redriven"),
}
CAUSES: Final = {
    FAILED: Text("处理出错", "its handling fails"),
    GAP: Text("它前面的消息没有到", "one before it never came"),
    BEHIND: Text("排在未处理的消息后面", "one before it does not go on"),
    "invalid_envelope": Text("消息头不合格式", "its headers are not as they must be"),
    "unknown_type": Text("未知的事件类型或版本", "its type or version is not known here"),
    "invalid_body": Text("内容不合格式", "its body is not as it must be"),
    "too_large": Text("太大", "it is too large"),
}
OUTCOMES: Final = {
    "handled": Text("已处理", "handled"),
    "dead": Text("仍失败", "dead again"),
    "waits": Text("等前面的消息", "waits"),
    "trying": Text("处理中", "being tried"),
    "would_be_handled": Text("将处理成功", "would be handled"),
    "would_fail": Text("将再次出错", "would fail again"),
    "would_be_dead": Text("将仍失败", "would be dead again"),
    "would_wait": Text("将等前面的消息", "would wait"),
    "would_be_discarded": Text("将放弃", "would be discarded"),
    "discarded": Text("已放弃", "discarded"),
    "refused": Text("不能放弃", "refused"),
}
#: What to do about a group of dead messages.
ABOUT_DEAD: Final = Text(
    zh="先看其中一条,修好原因,用预演看重新处理的结果,再重新处理;确认作废的才放弃。",
    en="Look at one of them, mend the cause, preview what trying them again would do, then redrive them; discard only"
    " what is void.",
)

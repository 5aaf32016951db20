"""The table of checks."""

from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

from contracts.policy import Text
from services.catalogue import SERVICES
from services.doctor.consumers import inbox, parked, positions_reached
from services.doctor.finding import Note, Wrong
from services.doctor.logs import chains, learned, positions
from services.doctor.look import Look
from services.doctor.losses import loss_sums
from services.doctor.payouts import payouts
from services.doctor.refunds import refund_sums
from services.doctor.tables import tables
from services.doctor.topics import topics

_ALL: Final = tuple(SERVICES)


class Check(NamedTuple):
    """One check: what it compares, the command that usually mends what it finds, and in which services it is made."""

    name: str
    compares: Text
    mend: str
    run: Callable[[Look], AsyncIterator[Wrong | Note]]
    services: tuple[str, ...] = _ALL
    needs_broker: bool = False


CHECKS: Final = (
    Check(
        "chains",
        Text(zh="每条日志的哈希链", en="the hash chain of every stream"),
        "aftersales verify SERVICE",
        chains,
    ),
    Check(
        "positions",
        Text(
            zh="日志位置与各订单事件序号是否连续", en="positions of the log and numbers of its events: are they dense?"
        ),
        "aftersales verify SERVICE",
        positions,
    ),
    Check(
        "learned",
        Text(zh="学到的事件与来源日志逐字节", en="learned events and the log of their source, byte by byte"),
        "aftersales verify SERVICE",
        learned,
    ),
    Check(
        "inbox",
        Text(zh="各消费者登记为已处理的与来源发出的", en="what consumers noted as handled, and what was told to them"),
        "aftersales republish SOURCE --by NAME | aftersales rewind SERVICE CONSUMER --by NAME",
        inbox,
    ),
    Check(
        "checkpoints",
        Text(zh="各消费者的进度与日志、主题的末尾", en="how far consumers came, and where logs and topics end"),
        "aftersales resume SERVICE --by NAME | aftersales rewind SERVICE CONSUMER --by NAME",
        positions_reached,
    ),
    Check(
        "topics",
        Text(zh="Kafka 主题与日志:内容与次序", en="topics and logs: content and order"),
        "aftersales republish SERVICE --by NAME",
        topics,
        needs_broker=True,
    ),
    Check(
        "parked",
        Text(zh="死信与久等的消息", en="messages that are dead, or wait for long"),
        "aftersales dlq redrive PLACE --service SERVICE --by NAME",
        parked,
    ),
    Check(
        "tables",
        Text(zh="查询表与日志折叠的结果,逐行", en="read tables and what the log comes to, row by row"),
        "aftersales rebuild SERVICE --swap --by NAME",
        tables,
    ),
    Check(
        "payouts",
        Text(
            zh="打款只成功一次;久无结果的问支付方",
            en="payouts succeed once; the provider is asked about those long open",
        ),
        "POST /v1/cases/CASE/confirm-payout",
        payouts,
        services=("refunds",),
    ),
    Check(
        "refunds",
        Text(
            zh="退款不超实付、不重复扣除、各行合计为净额",
            en="refunds within what was paid, deducted once, lines sum to the net",
        ),
        "aftersales verify SERVICE",
        refund_sums,
        services=("refunds",),
    ),
    Check(
        "losses",
        Text(zh="损失分录与事实、责任比例、承担加暂记", en="entries and facts, shares, parties and suspense"),
        "aftersales verify liability | aftersales rebuild liability --swap --by NAME",
        loss_sums,
        services=("liability",),
    ),
)

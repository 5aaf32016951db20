"""Why an order's messages do not go on, and what somebody can do about it."""

from collections.abc import Iterable
from typing import Final

from contracts.policy import Text
from services.catalogue import SERVICES
from services.kernel.event_store import Reads
from services.kernel.kafka.dead_letters import Next, next_of
from services.kernel.kafka.parking import DEAD, WAITING, ParkedMessage, Place

#: Orders that are explained one by one; the others are like them.
MOST: Final = 5


async def ways_out(store: Reads, service: str, messages: Iterable[ParkedMessage]) -> list[Text]:
    """What to do about the first few orders of which messages wait."""
    streams = {(one.source, one.stream): one for one in reversed(list(messages)) if one.state == WAITING}
    first = sorted(streams.items())[:MOST]
    return [way for _, message in first if (way := await way_out_of(store, service, message))]


async def way_out_of(store: Reads, service: str, message: ParkedMessage) -> Text | None:
    """What to do about a message that waits; None where nobody has to do anything."""
    found = await next_of(store, message)
    return way_out(service, found) if found else None


def way_out(service: str, found: Next) -> Text:
    """What to do so that a stream goes on with this in `service`."""
    if found.message is None:
        return _never_came(found)
    if found.message.state == DEAD:
        return _dead(service, found, found.message.place)
    return _tried(found, found.message)


def _never_came(found: Next) -> Text:
    """Nothing is given up behind a gap: what is missing may be the order's refund (decision 6)."""
    zh, en = (
        (
            f"请让 {found.source} 重新发布:aftersales republish {found.source} --by 姓名",
            f"aftersales republish {found.source} --by NAME",
        )
        if found.source in SERVICES
        else ("请让上游系统重新发送", "have the upstream system send it")
    )
    handled = found.sequence - 1
    return Text(
        zh=f"订单 {found.stream} 缺 {found.source} 的第 {found.sequence} 条(已处理到第 {handled} 条),它没有到。{zh};"
        "补到后自动继续,在此之前后面的消息不能放弃。",
        en=f"Order {found.stream}: #{found.sequence} of {found.source} never came (handled up to #{handled})."
        f" Publish it again: {en}. Then it goes on by itself; until then, nothing behind it can be given up.",
    )


def _dead(service: str, found: Next, place: Place) -> Text:
    return Text(
        zh=f"订单 {found.stream} 停在第 {found.sequence} 条,是死信。先处理它:"
        f"aftersales dlq redrive {place} --service {service} --by 姓名,"
        "或以 discard 放弃。",
        en=f"Order {found.stream} stands at #{found.sequence}, which is dead."
        f" First that one: aftersales dlq redrive {place} --service {service} --by NAME, or discard it.",
    )


def _tried(found: Next, message: ParkedMessage) -> Text:
    return Text(
        zh=f"订单 {found.stream} 的第 {found.sequence} 条({message.place})会自动重试;"
        "一直失败才成为死信,那时再 redrive 或 discard。",
        en=f"#{found.sequence} of order {found.stream} ({message.place}) is tried again by itself;"
        " where that keeps failing it is dead, and can be redriven or discarded.",
    )

"""What people wrote about an order: whose orders there are, and which words of them can still be read."""

import msgspec

from contracts.event import free_texts, type_of
from contracts.events.orders import OrderRecorded
from contracts.registry import decode
from services.kernel.event_store import PAGE_RECORDS, EventStore
from services.kernel.log import Record
from services.kernel.long_work import Tell, told_nobody
from services.kernel.sealing import KeptKeys, find_sealed


class Written(msgspec.Struct, frozen=True):
    """The texts about an order: `readable` ones are sealed and their key is there, of `erased` ones it was destroyed.

    `plain` ones were recorded before texts were sealed: they stay as they are.
    """

    order_id: str
    readable: int
    erased: int
    plain: int


async def orders_of(log: EventStore, buyer_id: str, tell: Tell = told_nobody) -> list[str]:
    """The orders that name a buyer, in any of their snapshots; reads the whole log, page by page."""
    orders: dict[str, None] = {}
    last = await log.head_position()
    position = 0
    while position < last and (page := await log.read_log(position, PAGE_RECORDS, decode=False)):
        orders |= {record.stream: None for record in page if _names(record, buyer_id)}
        position = page[-1].position
        await tell(min(position, last), last)
    return list(orders)


def _names(record: Record, buyer_id: str) -> bool:
    if record.type != type_of(OrderRecorded):
        return False
    event = decode(record.type, record.schema, record.data)
    return isinstance(event, OrderRecorded) and event.order.buyer_id == buyer_id


async def written_about(log: EventStore, order_id: str) -> Written | None:
    """What people wrote about an order; None where there is no such order."""
    if await log.head(order_id) is None:
        return None
    keys = await KeptKeys(log).keys(order_id)
    readable = erased = plain = 0
    async for page in log.stream_pages(order_id):
        for text in (text for record in page for text in free_texts(record.event).values()):
            sealed = next(find_sealed(text), None)
            if sealed is None:
                plain += 1
            elif keys.get(sealed.number):
                readable += 1
            else:
                erased += 1
    return Written(order_id, readable, erased, plain)

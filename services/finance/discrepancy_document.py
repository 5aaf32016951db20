"""What a discrepancy is about: rows of bills on one side, events and what they posted on the other."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from services.kernel.event_store import Reads
from services.kernel.shop_time import shop_day

#: Events that are shown of one discrepancy.
_EVENTS_MOST = 100


class Billed(msgspec.Struct, frozen=True):
    """A row of a bill, as it moved for the shop. `rule` is empty where nothing of ours agrees with it."""

    row_key: str
    bill: str
    line: int
    kind: str
    order_ref: str
    refund_ref: str
    channel_order_ref: str
    channel_ref: str
    amount_fen: int
    fee_fen: int
    currency: str
    status: str
    channel_status: str
    occurred_at: datetime
    day: str
    rule: str
    event_id: str


class PostedLeg(msgspec.Struct, frozen=True):
    """One posting of an event: a debit above zero, a credit below."""

    line: int
    account: str
    party: str
    amount_fen: int
    item: str
    channel_ref: str
    memo: str


class Posted(msgspec.Struct, frozen=True):
    """An event and what it posted; one that posts nothing, as what an insurer paid, has an `amount_fen` instead.
    `named`: the discrepancy is about it; the others have a reference in common with it or with its rows."""

    event_id: str
    type: str
    time: datetime
    day: str
    order_id: str
    case_id: str
    named: bool
    postings: Sequence[PostedLeg]
    amount_fen: int | None = None


async def bills_say(reads: Reads, channel: str, keys: Sequence[str]) -> list[Billed]:
    """The rows of these keys, in order of time."""
    if not keys:
        return []
    places = ", ".join("?" * len(keys))
    rows = await reads.query(
        "SELECT r.row_key, r.bill, r.line, r.kind, r.order_ref, r.refund_ref, r.channel_order_ref, r.channel_ref,"
        " r.amount_fen, r.fee_fen, r.currency, r.status, r.channel_status, r.occurred_at, r.day,"
        " coalesce(m.rule, '') AS rule, coalesce(m.event_id, '') AS event_id FROM bill_row r"
        " LEFT JOIN matched_row m ON m.channel = r.channel AND m.row_key = r.row_key"
        f" WHERE r.channel = ? AND r.row_key IN ({places}) ORDER BY r.occurred_at, r.row_key",
        [channel, *keys],
    )
    return [msgspec.convert(row, Billed, strict=False) for row in rows]


async def books_say(reads: Reads, order_id: str, events: Sequence[str], references: Sequence[str]) -> list[Posted]:
    """What these events of an order posted or said, and those that moved money under these references or theirs, in
    order of time."""
    named = [*events][:_EVENTS_MOST]
    known = [*references, *await _references_of(reads, named)][:_EVENTS_MOST]
    ids = [*named]
    if known:
        sql = f"SELECT DISTINCT event_id FROM postings WHERE account = 'channel' AND item IN ({_places(known)})"
        ids += (row["event_id"] for row in await reads.query(sql, known))
    ids = list(dict.fromkeys(ids))[:_EVENTS_MOST]
    if not ids:
        return []
    rows = await reads.query(
        "SELECT event_id, type, time, day, order_id, case_id, line, account, party, amount_fen, item, channel_ref, memo"
        f" FROM postings WHERE event_id IN ({_places(ids)}) ORDER BY time, event_id, line",
        ids,
    )
    legs: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        legs.setdefault(row["event_id"], []).append(row)
    posted = [_posted(own, own[0]["event_id"] in events) for own in legs.values()]
    said = await _said(reads, order_id, [event for event in named if event not in legs])
    return sorted([*posted, *said], key=lambda one: (one.time, one.event_id))


async def _references_of(reads: Reads, events: Sequence[str]) -> list[str]:
    """Under which references these events moved money."""
    if not events:
        return []
    where = f"account = 'channel' AND event_id IN ({_places(events)})"
    rows = await reads.query(f"SELECT DISTINCT item FROM postings WHERE {where} ORDER BY item", events)
    return [row["item"] for row in rows]


async def _said(reads: Reads, order_id: str, events: Sequence[str]) -> list[Posted]:
    """What events of an order say that post nothing, as the books heard them."""
    if not events:
        return []
    sql = f"SELECT id, stream, subject, type, time, data FROM events WHERE stream = ? AND id IN ({_places(events)})"
    return [_heard(row) for row in await reads.query(sql, [order_id, *events])]


def _heard(row: Mapping[str, Any]) -> Posted:
    time = datetime.fromisoformat(str(row["time"]))
    said = msgspec.json.decode(row["data"])
    day = shop_day(time)
    about = (row["id"], row["type"], time, day, row["stream"], row["subject"])
    return Posted(*about, named=True, postings=(), amount_fen=said.get("amount_fen"))


def _posted(legs: list[dict[str, Any]], named: bool) -> Posted:
    return msgspec.convert({**legs[0], "named": named, "postings": legs}, Posted, strict=False)


def _places(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))

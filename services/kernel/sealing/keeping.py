"""Where a service finds what it seals texts with: one of them keeps the keys of an order, the others know its lock."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol

import msgspec

from contracts.event import type_of
from contracts.events.cases import CaseOpened, PersonalDataErased
from services.kernel.event_store import KeyRow, Reads
from services.kernel.sealing.keys import Key, Lock

#: Events that tell the lock of an order.
_TELL_LOCK: Final = (type_of(CaseOpened), type_of(PersonalDataErased))


class Sealer(Protocol):
    """What seals a text of one order."""

    @property
    def lock(self) -> Lock:
        """What whoever has no key seals with."""

    def seal(self, words: str) -> str:
        """The words as only the key's keeper can read them."""


class Obtained(NamedTuple):
    """What to seal with, and the rows that must be committed with the first text that is sealed so."""

    sealer: Sealer | None
    rows: Sequence[KeyRow] = ()


class Texts(Protocol):
    """What a service does with the words of people."""

    async def sealer(self, order_id: str) -> Obtained:
        """What seals the next text of an order. Only whoever then appends to the order's stream, at the version that it
        had before, may use it: that is what keeps two processes from making two keys of one number."""

    async def erase(self, order_id: str, now: datetime) -> Obtained:
        """The next key of an order, and the rows that destroy all before it."""

    async def keys(self, order_id: str) -> dict[int, Key | None] | None:
        """The keys of an order by number, None for each that was destroyed; None where they are kept elsewhere."""


class KeptKeys(Texts):
    """Of the service that keeps the keys, in its own database."""

    def __init__(self, store: Reads) -> None:
        self._store = store

    async def sealer(self, order_id: str) -> Obtained:
        keys = await self.keys(order_id)
        number = max(keys, default=0)
        if key := keys.get(number):
            return Obtained(key)
        made = Key.new(order_id, number + 1)
        return Obtained(made, (made.row,))

    async def erase(self, order_id: str, now: datetime) -> Obtained:
        keys = await self.keys(order_id)
        made = Key.new(order_id, max(keys, default=0) + 1)
        return Obtained(made, (*(key.destroyed(now) for key in keys.values() if key), made.row))

    async def keys(self, order_id: str) -> dict[int, Key | None]:
        rows = await self._store.query("SELECT number, secret FROM text_keys WHERE order_id = ?", (order_id,))
        return {row["number"]: _key(order_id, **row) for row in rows}


class LearnedLocks(Texts):
    """Of the other services: an event of the order told them the lock. Where none did, texts stay as they are."""

    def __init__(self, store: Reads) -> None:
        self._store = store

    async def sealer(self, order_id: str) -> Obtained:
        rows = await self._store.query(
            "SELECT data FROM events WHERE stream = ? AND type IN (?, ?) ORDER BY version DESC LIMIT 1",
            (order_id, *_TELL_LOCK),
        )
        told = [msgspec.json.decode(row["data"], type=_Telling).text_lock for row in rows]
        return Obtained(Lock.told(order_id, told[0]) if told else None)

    async def erase(self, order_id: str, now: datetime) -> Obtained:
        raise TypeError("the keys of texts are kept by another service")

    async def keys(self, order_id: str) -> None:
        return None


def _key(order_id: str, number: int, secret: bytes | None) -> Key | None:
    return None if secret is None else Key(order_id, number, secret)


class _Telling(msgspec.Struct):
    """What is of interest of such an event."""

    text_lock: str = ""


async def key_rows(store: Reads, after: tuple[str, int], limit: int) -> list[KeyRow]:
    """Stored keys behind (order, number), in that order."""
    rows = await store.query(
        "SELECT order_id, number, secret, erased_at FROM text_keys WHERE (order_id, number) > (?, ?)"
        " ORDER BY order_id, number LIMIT ?",
        (*after, limit),
    )
    return [msgspec.convert(row, KeyRow, builtin_types=(bytes,)) for row in rows]


async def keys_of(texts: Texts, order_ids: Iterable[str]) -> dict[str, dict[int, Key | None] | None]:
    """The keys of several orders."""
    return {order_id: await texts.keys(order_id) for order_id in set(order_ids)}

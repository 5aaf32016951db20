"""What requests about operations have in common: bodies, and answers that are kept."""

from typing import Any

import msgspec

from services.kernel.event_store import Commit, EventStore, IdempotentAnswer, KeyTaken, StoreError
from services.kernel.http.body import read_json
from services.kernel.intake import field_errors, wrong_fields
from services.kernel.refusal import invalid


def parsed(raw: bytes, body_type: type[msgspec.Struct]) -> Any:
    """A body; raises `Refusal` that names every wrong field."""
    body = read_json(raw)
    if not isinstance(body, dict):
        raise invalid("body", "object", "须为 JSON 对象", "must be an object")
    try:
        return msgspec.convert(body, body_type)
    except msgspec.ValidationError:
        raise wrong_fields(field_errors(body_type, body)) from None


async def keep(store: EventStore, answer: IdempotentAnswer) -> None:
    """Keep an answer for who repeats the request. Raises StoreError."""
    [outcome] = await store.commit([Commit(answer=answer)])
    if isinstance(outcome, StoreError) and not isinstance(outcome, KeyTaken):
        raise outcome

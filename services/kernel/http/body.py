"""What a request may bring: JSON within bounds, each field once."""

import json
from typing import Any

import msgspec
from aiohttp import web

from services.kernel.refusal import Refusal, invalid

#: The longest body of a command: far more than 500 lines of an order need.
MAX_COMMAND_BYTES = 1 << 20

_CHUNK_BYTES = 1 << 16
_JSON = "application/json"


class _Repeated(ValueError):
    """A JSON object has a field twice."""


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for name in names if names.count(name) > 1)[:64])


#: Looks at the fields of each object; what it decodes is thrown away.
_FIELDS = json.JSONDecoder(object_pairs_hook=_once)


async def read_command(request: web.Request) -> bytes:
    """The raw JSON of a command; raises `Refusal` for what cannot be JSON, or is too long."""
    _check_content_type(request)
    length = request.content_length
    if length is None:
        return await _read_unannounced(request)
    if length > MAX_COMMAND_BYTES:
        raise _too_large()
    return await request.read()


def _check_content_type(request: web.Request) -> None:
    """JSON is expected where nothing is said, because a command without fields has no body."""
    if request.headers.get("Content-Type", _JSON) == _JSON:
        return
    kind = request.content_type
    if kind != _JSON and not kind.endswith("+json"):
        raise Refusal("content_type_unsupported", content_type=kind[:80])


async def _read_unannounced(request: web.Request) -> bytes:
    """A body without `Content-Length`: as much as arrives, within the bound."""
    body = bytearray()
    async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
        body += chunk
        if len(body) > MAX_COMMAND_BYTES:
            raise _too_large()
    return bytes(body)


def _too_large() -> Refusal:
    return Refusal("body_too_large", limit_kb=MAX_COMMAND_BYTES >> 10)


def read_json(raw: bytes) -> Any:
    """The JSON in a body, an empty object where there is none; raises `Refusal("invalid")` for anything else.

    Decoded twice: one decoder is strict about text and numbers, the other one sees fields that occur twice.
    """
    if not raw:
        return {}
    try:
        decoded = msgspec.json.decode(raw)
        _FIELDS.decode(raw.decode())
    except _Repeated as error:
        raise invalid(str(error), "unique", "字段重复", "occurs twice") from None
    except RecursionError:
        raise invalid("body", "json", "嵌套过深", "is nested too deeply") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise invalid("body", "json", "不是合法的 JSON", f"is not JSON: {error}"[:200]) from None
    return decoded

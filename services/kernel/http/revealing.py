"""Whoever may read an answer reads words: whatever a handler answers with, sealed texts are opened on the way out.

So no document can be forgotten, stored answers hold no words either, and who answers needs to know nothing of keys.
"""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from services.kernel.sealing import Texts, holds_sealed, reveal

#: What the sender of a command wrote, by how it is sealed: read without a key.
WORDS: Final = web.RequestKey("words", Mapping[str, str])


async def revealed(request: web.Request, response: web.StreamResponse, texts: Texts) -> None:
    """Put words in the place of the sealed texts of an answer."""
    if not isinstance(response, web.Response) or not response.content_type.endswith("json"):
        return
    body = response.body
    if isinstance(body, bytes) and holds_sealed(body):
        response.body = await reveal(body, texts, request.get(WORDS, {}))

"""Words in the place of sealed texts, in what somebody is about to read."""

from collections.abc import Mapping
from typing import Final

import msgspec

from services.kernel.sealing.keeping import Texts, keys_of
from services.kernel.sealing.keys import Key, Sealed, find_sealed, replace_sealed

#: Stands where the key of a text was destroyed.
ERASED: Final = "[已抹除 erased]"
#: Stands where whoever answers has no key: another service keeps it, or it was not taken along with the history.
ELSEWHERE: Final = "[密钥不在此处 its key is not here]"
_MARK: Final = b"sealed:"


def holds_sealed(document: bytes) -> bool:
    """Whether there may be sealed texts in a document."""
    return _MARK in document


async def reveal(document: bytes, texts: Texts, known: Mapping[str, str]) -> bytes:
    """A JSON document with words in the place of sealed texts. `known`: the words of some, so that no key is needed.

    It does not matter where in a text a sealed one stands. What only looks like one stays as it is.
    """
    text = document.decode()
    sealed = {one.text: one for one in find_sealed(text) if one.text not in known}
    keys = await keys_of(texts, (one.order_id for one in sealed.values()))
    words = {**known, **{name: _words(one, keys[one.order_id]) for name, one in sealed.items()}}
    return replace_sealed(text, lambda found: _in_json(words[found])).encode()


def _words(sealed: Sealed, keys: Mapping[int, Key | None] | None) -> str:
    if not keys or sealed.number not in keys:
        return ELSEWHERE
    key = keys[sealed.number]
    if key is None:
        return ERASED
    words = key.open(sealed)
    return sealed.text if words is None else words


def _in_json(words: str) -> str:
    return msgspec.json.encode(words).decode()[1:-1]

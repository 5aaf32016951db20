"""The key of an order's texts, and the lock that belongs to it: the key seals and opens, the lock only seals.

A sealed text names the order and the number of its key: `sealed:1:TB1001:1:…` was sealed with the key
(ChaCha20-Poly1305, random nonce), `sealed:2:TB1001:1:…` with the lock (HPKE, RFC 9180). Neither can be moved to another
order or number: both are authenticated. Where in the log a text stands is what the hash chain proves.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property
from os import urandom
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.kernel.event_store import KeyRow

SECRET_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_BY_KEY, _BY_LOCK = "1", "2"
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_SEALED: Final = re.compile(r"sealed:([12]):([A-Za-z0-9_.~%-]+):([0-9]{1,9}):([A-Za-z0-9_-]+)")
_LOCK: Final = re.compile(r"([0-9]{1,9}):([A-Za-z0-9_-]{43})")


class Sealed(NamedTuple):
    """A sealed text that was found somewhere: `text` is how it is written."""

    text: str
    form: str
    order_id: str
    number: int
    body: str


class Lock:
    """Seals what only the key of the same number opens."""

    def __init__(self, order_id: str, number: int, public: bytes) -> None:
        self.order_id, self.number, self.public = order_id, number, public

    @classmethod
    def told(cls, order_id: str, text: str) -> "Lock | None":
        """The lock that an event tells of an order; None where it tells none."""
        match = _LOCK.fullmatch(text)
        return cls(order_id, int(match[1]), _bytes_of(match[2])) if match else None

    @property
    def lock(self) -> "Lock":
        """Itself."""
        return self

    def __str__(self) -> str:
        return f"{self.number}:{_text_of(self.public)}"

    def seal(self, words: str) -> str:
        """The words as only the key's keeper can read them."""
        public = X25519PublicKey.from_public_bytes(self.public)
        sealed = _SUITE.encrypt(words.encode(), public, _bound_to(self.order_id, self.number))
        return _written(_BY_LOCK, self.order_id, self.number, sealed)


class Key:
    """Seals and opens the texts of an order."""

    def __init__(self, order_id: str, number: int, secret: bytes) -> None:
        self.order_id, self.number, self._secret = order_id, number, secret
        self._cipher = ChaCha20Poly1305(self._derived(b"text"))

    @classmethod
    def new(cls, order_id: str, number: int) -> "Key":
        """A key that nobody ever had."""
        return cls(order_id, number, urandom(SECRET_BYTES))

    @property
    def row(self) -> KeyRow:
        """How it is stored."""
        return KeyRow(self.order_id, self.number, self._secret)

    def destroyed(self, now: datetime) -> KeyRow:
        """What is stored instead of it, when nobody may open its texts any more."""
        return KeyRow(self.order_id, self.number, None, now)

    @property
    def lock(self) -> Lock:
        """What others may seal with."""
        return Lock(self.order_id, self.number, self._private.public_key().public_bytes_raw())

    def seal(self, words: str) -> str:
        """The words as only the key's keeper can read them."""
        nonce = urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, words.encode(), _bound_to(self.order_id, self.number))
        return _written(_BY_KEY, self.order_id, self.number, sealed)

    def open(self, sealed: Sealed) -> str | None:
        """The words; None for what neither this key nor its lock has sealed."""
        bound = _bound_to(self.order_id, self.number)
        try:
            body = _bytes_of(sealed.body)
            if sealed.form == _BY_LOCK:
                return _SUITE.decrypt(body, self._private, bound).decode()
            return self._cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], bound).decode()
        except (InvalidTag, ValueError):
            return None

    @cached_property
    def _private(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self._derived(b"lock"))

    def _derived(self, purpose: bytes) -> bytes:
        return HKDF(SHA256(), SECRET_BYTES, None, b"aftersales " + purpose).derive(self._secret)


def find_sealed(text: str) -> Iterator[Sealed]:
    """Every sealed text in a text."""
    for match in _SEALED.finditer(text):
        form, order, number, body = match.groups()
        yield Sealed(match[0], form, unquote(order), int(number), body)


def replace_sealed(text: str, put: Callable[[str], str]) -> str:
    """The text with something else in the place of every sealed one; what is put there is not looked at again."""
    return _SEALED.sub(lambda match: put(match[0]), text)


def _written(form: str, order_id: str, number: int, sealed: bytes) -> str:
    return f"sealed:{form}:{quote(order_id, safe='')}:{number}:{_text_of(sealed)}"


def _bound_to(order_id: str, number: int) -> bytes:
    return f"{order_id}\0{number}".encode()


def _text_of(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes_of(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))

"""Texts that only this shop's console can have written: signed documents (JWT), each kind with a key of its own."""

from typing import Final, Generic, TypeVar

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

D = TypeVar("D", bound=msgspec.Struct)

_ALGORITHM: Final = "HS256"
#: Texts that were read lately are known, so that a session is not verified at every page.
_KNOWN: Final = 1_000


class Forged(Exception):
    """A text that was not written here, or not for this purpose."""


class Signed(Generic[D]):
    """Writes and reads documents of one kind. Their key is derived from the token secret and the purpose, and is
    another than that of API tokens: no text is ever taken for another kind."""

    def __init__(self, secret: str, purpose: str, kind: type[D]) -> None:
        """`purpose`: a short name, another for each kind; `kind`: what is written. Raises ValueError (short secret)."""
        if len(secret) < 32:
            raise ValueError("the token secret needs at least 32 characters")
        self._audience = f"aftersales-console-{purpose}"
        derived = HKDF(SHA256(), 32, salt=None, info=self._audience.encode()).derive(secret.encode())
        self._key = OctKey.import_key(derived)
        self._kind = kind
        self._known: dict[str, D] = {}

    def write(self, document: D) -> str:
        """The document as a text for cookies and addresses. Who has it can read it, but not change it."""
        claims = {**msgspec.to_builtins(document), "aud": self._audience}
        return jwt.encode({"alg": _ALGORITHM}, claims, self._key, default_type=None)

    def read(self, text: str) -> D:
        """The document of a text. Raises Forged."""
        known = self._known.get(text)
        if known is None:
            known = self._verified(text)
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[text] = known
        return known

    def _verified(self, text: str) -> D:
        try:
            claims = jwt.decode(text, self._key, algorithms=[_ALGORITHM]).claims
            if claims.get("aud") != self._audience:
                raise Forged("another audience")
            return msgspec.convert(claims, self._kind)
        except (JoseError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise Forged(str(error)) from None

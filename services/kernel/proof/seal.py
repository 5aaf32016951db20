"""Signing what is kept elsewhere: an Ed25519 key, JSON Web Signatures (RFC 7515, RFC 9864).

Whoever has the public key can check a signature, also with tools of their own; only the private key can make one.
"""

from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from services.kernel.whole_file import put_first

T = TypeVar("T")

_ALGORITHM: Final = "Ed25519"


class KeyUnusable(Exception):
    """A file (`file`) does not hold an Ed25519 key in PEM, or not the private one that is needed."""

    def __init__(self, file: Path, needs_private: bool) -> None:
        super().__init__(f"{file} holds no {'private' if needs_private else 'public'} Ed25519 key (PEM)")
        self.file, self.needs_private = file, needs_private


class SealBroken(Exception):
    """Something is not what was signed, or was signed by another key or for another purpose."""


class Seal:
    """Signs and checks values. `purpose` is signed too: what was made for one is of no use for another."""

    def __init__(self, key: OKPKey) -> None:
        self._key = key

    @classmethod
    def kept_in(cls, file: Path) -> "Seal":
        """The private key in a file; where there is none yet, it is drawn and kept there for its owner alone. Raises
        KeyUnusable, OSError."""
        if not file.exists():
            put_first(file, OKPKey.generate_key("Ed25519").as_pem(private=True), private=True)
        return cls(_key_in(file, private=True))

    @classmethod
    def checked_by(cls, file: Path) -> "Seal":
        """The key in a file, which may be the public one alone. Raises KeyUnusable, OSError."""
        return cls(_key_in(file, private=False))

    @property
    def public_pem(self) -> bytes:
        """The public key, to be handed out."""
        return self._key.as_pem(private=False)

    def signed(self, value: Any, purpose: str) -> str:
        """A value as a compact JWS."""
        header = {"alg": _ALGORITHM, "kid": self._key.thumbprint(), "typ": purpose}
        return jws.serialize_compact(header, msgspec.json.encode(value), self._key, algorithms=[_ALGORITHM])

    def opened(self, token: str, purpose: str, type: type[T]) -> T:
        """The value that was signed. Raises SealBroken."""
        try:
            signed = jws.deserialize_compact(token, self._key, algorithms=[_ALGORITHM])
            if signed.headers().get("typ") != purpose:
                raise SealBroken("signed for another purpose")
            return msgspec.json.decode(signed.payload, type=type)
        except (JoseError, msgspec.DecodeError, ValueError) as error:
            raise SealBroken(str(error)) from error


def _key_in(file: Path, *, private: bool) -> OKPKey:
    try:
        key = OKPKey.import_key(file.read_bytes())
    except (JoseError, ValueError, TypeError) as error:
        raise KeyUnusable(file, private) from error
    if key.curve_name != "Ed25519" or (private and not key.is_private):
        raise KeyUnusable(file, private)
    return key

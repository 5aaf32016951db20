"""The ID token of OpenID Connect: whether it is about this sign-in, at this console, by this provider, now.

See OpenID Connect Core 1.0, 3.1.3.7. Only public-key signatures count: a key that anybody can read proves nothing.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from joserfc import jws, jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

#: By how much the provider's clock may differ from ours.
LEEWAY: Final = timedelta(seconds=60)
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")

_HASHES: Final = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}


class TokenWrong(Exception):
    """An ID token that is not to be believed; the message says why."""


class KeyUnknown(TokenWrong):
    """It was signed with a key that is not among those at hand; there may be new ones."""


class Expected(msgspec.Struct, frozen=True):
    """What an ID token must be about."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str
    """What came along with it: a token may name its hash."""


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str | list[str]
    exp: float
    iat: float
    nonce: str
    nbf: float = 0
    azp: str | None = None
    at_hash: str | None = None


def verified(token: str, keys: KeySet, expected: Expected, now: datetime) -> dict[str, Any]:
    """The claims of an ID token. Raises TokenWrong; KeyUnknown where newer keys may help."""
    registry = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    registry.max_header_length = 8192  # certificates may be in there
    try:
        read = jwt.decode(token, keys, algorithms=ALGORITHMS, registry=registry)
    except InvalidKeyIdError as error:
        raise KeyUnknown(str(error)) from None
    except (JoseError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise TokenWrong(f"ID token: {error}") from None
    try:
        claims = msgspec.convert(read.claims, _Claims)
    except msgspec.ValidationError as error:
        raise TokenWrong(f"ID token: {error}") from None
    _must_be_meant(claims, expected, now.timestamp())
    if claims.at_hash is not None and not _is_hash(claims.at_hash, expected.access_token, read.header["alg"]):
        raise TokenWrong("ID token: at_hash is not of the access token")
    return dict(read.claims)


def _must_be_meant(claims: _Claims, expected: Expected, now: float) -> None:
    audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    leeway = LEEWAY.total_seconds()
    checks = (
        (claims.iss == expected.issuer, f"iss is {claims.iss}, not {expected.issuer}"),
        (expected.client_id in audience, f"aud is {', '.join(audience)}, not {expected.client_id}"),
        (len(audience) == 1 or claims.azp is not None, "aud names several clients and azp is missing"),
        (claims.azp in (None, expected.client_id), f"azp is {claims.azp}, not {expected.client_id}"),
        (hmac.compare_digest(claims.nonce.encode(), expected.nonce.encode()), "nonce is of another sign-in"),
        (now < claims.exp + leeway, "it has expired"),
        (max(claims.iat, claims.nbf) - leeway <= now, "it is of the future: is a clock wrong?"),
        (bool(claims.sub), "sub is empty"),
    )
    for holds, wrong in checks:
        if not holds:
            raise TokenWrong(f"ID token: {wrong}")


def _is_hash(given: str, access_token: str, algorithm: str) -> bool:
    digest = _HASHES[algorithm[-3:]](access_token.encode()).digest()
    made = urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    return hmac.compare_digest(given.encode(), made)

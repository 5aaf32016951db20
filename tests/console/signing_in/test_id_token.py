"""ID tokens that look right and are not: none of them says who somebody is."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from services.console.signing_in.id_token import Expected, KeyUnknown, TokenWrong, verified

NOW = datetime(2025, 6, 1, 9, tzinfo=UTC)
ISSUER, CLIENT, NONCE, ACCESS_TOKEN = "https://id.example", "console", "nonce-of-this-sign-in", "access"
EXPECTED = Expected(ISSUER, CLIENT, NONCE, ACCESS_TOKEN)
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-384", {"kid": "ec"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa"})
PUBLIC = KeySet.import_key_set({"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]})


def claims(**changed: Any) -> dict[str, Any]:
    now = int(NOW.timestamp())
    usual = {"iss": ISSUER, "sub": "u-1", "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": NONCE}
    return {name: value for name, value in (usual | changed).items() if value is not ...}


def signed(header: Mapping[str, Any] | None = None, key: RSAKey | ECKey = RSA, **changed: Any) -> str:
    head = {"alg": "RS256", "kid": "rsa", **(header or {})}
    return jwt.encode(head, claims(**changed), key, algorithms=[head["alg"]])


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def by_hand(header: Mapping[str, Any], secret: bytes | None = None) -> str:
    """A token that the library would not make: signed as RS256, or with a secret as HS256."""
    text = f"{part(header)}.{part(claims())}"
    if secret is not None:
        signature = hmac.digest(secret, text.encode(), "sha256")
    else:
        assert RSA.private_key is not None
        signature = RSA.private_key.sign(text.encode(), PKCS1v15(), SHA256())
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def half_hash(text: str, algorithm: str = "sha256") -> str:
    digest = hashlib.new(algorithm, text.encode()).digest()
    return base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


SECONDS = int(NOW.timestamp())
GOOD: dict[str, Callable[[], str]] = {
    "plain": signed,
    "audience as a list": lambda: signed(aud=[CLIENT]),
    "several audiences, given to us": lambda: signed(aud=["api", CLIENT], azp=CLIENT),
    "hash of the access token": lambda: signed(at_hash=half_hash(ACCESS_TOKEN)),
    "elliptic curve": lambda: signed({"alg": "ES384", "kid": "ec"}, EC, at_hash=half_hash(ACCESS_TOKEN, "sha384")),
    "PSS": lambda: signed({"alg": "PS256"}),
    "a header that is unknown here": lambda: by_hand({"alg": "RS256", "kid": "rsa", "x-region": "cn"}),
    "a clock that is a little ahead": lambda: signed(iat=SECONDS + 50),
    "expired just now": lambda: signed(exp=SECONDS - 50),
}
WRONG: dict[str, tuple[str, Callable[[], str]]] = {
    "another issuer": ("iss", lambda: signed(iss="https://evil.example")),
    "issuer with a slash": ("iss", lambda: signed(iss=f"{ISSUER}/")),
    "another client": ("aud", lambda: signed(aud="other")),
    "no audience": ("aud", lambda: signed(aud=[])),
    "several audiences": ("azp", lambda: signed(aud=["other", CLIENT])),
    "given to another client": ("azp", lambda: signed(azp="other")),
    "given to another of the audiences": ("azp", lambda: signed(aud=["other", CLIENT], azp="other")),
    "another sign-in": ("nonce", lambda: signed(nonce="other")),
    "nonce in a list": ("nonce", lambda: signed(nonce=[NONCE])),
    "no nonce": ("nonce", lambda: signed(nonce=...)),
    "expired": ("expired", lambda: signed(exp=SECONDS - 61)),
    "never expires": ("exp", lambda: signed(exp=...)),
    "of tomorrow": ("future", lambda: signed(iat=SECONDS + 86_400)),
    "not yet": ("future", lambda: signed(nbf=SECONDS + 3600)),
    "nobody": ("sub", lambda: signed(sub="")),
    "no subject": ("sub", lambda: signed(sub=...)),
    "subject is a number": ("sub", lambda: signed(sub=7)),
    "hash of another access token": ("at_hash", lambda: signed(at_hash=half_hash("other"))),
    "hash of another length": ("at_hash", lambda: signed(at_hash=half_hash(ACCESS_TOKEN, "sha384"))),
    "not signed": ("none", lambda: f"{part({'alg': 'none'})}.{part(claims())}."),
    "not signed, with a key id": ("none", lambda: f"{part({'alg': 'none', 'kid': 'rsa'})}.{part(claims())}."),
    "signed with the public key as a secret": (
        "HS256",
        lambda: by_hand({"alg": "HS256", "kid": "rsa"}, RSA.as_pem(private=False)),
    ),
    "another one's signature": ("signature", lambda: signed(key=STRANGER)),
    "claims of another token": (
        "signature",
        lambda: ".".join((signed().split(".")[0], part(claims(sub="admin")), signed().split(".")[2])),
    ),
    "key of another kind": ("", lambda: signed({"alg": "ES384", "kid": "rsa"}, EC)),
    "a key it brings along": ("signature", lambda: signed({"jwk": STRANGER.as_dict(private=False)}, STRANGER)),
    "critical header": ("x-must", lambda: by_hand({"alg": "RS256", "kid": "rsa", "crit": ["x-must"], "x-must": True})),
    "nothing": ("", lambda: ""),
    "garbage": ("", lambda: "a.b.c"),
    "encrypted": ("", lambda: "a.b.c.d.e"),
    "no object": ("", lambda: f"{part([1])}.{part([1])}.x"),
    "surrogates": ("", lambda: "\udcff.\udcff.\udcff"),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_right_token_is_believed(name: str) -> None:
    """What providers do differently, within the standard, is accepted."""
    assert verified(GOOD[name](), PUBLIC, EXPECTED, NOW)["sub"] == "u-1"


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_token_is_not_believed(name: str) -> None:
    """Each claim and signature that is not as it must be refuses the token, and says why."""
    said, make = WRONG[name]
    with pytest.raises(TokenWrong, match=said or None) as wrong:
        verified(make(), PUBLIC, EXPECTED, NOW)
    assert not isinstance(wrong.value, KeyUnknown)


@pytest.mark.parametrize("header", [{"kid": "new"}, {"kid": ""}])
def test_a_key_that_is_unknown_may_be_new(header: dict[str, str]) -> None:
    """Whether newer keys should be asked for can be told from other mistakes."""
    with pytest.raises(KeyUnknown):
        verified(signed(header), PUBLIC, EXPECTED, NOW)


def test_without_keys_nothing_is_believed() -> None:
    """A provider without usable keys signs nobody in."""
    with pytest.raises(KeyUnknown):
        verified(signed(), KeySet([]), EXPECTED, NOW)

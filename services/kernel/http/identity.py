"""Who calls: a signed token with role and name (JWT, HS256), looked at before anything else."""

from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from services.kernel.actor import ROLES, Actor
from services.kernel.refusal import Refusal

#: Who sent a request.
ACTOR = web.RequestKey("actor", Actor)
AUDIENCE = "aftersales"
#: Verified tokens kept in memory, so that a busy client is not verified at every request.
_CACHED_TOKENS = 4096
#: The longest name of an actor, in characters.
NAME_MAX = 100


def unauthenticated(rule: str, zh: str, en: str) -> Refusal:
    """There is no valid identity: why."""
    return Refusal("unauthenticated", errors=[{"field": "Authorization", "rule": rule, "zh": zh, "en": en}])


class Tokens:
    """Makes and checks tokens with one secret."""

    def __init__(self, secret: str) -> None:
        if len(secret) < 32:
            raise ValueError("the token secret needs at least 32 characters")
        self._key = OctKey.import_key(secret)
        self._known: dict[str, tuple[Actor, float]] = {}

    def make(self, actor: Actor, now: datetime, valid_for: timedelta) -> str:
        """A token for an actor, valid from `now` on; raises `ValueError` for an actor that cannot be."""
        if actor.role not in ROLES:
            raise ValueError(f"no such role: {actor.role}; roles: {', '.join(ROLES)}")
        if not is_name(actor.name):
            raise ValueError(f"not a name: {actor.name!r}")
        claims = {
            "sub": actor.name,
            "role": actor.role,
            "aud": AUDIENCE,
            "iat": int(now.timestamp()),
            "exp": int((now + valid_for).timestamp()),
        }
        return jwt.encode({"alg": "HS256"}, claims, self._key)

    def actor(self, authorization: str | None, now: datetime) -> Actor:
        """The actor of an `Authorization` header; raises `Refusal("unauthenticated")`."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthenticated("required", "缺少 Authorization: Bearer 令牌", "Authorization: Bearer is required")
        known = self._known.get(token)
        if known is None:
            known = self._verify(token)
            if len(self._known) >= _CACHED_TOKENS:
                self._known.clear()
            self._known[token] = known
        if now.timestamp() >= known[1]:
            raise unauthenticated("expired", "令牌已过期", "the token has expired")
        return known[0]

    def _verify(self, token: str) -> tuple[Actor, float]:
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"]).claims
            actor, expires = _claimed(claims)
        except (JoseError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise unauthenticated("forged", "令牌无效或被伪造", "the token is forged or broken") from None
        if claims.get("aud") != AUDIENCE:
            raise unauthenticated("audience", "令牌不是给本系统的", "the token is for something else")
        return actor, expires


def _claimed(claims: dict[str, Any]) -> tuple[Actor, float]:
    role, name = claims["role"], claims["sub"]
    if role not in ROLES or not isinstance(name, str) or not is_name(name):
        raise ValueError("no such actor")
    return Actor(role, name), float(claims["exp"])


def is_name(name: str) -> bool:
    """Whether somebody can be called so: visible characters, `NAME_MAX` at most, none of them space at an end."""
    return name.isprintable() and name == name.strip() and 0 < len(name) <= NAME_MAX

"""Who calls: a signed token with role and name (JWT, HS256), looked at before anything else."""

from datetime import datetime, timedelta

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from services.kernel.actor import ROLES, Actor

AUDIENCE = "aftersales"
#: Verified tokens kept in memory, so that a busy client is not verified at every request.
_CACHED_TOKENS = 4096


class Unauthenticated(Exception):
    """There is no valid token; the text says what is wrong with it."""


class Tokens:
    """Makes and checks tokens with one secret."""

    def __init__(self, secret: str) -> None:
        if len(secret) < 32:
            raise ValueError("the token secret needs at least 32 characters")
        self._key = OctKey.import_key(secret)
        self._known: dict[str, tuple[Actor, float]] = {}

    def make(self, actor: Actor, now: datetime, valid_for: timedelta) -> str:
        """A token for an actor, valid from `now` on."""
        if actor.role not in ROLES:
            raise ValueError(f"no such role: {actor.role}; roles: {', '.join(ROLES)}")
        claims = {
            "sub": actor.name,
            "role": actor.role,
            "aud": AUDIENCE,
            "iat": int(now.timestamp()),
            "exp": int((now + valid_for).timestamp()),
        }
        return jwt.encode({"alg": "HS256"}, claims, self._key)

    def actor(self, authorization: str | None, now: datetime) -> Actor:
        """The actor of an `Authorization` header; raises `Unauthenticated`."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("Authorization: Bearer <token> is required")
        known = self._known.get(token)
        if known is None:
            known = self._verify(token)
            if len(self._known) >= _CACHED_TOKENS:
                self._known.clear()
            self._known[token] = known
        if now.timestamp() >= known[1]:
            raise Unauthenticated("the token has expired")
        return known[0]

    def _verify(self, token: str) -> tuple[Actor, float]:
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"]).claims
            actor = Actor.parse(f"{claims['role']}/{claims['sub']}")
            expires = float(claims["exp"])
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise Unauthenticated("the token is forged or broken") from error
        if claims.get("aud") != AUDIENCE or actor.role not in ROLES:
            raise Unauthenticated("the token is for something else")
        return actor, expires

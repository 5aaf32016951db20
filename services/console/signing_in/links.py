"""One-time links: the way in where no provider is set. Whoever can read the token secret can make one."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal
from urllib.parse import urlencode

import msgspec

from services.console.signed import Forged, Signed
from services.kernel.actor import LADDER, STAFF
from services.kernel.http.identity import is_name

#: Where a link leads, on the console's address.
PAGE: Final = "/console/sign-in/link"
#: The roles of people, the one with most rights first: a link without roles of its own gives all of them.
ALL_ROLES: Final = (*reversed(LADDER), *(role for role in STAFF if role not in LADDER))

Reason = Literal["used", "expired", "earlier", "forged"]


class LinkRefused(Exception):
    """A link that lets nobody in: it was `used`, is `expired`, was made before the server started (`earlier`), or is
    not ours (`forged`)."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class _Link(msgspec.Struct, frozen=True, omit_defaults=True):
    """Short, because links are copied out of terminals: times in seconds, and roles only where they are not all."""

    jti: str
    sub: str
    iat: float
    exp: float
    roles: tuple[str, ...] = ALL_ROLES


class OneTimeLinks:
    """Makes links, and takes each once.

    Which were used is kept in memory until they expire. A process that started later cannot know what the one before
    it took, so it refuses links from before its own start: used ones never come back, unused ones are made again.
    """

    def __init__(self, secret: str, started_at: datetime) -> None:
        """`secret`: the token secret; `started_at`: since when this process takes links, by the clock that `take` is
        told."""
        self._signed = Signed(secret, "link", _Link)
        self._started_at = started_at
        self._used: dict[str, float] = {}

    def make(self, name: str, roles: Sequence[str], now: datetime, valid_for: timedelta) -> str:
        """What signs somebody in, once, with roles of people; they begin in the first. Raises ValueError for who cannot
        be."""
        if not is_name(name):
            raise ValueError(f"not a name: {name!r}")
        if not roles or any(role not in STAFF for role in roles):
            raise ValueError(f"not roles: {roles!r}; roles: {', '.join(STAFF)}")
        until = now + valid_for
        return self._signed.write(
            _Link(secrets.token_urlsafe(9), name, now.timestamp(), until.timestamp(), tuple(roles))
        )

    def take(self, token: str, now: datetime) -> tuple[str, tuple[str, ...]]:
        """Name and roles of a link, which is used up by this. Raises LinkRefused."""
        try:
            link = self._signed.read(token)
        except Forged:
            raise LinkRefused("forged") from None
        if now.timestamp() >= link.exp:
            raise LinkRefused("expired")
        if link.iat < self._started_at.timestamp():
            raise LinkRefused("earlier")
        if link.jti in self._used:
            raise LinkRefused("used")
        self._used = {id: until for id, until in self._used.items() if until > now.timestamp()}
        self._used[link.jti] = link.exp
        return link.sub, link.roles


def address(base_url: str, token: str) -> str:
    """What is opened in a browser; `base_url`: where the console is reached."""
    return f"{base_url.rstrip('/')}{PAGE}?{urlencode({'token': token})}"

"""Who is signed in: a signed cookie that holds the person and the role they work in. The server keeps no sessions.

A session ends when nothing was asked for two hours, and twelve hours after the sign-in in any case.
"""

import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypedDict
from urllib.parse import unquote

import msgspec
from aiohttp import web

from services.console.signed import Forged, Signed
from services.kernel.actor import ROLES, Actor
from services.kernel.http.identity import is_name

#: A session ends when nothing was asked for so long,
IDLE: Final = timedelta(hours=2)
#: and so long after the sign-in, whatever was asked.
ABSOLUTE: Final = timedelta(hours=12)
#: How old the note of the last request may be before it is written anew.
RENEWED_EVERY: Final = timedelta(minutes=1)
HOME: Final = "/console/"

_TARGET_MAX: Final = 2000
_OWN_PAGE: Final = re.compile(
    r"(/console/[^\s\\?#\x00-\x1f\x7f]*)(\?[^\s\\#\x00-\x1f\x7f]*)?(#[^\s\\#\x00-\x1f\x7f]*)?"
)

Via = Literal["link", "oidc"]


class CookieAttributes(TypedDict):
    """What browsers are told of a cookie; the keywords of `set_cookie`."""

    httponly: bool
    samesite: str
    path: str
    secure: bool
    max_age: int | None


class Cookie(NamedTuple):
    """A cookie to be set; with an empty value, one to be thrown away."""

    name: str
    value: str
    attributes: CookieAttributes

    def put(self, response: web.StreamResponse) -> None:
        """Send it with a response."""
        response.set_cookie(self.name, self.value, **self.attributes)


class Cookies(NamedTuple):
    """Makes cookies that scripts cannot read and other sites cannot send along with forms."""

    secure: bool
    """Whether the console is reached by https: then no cookie of another host or of plain http is taken for ours."""

    def name(self, name: str) -> str:
        """What a cookie is called here."""
        return f"__Host-aftersales-{name}" if self.secure else f"aftersales-{name}"

    def make(self, name: str, value: str, max_age: timedelta | None = None) -> Cookie:
        """A cookie that browsers keep so long; None: until they are closed."""
        seconds = None if max_age is None else int(max_age.total_seconds())
        attributes: CookieAttributes = {
            "httponly": True,
            "samesite": "Lax",
            "path": "/",
            "secure": self.secure,
            "max_age": seconds,
        }
        return Cookie(self.name(name), value, attributes)

    def drop(self, name: str) -> Cookie:
        """Throws a cookie away."""
        return self.make(name, "", timedelta())


class Person(msgspec.Struct, frozen=True):
    """Somebody who signed in."""

    name: str
    role: str
    """The role they work in now."""
    roles: tuple[str, ...]
    """The roles they may work in."""
    csrf: str
    """Marks the forms of this session; nobody else can know it."""
    signed_in_at: datetime
    seen_at: datetime
    expires_at: datetime
    via: Via

    @property
    def actor(self) -> Actor:
        """As whom they ask the API."""
        return Actor(self.role, self.name)

    def working_as(self, role: str) -> "Person":
        """The same person in another of their roles. Raises ValueError where they do not have it."""
        if role not in self.roles:
            raise ValueError(f"{self.name} is no {role}")
        return msgspec.structs.replace(self, role=role)

    def owns(self, mark: object) -> bool:
        """Whether a form with this mark is of this session."""
        return isinstance(mark, str) and hmac.compare_digest(
            mark.encode("utf-8", "surrogateescape"), self.csrf.encode()
        )


class Expired(NamedTuple):
    """A session that is over, and why: nothing was asked for long (`idle`), or it lasted as long as it may (`age`)."""

    person: Person
    reason: Literal["idle", "age"]


class Sessions:
    """Opens, reads and ends sessions. Processes with the same secret know one another's; only which sessions were
    signed out of before their end, each process knows for itself."""

    def __init__(self, secret: str, secure: bool) -> None:
        """`secret`: the token secret; `secure`: whether the console's public address is https."""
        self._signed = Signed(secret, "session", Person)
        self._cookies = Cookies(secure)
        self._ended: dict[str, datetime] = {}

    def open(self, name: str, roles: Sequence[str], via: Via, now: datetime) -> Person:
        """A new session; the person begins in the first of their roles. Raises ValueError for who cannot be."""
        if not is_name(name):
            raise ValueError(f"not a name: {name!r}")
        if not roles or any(role not in ROLES for role in roles):
            raise ValueError(f"not roles: {roles!r}; roles: {', '.join(ROLES)}")
        mark = secrets.token_urlsafe(24)
        return Person(name, roles[0], tuple(roles), mark, now, now, now + ABSOLUTE, via)

    def cookie(self, person: Person, now: datetime) -> Cookie:
        """The cookie that keeps the session of somebody who asks now. Browsers keep it until they are closed."""
        return self._cookies.make("session", self._signed.write(msgspec.structs.replace(person, seen_at=now)))

    def keep(self, response: web.StreamResponse, person: Person, now: datetime) -> None:
        """Send that cookie."""
        self.cookie(person, now).put(response)

    def read(self, cookies: Mapping[str, str], now: datetime) -> Person | Expired | None:
        """Who asks; None for nobody, which is also whoever was signed out or has a cookie that we did not write."""
        try:
            person = self._signed.read(cookies.get(self._cookies.name("session"), ""))
        except Forged:
            return None
        if person.csrf in self._ended or person.role not in ROLES:
            return None
        if now >= person.expires_at:
            return Expired(person, "age")
        if now - person.seen_at > IDLE:
            return Expired(person, "idle")
        return person

    def renewed(self, person: Person, now: datetime) -> Person | None:
        """The person with the time of this request, to be kept; None where that was noted shortly before."""
        if now - person.seen_at < RENEWED_EVERY:
            return None
        return msgspec.structs.replace(person, seen_at=now)

    def end(self, person: Person, now: datetime) -> None:
        """Sign out: from now on the session's cookie is good for nothing, should somebody have a copy."""
        self._ended = {mark: until for mark, until in self._ended.items() if until > now}
        self._ended[person.csrf] = person.expires_at

    def forget(self, response: web.StreamResponse) -> None:
        """Have the browser throw the session's cookie away."""
        self._cookies.drop("session").put(response)


def safe_target(text: str | None) -> str:
    """Where to go after the sign-in: a page of the console, else its home. Never another site."""
    page = _OWN_PAGE.fullmatch(text) if text and len(text) <= _TARGET_MAX else None
    if text is None or page is None or "//" in page[1]:
        return HOME
    leaves = any(unquote(segment) in (".", "..") for segment in page[1].split("/"))
    return HOME if leaves else text

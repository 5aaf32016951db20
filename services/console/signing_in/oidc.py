"""Sign-in with a provider of OpenID Connect: the authorization code flow with PKCE.

`begin` sends the browser to the provider, `finish` takes it back. What must not be forgotten in between (state, nonce,
PKCE verifier, where to go) is in a signed cookie of ten minutes, one for each attempt, so that tabs do not disturb each
other.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from aiohttp import web
from yarl import URL

from services.console.session import Cookie, Cookies, safe_target
from services.console.signed import Forged, Signed
from services.console.signing_in import refused
from services.console.signing_in.claims import is_complete, name_of, roles_of
from services.console.signing_in.id_token import Expected, KeyUnknown, TokenWrong, verified
from services.console.signing_in.provider import Metadata, Provider, Tokens
from services.console.signing_in.refused import SignInRefused
from services.kernel.clock import Clock, SystemClock
from services.kernel.settings import Settings

#: Where the provider sends browsers back to, on the console's address; to be registered there.
CALLBACK: Final = "/console/sign-in/callback"
#: How long the way to the provider and back may take.
PATIENCE: Final = timedelta(minutes=10)
#: More attempts that were begun and not finished are not kept in a browser.
ATTEMPTS_MAX: Final = 5

_COOKIE: Final = "signing-in-"

log = structlog.get_logger(__name__)


class Begun(NamedTuple):
    """Where to send the browser, and the cookies to send along."""

    url: str
    cookies: tuple[Cookie, ...]


class SignedIn(NamedTuple):
    """Who came back, where they wanted to go, and the cookie of the attempt to throw away."""

    name: str
    roles: tuple[str, ...]
    target: str
    cookies: tuple[Cookie, ...]


class _Attempt(msgspec.Struct, frozen=True):
    state: str
    nonce: str
    verifier: str
    target: str
    redirect_uri: str
    expires_at: datetime


class Oidc:
    """Signs people in with the provider of the settings. `begin`, `finish` and `sign_out_url` raise SignInRefused."""

    def __init__(self, settings: Settings, secret: str, clock: Clock | None = None) -> None:
        """`secret`: the token secret. `clock`: the machine's unless given, also where the shop's is set by hand: what
        a provider says is fresh or not by the time outside."""
        self._settings = settings
        self._clock = clock or SystemClock()
        self._provider = Provider(settings)
        self._signed = Signed(secret, "signing-in", _Attempt)
        self._cookies = Cookies(secure=settings.console_url.startswith("https://"))

    async def close(self) -> None:
        """Close the connections to the provider."""
        await self._provider.close()

    async def begin(self, request: web.Request, target: str = "") -> Begun:
        """Begin a sign-in that leads to a page of the console."""
        now = self._clock.now()
        try:
            metadata = await self._provider.metadata(now)
        except SignInRefused as refusal:
            raise _noted(refusal) from None
        attempt = _Attempt(
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(24),
            secrets.token_urlsafe(48),
            safe_target(target),
            self._own(request, CALLBACK),
            now + PATIENCE,
        )
        asked = {
            "response_type": "code",
            "client_id": self._settings.oidc_client_id,
            "redirect_uri": attempt.redirect_uri,
            "scope": self._settings.oidc_scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": _challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        cookie = self._cookies.make(_name(attempt.state), self._signed.write(attempt), PATIENCE)
        url = URL(metadata.authorization_endpoint).update_query(asked)
        return Begun(str(url), (*self._too_many(request.cookies), cookie))

    async def finish(self, request: web.Request) -> SignedIn:
        """Who the provider says came back."""
        try:
            return await self._finish(request, self._clock.now())
        except SignInRefused as refusal:
            raise _noted(refusal) from None

    async def sign_out_url(self, request: web.Request, page: str) -> str:
        """Where to sign out at the provider too, and come back to a page of the console; empty where it has no such
        address or does not answer: who signs out here is not held up."""
        try:
            metadata = await self._provider.metadata(self._clock.now())
        except SignInRefused as refusal:
            _noted(refusal)
            return ""
        if not metadata.end_session_endpoint:
            return ""
        asked = {"client_id": self._settings.oidc_client_id, "post_logout_redirect_uri": self._own(request, page)}
        return str(URL(metadata.end_session_endpoint).update_query(asked))

    async def _finish(self, request: web.Request, now: datetime) -> SignedIn:
        query = request.query
        attempt = self._attempt(request.cookies, query.get("state", ""), now)
        metadata = await self._provider.metadata(now)
        _must_be_from(metadata, query)
        if "error" in query:
            raise refused.declined(f"{query['error']}: {query.get('error_description', '')}")
        if not query.get("code"):
            raise refused.wrong("neither code nor error came back")
        tokens = await self._provider.exchanged(query["code"], attempt.verifier, attempt.redirect_uri, now)
        claims = await self._claims(tokens, attempt.nonce, now)
        if not is_complete(claims, self._settings):
            claims = {**await self._provider.userinfo(tokens.access_token, claims["sub"], now), **claims}
        name = name_of(claims, self._settings)
        roles = roles_of(claims, name, self._settings)
        return SignedIn(name, roles, attempt.target, (self._cookies.drop(_name(attempt.state)),))

    async def _claims(self, tokens: Tokens, nonce: str, now: datetime) -> dict[str, Any]:
        """What the ID token says, once it is verified; a key that is not known may be a new one."""
        expected = Expected(self._settings.oidc_issuer, self._settings.oidc_client_id, nonce, tokens.access_token)
        try:
            try:
                return verified(tokens.id_token, await self._provider.keys(now), expected, now)
            except KeyUnknown:
                return verified(tokens.id_token, await self._provider.keys(now, fresh=True), expected, now)
        except TokenWrong as error:
            raise refused.wrong(str(error)) from None

    def _attempt(self, cookies: Mapping[str, str], state: str, now: datetime) -> _Attempt:
        try:
            attempt = self._signed.read(cookies.get(self._cookies.name(_name(state)), ""))
        except Forged:
            raise refused.stale("there is no cookie of the attempt") from None
        if not hmac.compare_digest(attempt.state.encode(), state.encode("utf-8", "surrogateescape")):
            raise refused.stale("state is of another attempt")
        if now >= attempt.expires_at:
            raise refused.stale("the attempt has expired")
        return attempt

    def _too_many(self, cookies: Mapping[str, str]) -> tuple[Cookie, ...]:
        """Throws attempts away where a browser keeps too many that were never finished."""
        prefix = self._cookies.name(_COOKIE)
        kept = [name.removeprefix(prefix) for name in cookies if name.startswith(prefix)]
        return tuple(self._cookies.drop(_COOKIE + one) for one in kept) if len(kept) >= ATTEMPTS_MAX else ()

    def _own(self, request: web.Request, page: str) -> str:
        """A page of the console as others reach it."""
        return f"{self._settings.console_url or request.url.origin()}{page}"


def _must_be_from(metadata: Metadata, query: Mapping[str, str]) -> None:
    """The answer is of this provider and of no other that the browser was sent to (RFC 9207). Raises SignInRefused."""
    said = query.get("iss")
    if said is None and metadata.authorization_response_iss_parameter_supported:
        raise refused.wrong("iss is missing in what came back")
    if said is not None and said != metadata.issuer:
        raise refused.wrong(f"what came back is from {said}, not {metadata.issuer}")


def _name(state: str) -> str:
    """What the cookie of an attempt is called."""
    return _COOKIE + state[:8]


def _challenge(verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _noted(refusal: SignInRefused) -> SignInRefused:
    log.warning("sign_in_refused", code=refusal.code, reason=refused.short(refusal.reason))
    return refusal

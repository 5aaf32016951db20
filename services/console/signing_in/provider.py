"""A provider of OpenID Connect over HTTP: what it says of itself, its keys, and the exchange of a code for tokens."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from urllib.parse import quote_plus

import aiohttp
import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from services.console.signing_in import refused
from services.kernel.settings import Settings, is_safe_address

#: How long what a provider says of itself is believed without asking again.
FRESH: Final = timedelta(hours=1)
#: Keys are asked for anew when one is unknown, but not more often than this: anybody can make up key ids.
KEYS_AT_MOST_EVERY: Final = timedelta(seconds=10)
ANSWER_BYTES_MAX: Final = 512 * 1024

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10, sock_connect=5)
_KEY_TYPES: Final = ("RSA", "EC", "OKP")

T = TypeVar("T")


class Metadata(msgspec.Struct, frozen=True):
    """What a provider says of itself (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: list[str] | None = None
    authorization_response_iss_parameter_supported: bool | None = None

    @property
    def places(self) -> list[str]:
        """Its addresses."""
        always = [self.authorization_endpoint, self.token_endpoint, self.jwks_uri]
        return [*always, *(place for place in (self.userinfo_endpoint, self.end_session_endpoint) if place)]


class Tokens(msgspec.Struct, frozen=True):
    """What a code is exchanged for."""

    access_token: str
    id_token: str


class _Trouble(msgspec.Struct, frozen=True):
    error: str = ""
    error_description: str = ""


class _Keys(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class Provider:
    """The provider of the settings. It is connected to when it is first used, and closed in the end.

    Every method raises SignInRefused where the provider is away or answers what cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._issuer = settings.oidc_issuer
        self._client_id = settings.oidc_client_id
        self._client_secret = settings.oidc_client_secret.get_secret_value()
        self._made: aiohttp.ClientSession | None = None
        self._metadata: tuple[Metadata, datetime] | None = None
        self._keys: tuple[KeySet, datetime] | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._made is not None:
            await self._made.close()

    async def metadata(self, now: datetime) -> Metadata:
        """What it says of itself, not older than an hour."""
        if self._metadata is not None and now - self._metadata[1] < FRESH:
            return self._metadata[0]
        found = await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration", Metadata)
        if found.issuer != self._issuer:
            raise refused.wrong(f"the provider's issuer is {found.issuer}, AFTERSALES_OIDC_ISSUER is {self._issuer}")
        for place in found.places:
            if not is_safe_address(place.partition("?")[0]):
                raise refused.wrong(f"{place} is no https address")
        self._metadata = (found, now)
        return found

    async def keys(self, now: datetime, *, fresh: bool = False) -> KeySet:
        """The keys that it signs with, not older than an hour; `fresh`: asked for anew, unless they just were."""
        if self._keys is not None and now - self._keys[1] < (KEYS_AT_MOST_EVERY if fresh else FRESH):
            return self._keys[0]
        metadata = await self.metadata(now)
        found = [key for one in (await self._get(metadata.jwks_uri, _Keys)).keys if (key := _key(one))]
        self._keys = (KeySet(found), now)
        return self._keys[0]

    async def exchanged(self, code: str, verifier: str, redirect_uri: str, now: datetime) -> Tokens:
        """What a code is good for; a provider takes it once."""
        metadata = await self.metadata(now)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers, named = self._proof(metadata)
        status, body = await self._asked("POST", metadata.token_endpoint, headers=headers, data={**form, **named})
        if status == 200:
            return _read(body, Tokens, metadata.token_endpoint)
        if status >= 500:
            raise refused.away(f"{metadata.token_endpoint} answers {status}")
        trouble = _read(body, _Trouble, metadata.token_endpoint)
        if trouble.error == "invalid_grant":
            raise refused.stale(f"{trouble.error}: {trouble.error_description}")
        raise refused.wrong(f"{trouble.error or status}: {trouble.error_description}")

    async def userinfo(self, access_token: str, subject: str, now: datetime) -> dict[str, Any]:
        """What more it says of the person; empty where it has no address for that."""
        metadata = await self.metadata(now)
        if not metadata.userinfo_endpoint:
            return {}
        headers = {"Authorization": f"Bearer {access_token}"}
        claims = await self._get(metadata.userinfo_endpoint, dict[str, Any], headers)
        if claims.get("sub") != subject:
            raise refused.wrong("userinfo is about somebody else than the ID token")
        return claims

    def _proof(self, metadata: Metadata) -> tuple[dict[str, str], dict[str, str]]:
        """Headers and form fields that say which client asks (RFC 6749, 2.3.1)."""
        if not self._client_secret:
            return {}, {"client_id": self._client_id}
        methods = metadata.token_endpoint_auth_methods_supported or ["client_secret_basic"]
        if "client_secret_basic" not in methods:
            return {}, {"client_id": self._client_id, "client_secret": self._client_secret}
        login, password = quote_plus(self._client_id), quote_plus(self._client_secret)
        return {"Authorization": aiohttp.encode_basic_auth(login, password)}, {}

    async def _get(self, url: str, kind: type[T], headers: Mapping[str, str] | None = None) -> T:
        status, body = await self._asked("GET", url, headers=headers or {})
        if status >= 500:
            raise refused.away(f"{url} answers {status}")
        if status != 200:
            raise refused.wrong(f"{url} answers {status}")
        return _read(body, kind, url)

    async def _asked(
        self, method: str, url: str, *, headers: Mapping[str, str], data: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        accept = {"Accept": "application/json", **headers}
        try:
            async with self._session.request(method, url, headers=accept, data=data, allow_redirects=False) as response:
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > ANSWER_BYTES_MAX:
                        raise refused.wrong(f"{url} answers more than {ANSWER_BYTES_MAX} bytes")
                return response.status, bytes(body)
        except TimeoutError:
            raise refused.away(f"{url} does not answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise refused.away(f"{url}: {error}") from None

    @property
    def _session(self) -> aiohttp.ClientSession:
        # Not at once: it needs a running event loop.
        if self._made is None:
            self._made = aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar())
        return self._made


def _key(data: dict[str, Any]) -> Key | None:
    """A public key to check signatures with; None for what is for something else, or no key that is known here."""
    if data.get("kty") not in _KEY_TYPES or data.get("use", "sig") != "sig":
        return None
    try:
        return JWKRegistry.import_key(data)
    except (JoseError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _read(body: bytes, kind: type[T], url: str) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise refused.wrong(f"{url}: {error}") from None

"""A provider that answers wrongly, by mistake or on purpose, signs nobody in and harms nobody."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import RSAKey
from yarl import URL

from services.console.signing_in import provider
from services.kernel.clock import SystemClock
from tests.console.provider.running import CALLBACK, CLIENT_ID
from tests.console.signing_in.doors import Answer, Browser, asked, browsing, open_door, serving, settings_for

FIRST, SECOND = (RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"}) for kid in ("first", "second"))
OTHERS = [
    {"kty": "AKP", "kid": "post-quantum", "alg": "ML-DSA-44", "pub": "AAAA"},
    {"kty": "RSA", "kid": "broken", "n": "%", "e": "AQAB"},
    {"kty": "oct", "kid": "secret", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"},
    {"kid": "nothing"},
]


class Hostile:
    """A provider whose answers a test writes."""

    def __init__(self) -> None:
        self.url = ""
        self.key = FIRST
        self.keys = [FIRST]
        self.metadata: dict[str, Any] = {}
        self.token: dict[str, Any] = {}
        self.userinfo: dict[str, Any] | None = None
        self.answers: dict[str, web.Response | float] = {}
        self.asked: list[str] = []
        self.nonce = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer as the test wants it, else as a provider should."""
        self.asked.append(request.path)
        wanted = self.answers.get(request.path)
        if isinstance(wanted, float):
            await asyncio.sleep(wanted)
        elif wanted is not None:
            return wanted
        return web.json_response(self._usual(request.path))

    def _usual(self, path: str) -> Any:
        now = int(SystemClock().now().timestamp())
        match path:
            case "/.well-known/openid-configuration":
                places = {f"{name}_endpoint": f"{self.url}/{name}" for name in ("authorization", "token", "userinfo")}
                return {"issuer": self.url, "jwks_uri": f"{self.url}/keys", **places, **self.metadata}
            case "/keys":
                return {"keys": [*OTHERS, *(key.as_dict(private=False) for key in self.keys)]}
            case "/token":
                claims = {"iss": self.url, "sub": "u-1", "aud": CLIENT_ID, "exp": now + 300, "iat": now}
                person = {"nonce": self.nonce, "preferred_username": "小李", "roles": ["agent"]}
                claims = {name: value for name, value in (claims | person | self.token).items() if value is not ...}
                header = {"alg": "RS256", "kid": str(self.key.kid)}
                return {"access_token": "a", "token_type": "Bearer", "id_token": jwt.encode(header, claims, self.key)}
            case _:
                return {"sub": "u-1", "preferred_username": "小王", "roles": ["finance"]} | (self.userinfo or {})


@pytest.fixture
async def hostile() -> AsyncIterator[Hostile]:
    """A provider that is right so far."""
    one = Hostile()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", one.answer)
    async with serving(app) as url:
        one.url = url
        yield one


@asynccontextmanager
async def at_the_door(hostile: Hostile) -> AsyncIterator["Visit"]:
    async with open_door(settings_for(hostile.url)) as door, browsing() as browser:
        yield Visit(hostile, browser, door.url, door)


class Visit:
    """Signs in with the hostile provider."""

    def __init__(self, hostile: Hostile, browser: Browser, url: str, door: Any) -> None:
        self._hostile, self._browser, self._url = hostile, browser, url
        self.door = door

    async def begin(self) -> Answer:
        """Ask for the sign-in."""
        return await self._browser.get(f"{self._url}/console/sign-in")

    async def sign_in(self, **query: str) -> Answer:
        """Go to the provider and come back."""
        sent = asked(await self._browser.to_provider(self.door))
        self._hostile.nonce = sent["nonce"]
        back = URL(self._url + CALLBACK).with_query({"state": sent["state"], "code": "c", **query})
        return await self._browser.get(back)


def is_refused(answer: Answer, status: int, code: str, said: str = "") -> None:
    assert (answer.status, answer.body["code"]) == (status, code), answer
    assert said in answer.body["en"]


async def test_where_all_is_right_one_gets_in(hostile: Hostile) -> None:
    """What follows fails for its own reason; keys that are not understood do no harm, and little is asked."""
    async with at_the_door(hostile) as visit:
        for _ in range(2):
            assert (await visit.sign_in()).body == {"name": "小李", "roles": ["agent"], "target": "/console/"}
    assert hostile.asked == ["/.well-known/openid-configuration", "/token", "/keys", "/token"]


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"nonce": "other"}, "nonce"),
        ({"aud": "another-client"}, "aud"),
        ({"exp": 1}, "expired"),
        ({"iss": "https://evil.example"}, "iss"),
        ({"at_hash": "AAAA"}, "at_hash"),
    ],
)
async def test_a_wrong_id_token_signs_nobody_in(hostile: Hostile, claims: dict[str, Any], said: str) -> None:
    """What the ID token must say is held at the door too."""
    hostile.token = claims
    async with at_the_door(hostile) as visit:
        is_refused(await visit.sign_in(), 502, "provider_wrong", said)


async def test_an_id_token_that_nobody_signed(hostile: Hostile) -> None:
    """`alg: none` is refused."""
    none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1LTEifQ."
    hostile.answers["/token"] = web.json_response({"access_token": "a", "id_token": none})
    async with at_the_door(hostile) as visit:
        is_refused(await visit.sign_in(), 502, "provider_wrong", "none")


async def test_new_keys_are_fetched_when_needed(hostile: Hostile) -> None:
    """A provider may change its keys; made-up key ids do not make us ask it all the time."""
    async with at_the_door(hostile) as visit:
        assert (await visit.sign_in()).status == 200
        hostile.key, hostile.keys = SECOND, [FIRST, SECOND]
        is_refused(await visit.sign_in(), 502, "provider_wrong", "second")
        assert hostile.asked.count("/keys") == 1
        visit.door.later = provider.KEYS_AT_MOST_EVERY
        assert (await visit.sign_in()).status == 200
        visit.door.later += provider.FRESH
        assert (await visit.sign_in()).body["code"] == "provider_wrong"  # its clock and ours are an hour apart
        assert hostile.asked.count("/keys") == 3
        assert hostile.asked.count("/.well-known/openid-configuration") == 2


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"issuer": "https://evil.example"}, "evil.example"),
        ({"token_endpoint": "http://evil.example/token"}, "https"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "https"),
        ({"end_session_endpoint": "javascript:alert(1)"}, "https"),
        ({"jwks_uri": None}, "jwks_uri"),
    ],
)
async def test_what_it_says_of_itself_is_checked(hostile: Hostile, metadata: dict[str, Any], said: str) -> None:
    """Nobody is sent to an address, and no secret there, that is not this provider's or not safe."""
    hostile.metadata = metadata
    async with at_the_door(hostile) as visit:
        is_refused(await visit.begin(), 502, "provider_wrong", said)


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        ({"status": 500}, 503, "provider_away"),
        ({"status": 404}, 502, "provider_wrong"),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, 502, "provider_wrong"),
        ({"text": "<html>"}, 502, "provider_wrong"),
        ({"text": "[" * 5000}, 502, "provider_wrong"),
        ({"body": b"\xff"}, 502, "provider_wrong"),
        ({"body": b" " * 600_000}, 502, "provider_wrong"),
    ],
)
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
async def test_answers_that_are_none(
    hostile: Hostile, path: str, answer: Mapping[str, Any], status: int, code: str
) -> None:
    """Errors, redirects, garbage and floods are told as what they are."""
    hostile.answers[path] = web.Response(**answer)
    async with at_the_door(hostile) as visit:
        is_refused(await (visit.begin() if "well-known" in path else visit.sign_in()), status, code)


async def test_a_provider_that_hangs_is_not_waited_for(hostile: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sign-in ends in time also where the provider does not answer."""
    monkeypatch.setattr(provider, "_TIMEOUT", aiohttp.ClientTimeout(total=0.1))
    hostile.answers["/token"] = 0.5
    async with at_the_door(hostile) as visit:
        is_refused(await visit.sign_in(), 503, "provider_away")


async def test_more_is_asked_for_where_the_id_token_lacks_it(hostile: Hostile) -> None:
    """Roles may come from userinfo; what the ID token says comes first."""
    hostile.token = {"roles": ...}
    async with at_the_door(hostile) as visit:
        assert (await visit.sign_in()).body["roles"] == ["finance"]
        assert (await visit.sign_in()).body["name"] == "小李"


async def test_userinfo_about_somebody_else_is_refused(hostile: Hostile) -> None:
    """Roles of another person are nobody's."""
    hostile.token, hostile.userinfo = {"roles": ...}, {"sub": "u-2"}
    async with at_the_door(hostile) as visit:
        is_refused(await visit.sign_in(), 502, "provider_wrong", "somebody else")


async def test_an_issuer_that_is_not_told_need_not_be(hostile: Hostile) -> None:
    """Only a provider that says it names itself must; one that names another is refused in any case."""
    async with at_the_door(hostile) as visit:
        is_refused(await visit.sign_in(iss="https://evil.example"), 502, "provider_wrong", "evil.example")
        assert (await visit.sign_in(iss=hostile.url)).status == 200
    hostile.metadata = {"authorization_response_iss_parameter_supported": True}
    async with at_the_door(hostile) as visit:
        is_refused(await visit.sign_in(), 502, "provider_wrong", "iss")


async def test_texts_of_a_provider_are_told_on_in_few_words(hostile: Hostile) -> None:
    """What comes back in an address is shown as text, short and without control characters."""
    async with at_the_door(hostile) as visit:
        answer = await visit.sign_in(error="access_denied", error_description="<b>\x1b[31m\u202e" + "x" * 5000)
    is_refused(answer, 403, "declined", "access_denied")
    assert len(answer.body["en"]) < 400
    assert answer.body["en"].isprintable()


async def test_where_it_has_no_sign_out_nobody_is_held_up(hostile: Hostile) -> None:
    """Signing out works without the provider, and while it is away."""
    async with at_the_door(hostile) as visit, browsing() as browser:
        assert (await browser.get(f"{visit.door.url}/leave")).body == {"url": ""}
        hostile.answers["/.well-known/openid-configuration"] = web.Response(status=500)
        visit.door.later = timedelta(hours=2)
        assert (await browser.get(f"{visit.door.url}/leave")).body == {"url": ""}

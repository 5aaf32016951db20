"""Sign-in with a real provider, and what somebody may try at it from outside."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from services.console.signing_in.oidc import ATTEMPTS_MAX, PATIENCE
from services.stack.ports import free_port
from tests.console.provider.running import CALLBACK, throwaway_provider
from tests.console.signing_in.doors import Answer, Browser, Door, asked, browsing, open_door, settings_for


@pytest.fixture
async def door(issuer: str) -> AsyncIterator[Door]:
    """A console that signs in with the provider."""
    async with open_door(settings_for(issuer)) as door:
        yield door


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A fresh browser."""
    async with browsing() as browser:
        yield browser


def changed(url: str, **query: str) -> URL:
    return URL(url, encoded=True).update_query(query)


def is_refused(answer: Answer, status: int, code: str, *said: str) -> None:
    assert (answer.status, answer.body.get("code")) == (status, code), answer
    for words in said:
        assert words in answer.body["en"]
        assert words in answer.body["zh"]


@pytest.mark.parametrize(
    ("login", "name", "roles"),
    [
        ("u-agent", "小李", ["agent"]),
        ("u-lead", "王姐", ["team_lead", "agent"]),
        ("u-manager", "店长", ["store_manager", "warehouse", "finance"]),
        ("u-warehouse", "老仓", ["warehouse"]),
        ("u-finance", "老钱", ["finance"]),
    ],
)
async def test_people_sign_in_with_their_roles(
    door: Door, browser: Browser, login: str, name: str, roles: list[str]
) -> None:
    """Each comes back as who the provider says they are, with the roles it gives them, where they wanted to go."""
    answer = await browser.get(await browser.sign_in(door, login, to="/console/cases?status=open"))
    assert answer == Answer(200, {"name": name, "roles": roles, "target": "/console/cases?status=open"})
    assert browser.cookies() == {}


@pytest.mark.parametrize("client_id", ["by-post", "public"])
async def test_clients_of_every_kind(issuer: str, browser: Browser, client_id: str) -> None:
    """A client without secret signs in as well; PKCE proves that it is the one that began."""
    secret = {"oidc_client_secret": ""} if client_id == "public" else {}
    async with open_door(settings_for(issuer, oidc_client_id=client_id, **secret)) as door:
        assert (await browser.get(await browser.sign_in(door, "u-agent"))).body["name"] == "小李"


async def test_the_id_token_may_say_all(browser: Browser) -> None:
    """Where the ID token tells name and roles, nothing more is asked; a claim may be set for the name."""
    with throwaway_provider(claims_in_id_token=True) as issuer:
        async with open_door(settings_for(issuer, oidc_name_claim="name")) as door:
            assert (await browser.get(await browser.sign_in(door, "u-agent"))).body["name"] == "李小明"


async def test_what_is_asked_of_the_provider(door: Door, browser: Browser, issuer: str) -> None:
    """A code, bound to this browser by state, nonce and PKCE, all of them new at each attempt."""
    urls = [await browser.to_provider(door) for _ in range(2)]
    first, second = (asked(url) for url in urls)
    assert urls[0].startswith(f"{issuer}/auth?")
    assert (first["response_type"], first["code_challenge_method"]) == ("code", "S256")
    assert first["redirect_uri"] == door.url + CALLBACK
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 32
        assert first[name] != second[name]


async def test_tabs_do_not_disturb_each_other(door: Door, browser: Browser) -> None:
    """Who began in two tabs can finish in both."""
    first = await browser.sign_in(door, "u-agent", to="/console/first")
    second = await browser.sign_in(door, "u-agent", to="/console/second")
    assert (await browser.get(second)).body["target"] == "/console/second"
    assert (await browser.get(first)).body["target"] == "/console/first"


async def test_a_browser_keeps_only_so_many_attempts(door: Door, browser: Browser) -> None:
    """Attempts that nobody finishes do not pile up until a browser's requests are too large."""
    for _ in range(3 * ATTEMPTS_MAX):
        await browser.to_provider(door)
    assert 1 <= len(browser.cookies()) <= ATTEMPTS_MAX


async def test_no_other_site_is_gone_to(door: Door, browser: Browser) -> None:
    """A target elsewhere is forgotten at the door."""
    answer = await browser.get(await browser.sign_in(door, "u-agent", to="//evil.example/"))
    assert answer.body["target"] == "/console/"


@pytest.mark.parametrize("state", ["", "x", "\x00", "小", None])
async def test_a_wrong_state_is_refused(door: Door, browser: Browser, state: str | None) -> None:
    """An answer that does not belong to an attempt of this browser signs nobody in."""
    url = URL(await browser.sign_in(door, "u-agent"), encoded=True)
    forged = url.without_query_params("state") if state is None else url.update_query(state=state)
    is_refused(await browser.get(forged), 400, "stale")


async def test_a_state_that_begins_alike_is_refused(door: Door, browser: Browser) -> None:
    """The whole state counts, not only what the cookie is called by."""
    url = await browser.sign_in(door, "u-agent")
    is_refused(await browser.get(changed(url, state=asked(url)["state"][:8] + "x" * 24)), 400, "stale")


async def test_an_answer_for_somebody_elses_browser_is_refused(door: Door, browser: Browser) -> None:
    """Nobody can be signed in to another's account by a link that was sent to them."""
    url = await browser.sign_in(door, "u-manager")
    async with browsing() as victim:
        is_refused(await victim.get(url), 400, "stale")
        await victim.to_provider(door)
        is_refused(await victim.get(url), 400, "stale")


async def test_a_code_counts_once(door: Door, browser: Browser) -> None:
    """An answer that is sent again, cookie and all, is refused by the provider."""
    url = await browser.sign_in(door, "u-agent")
    kept = browser.cookies()
    assert (await browser.get(url)).status == 200
    is_refused(await browser.get(url), 400, "stale")
    browser.put(kept, door)
    is_refused(await browser.get(url), 400, "stale")


async def test_a_code_of_another_attempt_is_refused(door: Door, browser: Browser) -> None:
    """A stolen code is of no use in an attempt that did not ask for it: PKCE."""
    url = await browser.sign_in(door, "u-agent")
    async with browsing() as other:
        stolen = asked(await other.sign_in(door, "u-manager"))["code"]
    is_refused(await browser.get(changed(url, code=stolen)), 400, "stale")


async def test_made_up_codes_are_refused(door: Door, browser: Browser) -> None:
    """A code that the provider did not give is worth nothing, none at all neither."""
    url = await browser.sign_in(door, "u-agent")
    is_refused(await browser.get(changed(url, code="made-up")), 400, "stale")
    is_refused(await browser.get(changed(url, code="")), 502, "provider_wrong")


async def test_an_altered_cookie_of_the_attempt_is_refused(door: Door, browser: Browser) -> None:
    """Nonce, verifier and target cannot be changed underway."""
    url = await browser.sign_in(door, "u-agent")
    [(name, value)] = browser.cookies().items()
    browser.put({name: value[:-4] + "AAAA"}, door)
    is_refused(await browser.get(url), 400, "stale")


async def test_an_old_attempt_is_refused(door: Door, browser: Browser) -> None:
    """Who comes back after ten minutes begins anew."""
    url = await browser.sign_in(door, "u-agent")
    door.later = PATIENCE
    is_refused(await browser.get(url), 400, "stale")


async def test_an_answer_of_another_provider_is_refused(door: Door, browser: Browser) -> None:
    """A mix-up of providers is noticed by `iss`, before the code is sent anywhere."""
    url = URL(await browser.sign_in(door, "u-agent"), encoded=True)
    is_refused(await browser.get(url.update_query(iss="https://evil.example")), 502, "provider_wrong", "evil.example")
    is_refused(await browser.get(url.without_query_params("iss")), 502, "provider_wrong", "iss")


async def test_who_says_no_is_not_signed_in(door: Door, browser: Browser) -> None:
    """A sign-in that was cancelled at the provider says so."""
    is_refused(await browser.get(await browser.sign_in(door, "")), 403, "declined", "access_denied")


async def test_an_account_without_a_role_is_told_what_is_missing(door: Door, browser: Browser) -> None:
    """Who may not work here reads which claim holds what, and what it should hold. Systems' roles are not people's."""
    answer = await browser.get(await browser.sign_in(door, "u-guest"))
    is_refused(answer, 403, "no_role", "访客", "roles", "cook, service", "store_manager")


async def test_an_account_without_a_usable_name_is_told_so(door: Door, browser: Browser) -> None:
    """A name that would deceive whoever reads it is refused, and not replaced by another."""
    is_refused(await browser.get(await browser.sign_in(door, "u-nameless")), 403, "no_name", "preferred_username")


async def test_a_provider_that_is_away_is_told(browser: Browser) -> None:
    """Where nobody answers, it is said in time, and not as a fault of the person."""
    async with open_door(settings_for(f"http://127.0.0.1:{free_port()}")) as door:
        is_refused(await browser.get(f"{door.url}/console/sign-in"), 503, "provider_away")


async def test_a_wrong_secret_of_the_console_is_told(issuer: str, browser: Browser) -> None:
    """An administrator reads that the client is not accepted."""
    async with open_door(settings_for(issuer, oidc_client_secret="wrong")) as door:
        answer = await browser.get(await browser.sign_in(door, "u-agent"))
        is_refused(answer, 502, "provider_wrong", "invalid_client")


async def test_signing_out_leads_to_the_provider_and_back(door: Door, browser: Browser) -> None:
    """The provider takes the address where one comes back to, and asks whether to sign out there as well."""
    await browser.sign_in(door, "u-agent")
    url = (await browser.get(f"{door.url}/leave")).body["url"]
    assert asked(url)["post_logout_redirect_uri"] == f"{door.url}/console/signed-out"
    async with aiohttp.ClientSession() as session, session.get(url) as page:
        assert page.status == 200
        assert "/session/end/confirm" in await page.text()


async def test_behind_a_front_the_public_address_is_told(issuer: str, browser: Browser) -> None:
    """Whatever address a request came to, the provider sends people to the public one, and cookies need https."""
    async with open_door(settings_for(issuer, console_url="https://shop.example")) as door:
        assert asked(await browser.to_provider(door))["redirect_uri"] == f"https://shop.example{CALLBACK}"

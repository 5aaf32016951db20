"""Sessions: signed cookies that end in time, are nobody else's, and lead nowhere else."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import OctKey

from services.console.session import ABSOLUTE, IDLE, RENEWED_EVERY, Expired, Person, Sessions, safe_target
from services.console.signed import Forged, Signed
from services.console.signing_in.links import OneTimeLinks
from services.kernel.actor import Actor
from services.kernel.http.identity import Tokens
from services.kernel.refusal import Refusal

SECRET = "a-secret-that-is-long-enough-for-tests"
NOW = datetime(2025, 6, 1, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
SESSIONS = Sessions(SECRET, secure=False)


def cookies(person: Person, now: datetime = NOW, sessions: Sessions = SESSIONS) -> dict[str, str]:
    cookie = sessions.cookie(person, now)
    return {cookie.name: cookie.value}


def opened(sessions: Sessions = SESSIONS) -> Person:
    return sessions.open("小李", ("agent", "finance"), "oidc", NOW)


def read(kept: dict[str, str], now: datetime = NOW) -> Person | Expired | None:
    return SESSIONS.read(kept, now)


def test_a_session_says_who_is_there() -> None:
    """What was opened is read again: name, roles, the mark of its forms and how the person came in."""
    person = opened()
    assert read(cookies(person)) == person
    assert person.actor == Actor("agent", "小李")
    assert (person.roles, person.via, person.expires_at) == (("agent", "finance"), "oidc", NOW + timedelta(hours=12))
    assert opened().csrf != person.csrf


@pytest.mark.parametrize(
    ("seen_after", "read_after", "end"),
    [
        (timedelta(), IDLE, None),
        (timedelta(), IDLE + timedelta(seconds=1), "idle"),
        (11 * HOUR, ABSOLUTE - timedelta(seconds=1), None),
        (11 * HOUR, ABSOLUTE, "age"),
        (timedelta(), 30 * HOUR, "age"),
    ],
)
def test_a_session_ends(seen_after: timedelta, read_after: timedelta, end: str | None) -> None:
    """It ends two hours after the last request and twelve hours after the sign-in, and says which."""
    found = read(cookies(opened(), NOW + seen_after), NOW + read_after)
    assert (found.reason if isinstance(found, Expired) else None) == end
    assert found is not None


def test_a_session_slides_but_not_beyond_its_end() -> None:
    """A request moves the end of idleness, at most once a minute, and never the last hour."""
    person = opened()
    assert SESSIONS.renewed(person, NOW + RENEWED_EVERY - timedelta(seconds=1)) is None
    renewed = SESSIONS.renewed(person, NOW + HOUR)
    assert renewed is not None
    assert (renewed.seen_at, renewed.expires_at, renewed.csrf) == (NOW + HOUR, person.expires_at, person.csrf)


def test_roles_change_only_among_ones_own() -> None:
    """Nobody takes a role that they were not given."""
    person = opened()
    assert person.working_as("finance").actor == Actor("finance", "小李")
    with pytest.raises(ValueError, match="store_manager"):
        person.working_as("store_manager")


@pytest.mark.parametrize(("name", "roles"), [("", ("agent",)), ("a\nb", ("agent",)), ("x", ()), ("x", ("owner",))])
def test_no_session_for_who_cannot_be(name: str, roles: tuple[str, ...]) -> None:
    """A session is opened only for a name and roles that the API knows."""
    with pytest.raises(ValueError, match="not"):
        SESSIONS.open(name, roles, "link", NOW)


@pytest.mark.parametrize("alter", ["claims", "signature", "algorithm", "empty", "garbage", "surrogates"])
def test_an_altered_cookie_is_nobody(alter: str) -> None:
    """A cookie that was changed, or made up, signs nobody in."""
    name, value, _ = SESSIONS.cookie(opened(), NOW)
    head, body, signature = value.split(".")
    other_body = SESSIONS.cookie(opened(), NOW).value.split(".")[1]
    none = jwt.encode({"alg": "HS256"}, {}, OctKey.import_key("x" * 32)).split(".")[0]
    forged = {
        "claims": f"{head}.{other_body}.{signature}",
        "signature": f"{head}.{body}.{signature[::-1]}",
        "algorithm": f"eyJhbGciOiJub25lIn0.{body}.",
        "empty": "",
        "garbage": f"{none}..",
        "surrogates": "\udcff.\udcff.\udcff",
    }
    assert read({name: forged[alter]}) is None


def test_another_secret_opens_nothing() -> None:
    """Sessions of another shop are not ours."""
    assert read(cookies(opened(), sessions=Sessions(SECRET[::-1], secure=False))) is None


def test_after_the_sign_out_a_copy_of_the_cookie_is_worthless() -> None:
    """Who signs out is out, even where the cookie was copied before; others stay in."""
    sessions = Sessions(SECRET, secure=False)
    person, other = opened(sessions), opened(sessions)
    sessions.end(person, NOW)
    assert sessions.read(cookies(person), NOW) is None
    assert sessions.read(cookies(other), NOW) == other
    sessions.end(other, NOW + 13 * HOUR)
    assert sessions.read(cookies(person), NOW + 13 * HOUR) == Expired(person, "age")


@pytest.mark.parametrize("secure", [True, False])
def test_cookies_are_kept_from_scripts_and_other_sites(secure: bool) -> None:
    """Where the console is reached by https its cookie is tied to the host; in any case scripts cannot read it."""
    sessions, response = Sessions(SECRET, secure), web.Response()
    sessions.keep(response, opened(sessions), NOW)
    [sent] = [cookie.OutputString() for cookie in response.cookies.values()]
    assert sent.startswith("__Host-aftersales-session=" if secure else "aftersales-session=")
    assert ("Secure" in sent) == secure
    assert all(part in sent for part in ("HttpOnly", "SameSite=Lax", "Path=/"))
    assert "Domain" not in sent
    assert "Max-Age" not in sent
    assert len(sent) < 1500
    gone = web.Response()
    sessions.forget(gone)
    assert "Max-Age=0" in next(iter(gone.cookies.values())).OutputString()


def test_over_https_a_plain_cookie_does_not_count() -> None:
    """What another host or plain http could have set is not read where the console is reached by https."""
    person = opened()
    assert Sessions(SECRET, secure=True).read(cookies(person), NOW) is None


def test_sessions_links_and_api_tokens_are_never_taken_for_one_another() -> None:
    """The same secret signs all of them, with keys and audiences of their own."""
    tokens, links = Tokens(SECRET), OneTimeLinks(SECRET, NOW)
    api = tokens.make(Actor("agent", "小李"), NOW, HOUR)
    session, link = SESSIONS.cookie(opened(), NOW).value, links.make("小李", ("agent",), NOW, HOUR)
    for other in (api, link):
        assert read({"aftersales-session": other}) is None
    for other in (session, link):
        with pytest.raises(Refusal):
            tokens.actor(f"Bearer {other}", NOW)
    with pytest.raises(Forged):
        Signed(SECRET, "link", Person).read(session)


@pytest.mark.parametrize("mark", [None, "", "x", 7, "\udcff", b""])
def test_forms_need_the_mark_of_the_session(mark: object) -> None:
    """A form without the session's own mark is not of this session."""
    person = opened()
    assert person.owns(person.csrf)
    assert not person.owns(mark)
    assert not person.owns(opened().csrf)


def test_a_short_secret_signs_nothing() -> None:
    """A secret that could be guessed is not accepted."""
    with pytest.raises(ValueError, match="32"):
        Sessions("short", secure=False)


@pytest.mark.parametrize(
    "target",
    [
        "/console/",
        "/console/cases/TB1001-1",
        "/console/cases?status=open&q=%E5%B0%8F&to=//x",
        "/console/cases?assignee=小李#timeline",
        "/console/search?q=https://tracking.example/1",
    ],
)
def test_own_pages_are_gone_to(target: str) -> None:
    """After the sign-in one is where one wanted to go, filters and all."""
    assert safe_target(target) == target


@pytest.mark.parametrize(
    "target",
    [
        None,
        "",
        "/",
        "/console",
        "/v1/cases",
        "//evil.example/console/",
        "/\\evil.example",
        "/console/\\evil.example",
        "/console//evil.example",
        "\\\\evil.example",
        "https://evil.example/console/",
        "https:/console/",
        "javascript:alert(1)",
        " /console/",
        "/console/ x",
        "/console/\n//evil.example",
        "/\t/evil.example",
        "/console/../v1/cases",
        "/console/%2e%2E/v1",
        "/console/..",
        "/console/./x",
        "/console/\r\nSet-Cookie: x=y",
        "/console/\x00",
        "console/",
        "/Console/",
        "/console/" + "x" * 3000,
    ],
)
def test_no_other_address_is_gone_to(target: str | None) -> None:
    """A link to the sign-in cannot be made to lead to another site, nor out of the console."""
    assert safe_target(target) == "/console/"


def test_documents_survive_signing() -> None:
    """Times keep their microseconds and zones in a cookie."""
    person = msgspec.structs.replace(opened(), seen_at=NOW + timedelta(microseconds=1))
    signed = Signed(SECRET, "test", Person)
    assert signed.read(signed.write(person)) == person

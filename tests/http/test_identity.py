"""Who is let in: signed, unexpired tokens of this system, and nobody else (`conventions.md` HTTP)."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from services.kernel.actor import Actor
from services.kernel.http.identity import Tokens
from tests.http.server import NOW, PROBLEM, Server

OTHER_SECRET = "another-secret-that-is-long-enough-000"


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims(**changed: Any) -> dict[str, Any]:
    now = int(NOW.timestamp())
    return {"sub": "小李", "role": "agent", "aud": "aftersales", "iat": now, "exp": now + 3600} | changed


def signed(server: Server, header: dict[str, Any] | None = None, **changed: Any) -> str:
    """A token signed with the server's own secret."""
    algorithm = (header or {"alg": "HS256"})["alg"]
    return jwt.encode(
        header or {"alg": "HS256"}, claims(**changed), server.embedded.tokens._key, algorithms=[algorithm]
    )


BAD: dict[str, tuple[str, Callable[[Server], str]]] = {
    "none": ("required", lambda _: ""),
    "other scheme": ("required", lambda _: "Basic dTpw"),
    "scheme alone": ("required", lambda _: "Bearer"),
    "expired": ("expired", lambda s: "Bearer " + signed(s, exp=int(NOW.timestamp()))),
    "other audience": ("audience", lambda s: "Bearer " + signed(s, aud="payroll")),
    "no audience": ("audience", lambda s: "Bearer " + signed(s, aud=None)),
    "other algorithm": ("forged", lambda s: "Bearer " + signed(s, {"alg": "HS512"})),
    "other secret": (
        "forged",
        lambda _: "Bearer " + Tokens(OTHER_SECRET).make(Actor("agent", "x"), NOW, timedelta(hours=1)),
    ),
    "alg none": ("forged", lambda _: f"Bearer {part({'alg': 'none'})}.{part(claims())}."),
    "alg none, signed": ("forged", lambda _: f"Bearer {part({'alg': 'None'})}.{part(claims())}.{part(b'x')}"),
    "changed claims": (
        "forged",
        lambda s: (
            "Bearer " + ".".join((signed(s).split(".")[0], part(claims(role="store_manager")), signed(s).split(".")[2]))
        ),
    ),
    "unknown role": ("forged", lambda s: "Bearer " + signed(s, role="owner")),
    "the system itself": ("forged", lambda s: "Bearer " + signed(s, role="system")),
    "a role with a name in it": ("forged", lambda s: "Bearer " + signed(s, role="agent/x")),
    "no name": ("forged", lambda s: "Bearer " + signed(s, sub="")),
    "name with control characters": ("forged", lambda s: "Bearer " + signed(s, sub="a\nb")),
    "name is no text": ("forged", lambda s: "Bearer " + signed(s, sub=7)),
    "never expires": ("forged", lambda s: "Bearer " + signed(s, exp=None)),
    "not a token": ("forged", lambda _: "Bearer x"),
    "garbage": ("forged", lambda _: "Bearer ..%%.\xff"),
    "deep header": ("forged", lambda _: f"Bearer {part(b'[' * 4000)}.{part(claims())}.x"),
    "list as header": ("forged", lambda _: f"Bearer {part([1])}.{part([1])}.x"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_token_is_refused_and_nothing_is_written(server: Server, name: str) -> None:
    """Each kind of missing, expired or forged token answers 401 with its rule, on reads and commands alike."""
    rule, make = BAD[name]
    headers = {"Authorization": make(server)} if make(server) else {}
    order = server.order()
    before = server.heads()
    answers = [
        server.send("GET", f"/v1/orders/{order}", None, headers),
        server.send("POST", "/v1/cases", b"{}", {**headers, "Idempotency-Key": f"bad-{name.replace(' ', '-')}"}),
    ]
    for answer in answers:
        assert (answer.status, answer.code) == (401, "unauthenticated")
        assert answer.field("Authorization")["rule"] == rule
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="aftersales"'
    assert server.heads() == before


def test_only_health_is_open(server: Server) -> None:
    """No address but health answers a stranger, the description neither; callbacks need a provider to be there."""
    for path in ("/healthz", "/readyz"):
        assert server.send("GET", path).status == 200
    routes = ("/metrics", "/docs", "/docs/start.js", "/v1/openapi.json", "/v1/lag", "/v1/cases", "/nowhere", "//")
    for path in routes:
        answer = server.send("GET", path)
        assert answer.status == 401, path
        assert answer.headers.get_content_type() == PROBLEM
    for path in ("/", "/console"):
        assert server.send("GET", path).headers["Location"] == "/console/", "pages, where people sign in"
    for path in ("/console/", "/console/cases", "/console/cases/export", "/console/nowhere"):
        assert server.send("GET", path).headers["Location"].startswith("/console/sign-in?"), path
    assert server.send("POST", "/v1/gateway/callbacks", b"{}").code == "not_found"


def test_a_token_expires_by_the_server_clock(fresh: Server) -> None:
    """A token that was accepted before stops working when its time is over."""
    token = fresh.embedded.tokens.make(Actor("agent", "x"), NOW, timedelta(minutes=5))
    headers = {"Authorization": f"Bearer {token}"}
    assert fresh.send("GET", "/v1/lag", None, headers).status == 200
    fresh.clock.set(NOW + timedelta(minutes=5))
    assert fresh.send("GET", "/v1/lag", None, headers).field("Authorization")["rule"] == "expired"


def test_a_secret_must_be_long() -> None:
    """A secret that could be guessed is not accepted."""
    with pytest.raises(ValueError, match="32"):
        Tokens("short")


@pytest.mark.parametrize("actor", [Actor("owner", "x"), Actor("agent", ""), Actor("agent", "a\x00b")])
def test_tokens_are_made_for_real_actors_only(actor: Actor) -> None:
    """No token is made that would not be accepted."""
    with pytest.raises(ValueError):
        Tokens(OTHER_SECRET).make(actor, NOW, timedelta(hours=1))


def test_operators_reads_and_the_clock_need_a_right(server: Server) -> None:
    """Metrics and the clock are for the store manager and for systems; all else may be read by every role."""
    for role in ("agent", "team_lead", "warehouse", "finance"):
        assert server.get("/metrics", role).code == "forbidden"
        answer = server.command("/v1/clock", {"now": NOW}, role, method="PUT")
        assert (answer.status, answer.code) == (403, "forbidden")
    case = server.case()
    for role in ("agent", "team_lead", "store_manager", "warehouse", "finance", "service"):
        assert server.get(f"/v1/cases/{case}", role).status == 200
        assert server.get("/v1/payouts", role).status == 200


def test_other_keys_sign_nothing_here(server: Server) -> None:
    """A key of the right length that is not ours does not open the door."""
    key = OctKey.import_key(OTHER_SECRET)
    token = jwt.encode({"alg": "HS256"}, claims(), key)
    assert server.send("GET", "/v1/lag", None, {"Authorization": f"Bearer {token}"}).status == 401

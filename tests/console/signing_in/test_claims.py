"""What a provider says of a person, read as our names and roles."""

from typing import Any

import pytest

from services.console.signing_in.claims import is_complete, name_of, roles_of
from services.console.signing_in.refused import TOLD_MAX, SignInRefused
from tests.console.signing_in.doors import settings_for

ISSUER = "https://id.example"


@pytest.mark.parametrize(
    ("claims", "claim", "name"),
    [
        ({"sub": "1", "name": "李小明", "preferred_username": "小李"}, "", "小李"),
        ({"sub": "1", "name": "李小明", "preferred_username": ""}, "", "李小明"),
        ({"sub": "1"}, "", "1"),
        ({"sub": "1", "preferred_username": " 小李 "}, "", "小李"),
        ({"sub": "1", "email": "li@shop.example", "name": "x"}, "email", "li@shop.example"),
    ],
)
def test_a_name_is_found(claims: dict[str, Any], claim: str, name: str) -> None:
    """The first claim that is there names the person, or the one that is set."""
    assert name_of(claims, settings_for(ISSUER, oidc_name_claim=claim)) == name


@pytest.mark.parametrize(
    ("claims", "claim"),
    [
        ({"sub": "1", "preferred_username": "x" * 101}, ""),
        ({"sub": "1", "preferred_username": "a\nb", "name": "fine"}, ""),
        ({"sub": "1", "preferred_username": ["a"]}, ""),
        ({"sub": "1", "preferred_username": "   "}, ""),
        ({"sub": "1", "name": "fine"}, "email"),
    ],
)
def test_a_name_that_cannot_be_is_refused(claims: dict[str, Any], claim: str) -> None:
    """Somebody whose name cannot be used is not called by another claim: names say who approved what."""
    with pytest.raises(SignInRefused) as refused:
        name_of(claims, settings_for(ISSUER, oidc_name_claim=claim))
    assert (refused.value.code, refused.value.status) == ("no_name", 403)


@pytest.mark.parametrize(
    ("claims", "claim", "prefix", "roles"),
    [
        ({"roles": ["agent", "cook"]}, "roles", "", ("agent",)),
        ({"roles": "finance agent"}, "roles", "", ("agent", "finance")),
        ({"roles": "warehouse"}, "roles", "", ("warehouse",)),
        ({"roles": ["finance", "store_manager", "finance"]}, "roles", "", ("store_manager", "finance")),
        ({"roles": ["aftersales:agent", "finance", 7]}, "roles", "aftersales:", ("agent",)),
        ({"realm_access": {"roles": ["agent"]}}, "realm_access.roles", "", ("agent",)),
        ({"https://shop.example/roles": ["agent"]}, "https://shop.example/roles", "", ("agent",)),
    ],
)
def test_roles_are_found(claims: dict[str, Any], claim: str, prefix: str, roles: tuple[str, ...]) -> None:
    """A list, or words, at a claim or within one, with or without prefix: only our roles count, the strongest first."""
    settings = settings_for(ISSUER, oidc_roles_claim=claim, oidc_role_prefix=prefix)
    assert roles_of(claims, "小李", settings) == roles


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"roles": None},
        {"roles": []},
        {"roles": {"agent": True}},
        {"roles": 7},
        {"roles": ["Agent", "service", "operator", "system"]},
        {"roles": "aftersales:agent"},
        {"roles": ["x" * 10_000]},
    ],
)
def test_without_a_role_nobody_works_here(claims: dict[str, Any]) -> None:
    """Who has none of the roles of people is told which claim lacks what, in few words."""
    with pytest.raises(SignInRefused) as refused:
        roles_of(claims, "小李", settings_for(ISSUER))
    assert (refused.value.code, refused.value.status) == ("no_role", 403)
    for text in (refused.value.zh, refused.value.en):
        assert "roles" in text
        assert "store_manager, team_lead, agent" in text
        assert len(text) < TOLD_MAX + 300


def test_it_is_known_whether_to_ask_for_more() -> None:
    """The provider is asked again only where the ID token lacks name or roles."""
    settings = settings_for(ISSUER)
    assert is_complete({"preferred_username": "小李", "roles": []}, settings)
    assert not is_complete({"preferred_username": "小李"}, settings)
    assert not is_complete({"name": "小李", "roles": ["agent"]}, settings)
    assert is_complete({"email": "x", "roles": ["agent"]}, settings_for(ISSUER, oidc_name_claim="email"))

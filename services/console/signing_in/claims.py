"""What a provider says of a person, read as a name and roles of ours."""

from collections.abc import Mapping
from typing import Any, Final

from services.console.signing_in import refused
from services.console.signing_in.links import ALL_ROLES
from services.kernel.http.identity import is_name
from services.kernel.settings import Settings

#: Where a name is looked for unless a claim is set, in this order.
NAMES: Final = ("preferred_username", "name", "sub")


def name_of(claims: Mapping[str, Any], settings: Settings) -> str:
    """What the person is called here: the first of the claims that is there. One that cannot be a name is refused and
    not skipped, or the same person would be somebody else tomorrow. Raises SignInRefused."""
    looked_for = (settings.oidc_name_claim,) if settings.oidc_name_claim else NAMES
    claim = next((claim for claim in looked_for if claims.get(claim)), looked_for[0])
    found = claims.get(claim)
    name = found.strip() if isinstance(found, str) else ""
    if not is_name(name):
        raise refused.without_name(claim, "" if found is None else str(found))
    return name


def roles_of(claims: Mapping[str, Any], name: str, settings: Settings) -> tuple[str, ...]:
    """The roles the person has here, the one with most rights first. Raises SignInRefused where there is none."""
    claim, prefix = settings.oidc_roles_claim, settings.oidc_role_prefix
    said = _texts(claim_at(claims, claim))
    ours = {one.removeprefix(prefix) for one in said if one.startswith(prefix)}
    roles = tuple(role for role in ALL_ROLES if role in ours)
    if not roles:
        raise refused.without_role(name, claim, ", ".join(said), ", ".join(prefix + role for role in ALL_ROLES))
    return roles


def is_complete(claims: Mapping[str, Any], settings: Settings) -> bool:
    """Whether name and roles are in there, so that nothing more need be asked."""
    named = any(claims.get(claim) for claim in (settings.oidc_name_claim or NAMES[0],))
    return named and claim_at(claims, settings.oidc_roles_claim) is not None


def claim_at(claims: Mapping[str, Any], path: str) -> object:
    """The claim that is called so, else the one found by going down at each dot; None where there is none."""
    if path in claims:
        return claims[path]
    found: object = claims
    for part in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def _texts(claim: object) -> list[str]:
    """A list of texts, or one text with spaces between them."""
    if isinstance(claim, str):
        return claim.split()
    return [one for one in claim if isinstance(one, str)] if isinstance(claim, list) else []

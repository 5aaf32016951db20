"""How parties are written: `production`, or `courier/YTO` where the party has a name (`domain.md` §5)."""

from contracts.policy import Party, Policy
from services.kernel.refusal import Refusal, invalid


def party_of(policy: Policy, text: str, field: str) -> Party:
    """The policy's party of what was written, which may still lack its name.

    Raises `Refusal` `invalid` for one that the policy does not know, and for a name that is blank or does not
    belong there.
    """
    code, slash, name = text.partition("/")
    party = policy.parties.get(code)
    if party is None:
        raise invalid(field, "unknown_party", f"没有责任方“{code}”", f"there is no party “{code}”")
    if slash and not party.named:
        raise invalid(field, "unnamed_party", f"责任方“{code}”不带名字", f"the party “{code}” takes no name")
    if slash and (not name or name != name.strip()):
        raise invalid(field, "blank_name", "责任方名字为空或前后有空格", "the name is blank, or padded with spaces")
    return party


def must_be_named(policy: Policy, text: str) -> None:
    """Raises `Refusal` `party_name_required` for a party that has names and was written without."""
    if policy.parties[text.partition("/")[0]].named and "/" not in text:
        raise Refusal("party_name_required", party=text)

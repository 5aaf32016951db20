"""Who acts: a role and a name, as in `agent/小李`."""

from typing import NamedTuple

#: From the least to the most authority; each may what the ones before it may (`domain.md` §3 Roles).
LADDER = ("agent", "team_lead", "store_manager")
#: Every role that a token may carry. `service` is another system, or the buyer's app.
ROLES = (*LADDER, "warehouse", "finance", "service")
#: Roles that people of the shop have: their first command answers the buyer.
STAFF = (*LADDER, "warehouse", "finance")
#: The role of whoever works at the command line, beside the database. No token carries it.
OPERATOR = "operator"
#: The role under which a service acts by itself, in reaction to an event or to time passing.
SYSTEM = "system"


class Actor(NamedTuple):
    """A role and the name of who has it."""

    role: str
    name: str

    def __str__(self) -> str:
        return f"{self.role}/{self.name}"

    @property
    def rank(self) -> int:
        """Place on the ladder, -1 off it."""
        return LADDER.index(self.role) if self.role in LADDER else -1

    @classmethod
    def parse(cls, text: str) -> "Actor":
        """The actor of `role/name`; raises `ValueError` for anything else."""
        role, _, name = text.partition("/")
        if not name or role not in (*ROLES, SYSTEM):
            raise ValueError(f"{text!r} is not role/name; roles: {', '.join(ROLES)}")
        return cls(role, name)

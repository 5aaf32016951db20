"""What a rule of cases looks at, and the checks that several rules share, in the order of `domain.md` §3."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.policy import Policy
from services.cases.domain.case import Case
from services.cases.domain.file import OrderFile
from services.kernel.actor import Actor
from services.kernel.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Situation:
    """A case in its order's file, under the policy in force, at a time, and who acts."""

    policy: Policy
    file: OrderFile
    case: Case
    now: datetime
    actor: Actor

    @property
    def case_id(self) -> str:
        return self.case.case_id

    @property
    def remedies(self) -> tuple[str, ...]:
        """What the case's problem allows."""
        return tuple(self.policy.problems[self.case.problem].remedies)

    def require_remedy(self, *remedies: str) -> None:
        """Refuse what the problem does not allow: one of these must be in its list."""
        if not set(remedies) & set(self.remedies):
            self.refuse_remedy(remedies[0])

    def refuse_remedy(self, remedy: str) -> None:
        raise Refusal("remedy_not_allowed", remedy=remedy, problem=self.case.problem, allowed=self.remedies)

    def require_evidence(self) -> None:
        """Where the problem is marked E, a photo or video must have been accepted."""
        if self.policy.problems[self.case.problem].evidence and not any(
            one.accepted and one.kind in ("photo", "video") for one in self.case.evidence.values()
        ):
            raise Refusal("evidence_required", problem=self.case.problem)


def stuck(state: str, **params: Any) -> Refusal:
    """The state of a thing does not allow it."""
    return Refusal("invalid_transition", state=state, **params)

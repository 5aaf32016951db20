"""What playing a scenario showed: the differences to what must hold, and what was read at the end."""

from pathlib import Path
from typing import Any

import msgspec

from services.scenarios.format import Mistake

#: Parts of a case that results leave out: long, and said shorter elsewhere.
_LEFT_OUT = ("timeline", "next_actions")


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as the file says: the step or expectation, what was expected, and what came."""

    where: str
    expected: Any = None
    got: Any = None
    zh: str
    en: str

    @classmethod
    def of_mistake(cls, mistake: Mistake) -> "Difference":
        """A mistake in the file itself, for which it could not be played."""
        return cls(where=mistake.where, zh=mistake.zh, en=mistake.en)


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What the API said at the end, by label; amounts in fen, summed over all cases of the file."""

    cases: dict[str, dict[str, Any]] = {}
    settlements: dict[str, dict[str, Any]] = {}
    payouts: list[dict[str, Any]] = []
    losses: dict[str, int] = {}
    suspense_fen: int = 0
    recovered: dict[str, int] = {}
    events: dict[str, list[str]] = {}

    @classmethod
    def of(cls, documents: dict[str, dict[str, Any]]) -> "Reading":
        """Sum up the documents of `GET /v1/cases/{id}`, given by label."""
        return cls(
            cases=documents,
            settlements={label: case["settlement"] for label, case in documents.items()},
            payouts=[
                {"case": label, **{key: payout[key] for key in ("kind", "amount_fen", "status")}}
                for label, case in documents.items()
                for payout in case["payouts"]
            ],
            losses={party: fen for party, fen in _sum("losses", documents).items() if fen},
            suspense_fen=sum(case["suspense_fen"] for case in documents.values()),
            recovered=_sum("recovered", documents),
            events={label: [event["type"] for event in case["timeline"]] for label, case in documents.items()},
        )


class ScenarioResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one file fared."""

    file: str
    scenario: str
    title: str
    ok: bool
    seconds: float
    differences: list[Difference] = []
    read: Reading = Reading()

    @classmethod
    def unplayable(cls, path: Path, differences: list[Difference]) -> "ScenarioResult":
        """The result of a file that could not be played at all."""
        return cls(file=str(path), scenario=path.stem, title="", ok=False, seconds=0, differences=differences)

    def summary(self) -> dict[str, Any]:
        """The result for machines; a case's timeline is told by its event types only."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        for case in told["read"]["cases"].values():
            for key in _LEFT_OUT:
                case.pop(key, None)
        return told


def _sum(key: str, documents: dict[str, dict[str, Any]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for case in documents.values():
        for party, fen in case[key].items():
            total[party] = total.get(party, 0) + fen
    return total

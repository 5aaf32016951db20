"""What was planted beside what was reported: every fault must be found, and nothing else."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from services.sample.year import Planted


class Reported(msgspec.Struct, frozen=True):
    """A discrepancy that finance reports, as its list tells it."""

    discrepancy: str
    kind: str
    channel: str
    day: str
    expected_fen: int
    found_fen: int
    order_id: str = ""
    case_id: str = ""


class Refused(msgspec.Struct, frozen=True):
    """A file of a channel that was not taken in: why, and each mistake in it."""

    file: str
    code: str
    mistakes: Sequence[str]


class Found(msgspec.Struct, frozen=True):
    """A planted fault, and the discrepancy that it was found as."""

    planted: Planted
    reported: Reported


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, what was not, and what was reported or refused that nobody planted."""

    found: Sequence[Found] = ()
    spoiled: Sequence[Planted] = ()
    """Faults of files, which were refused."""
    missed: Sequence[Planted] = ()
    others: Sequence[Reported] = ()
    wrongly_refused: Sequence[Refused] = ()

    @property
    def ok(self) -> bool:
        """Whether every fault was found, and nothing else."""
        return not (self.missed or self.others or self.wrongly_refused)


def reported_of(items: Iterable[dict[str, Any]]) -> Sequence[Reported]:
    """The discrepancies of a list, by their ids."""
    return sorted((msgspec.convert(item, Reported) for item in items), key=lambda one: (one.day, one.discrepancy))


def compared(planted: Iterable[Planted], reported: Iterable[Reported], refused: Sequence[Refused] = ()) -> Outcome:
    """Put each fault beside the discrepancy of its kind about its order; one is found by one. That of a file is found
    where the file was refused."""
    left = list(reported)
    refused_files = {one.file for one in refused}
    found: list[Found] = []
    spoiled: list[Planted] = []
    missed: list[Planted] = []
    for fault in planted:
        match = next((one for one in left if _is_about(one, fault)), None)
        if fault.file in refused_files:
            spoiled.append(fault)
        elif match is None:
            missed.append(fault)
        else:
            left.remove(match)
            found.append(Found(fault, match))
    expected = {fault.file for fault in spoiled}
    wrongly = [one for one in refused if one.file not in expected]
    return Outcome(found=found, spoiled=spoiled, missed=missed, others=left, wrongly_refused=wrongly)


def _is_about(reported: Reported, fault: Planted) -> bool:
    return not fault.file and reported.kind == fault.kind and reported.order_id == fault.order_id

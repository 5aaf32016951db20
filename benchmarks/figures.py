"""Figures beside their peers', ratios and aims, and how they are printed."""

import os
import platform
import sqlite3
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec


class Rounds(msgspec.Struct, frozen=True):
    """One thing measured several times. Other work on the machine only ever makes it slower, hence the spread."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """Half of the distance between the smallest and the largest, as a share of the median."""
        return (max(self.values) - min(self.values)) / 2 / self.median if self.median else 0.0


class Figure(msgspec.Struct, frozen=True):
    """A measured figure; with a peer's figure of the same rounds it has a ratio, and maybe an aim for that.

    `at_most`: the ratio is to stay below the aim, not above it.
    """

    section: str
    name: str
    unit: str
    ours: Rounds
    peer: str = ""
    theirs: Rounds | None = None
    aim: float = 0.0
    at_most: bool = False

    @property
    def ratio(self) -> float:
        return self.ours.median / self.theirs.median if self.theirs else 0.0

    @property
    def holds(self) -> bool:
        return self.ratio <= self.aim if self.at_most else self.ratio >= self.aim


class Report:
    """Collects figures and prints them as they come."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self.notes: list[tuple[str, str]] = []

    def section(self, title: str) -> None:
        """Begin a section."""
        print(f"\n== {title}", flush=True)

    def add(self, figure: Figure) -> None:
        """Take a figure, and print it with its ratio and aim."""
        self.figures.append(figure)
        print(line(figure), flush=True)

    def note(self, section: str, text: str) -> None:
        """Say something about a section: what bounds it, what was assumed."""
        self.notes.append((section, text))
        print(f"   {text}", flush=True)

    def as_json(self) -> bytes:
        """Everything, for machines."""
        figures = [
            {**msgspec.structs.asdict(one), "ratio": one.ratio, "holds": one.holds if one.aim else None}
            for one in self.figures
        ]
        notes = [{"section": section, "text": text} for section, text in self.notes]
        return msgspec.json.encode({"machine": machine(), "figures": figures, "notes": notes})


def line(figure: Figure) -> str:
    """One figure as a line of text."""
    text = f"{figure.name:<46} {_measured(figure.ours, figure.unit)}"
    if figure.theirs is not None:
        text += f"   {figure.peer}: {_measured(figure.theirs, figure.unit)}   ratio {figure.ratio:.2f}"
    if figure.aim:
        sign, verdict = "≤" if figure.at_most else "≥", "holds" if figure.holds else "MISSED"
        text += f"   aim {sign} {figure.aim:g}: {verdict}"
    return text


def _measured(rounds: Rounds, unit: str) -> str:
    value = rounds.median
    shown = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    spread = f" ±{rounds.spread:.0%}" if len(rounds.values) > 1 else ""
    return f"{shown} {unit}{spread}"


def shares(parts: Mapping[str, float], least: float = 0.02) -> str:
    """Shares as text, the largest first, the small ones together."""
    shown = [f"{name} {share:.0%}" for name, share in parts.items() if share >= least]
    rest = sum(share for share in parts.values() if share < least)
    return ", ".join([*shown, f"rest {rest:.0%}"] if rest else shown)


def interleaved(rounds: int, *measures: Callable[[], float]) -> list[Rounds]:
    """Measure several things in turn, round after round, so that what else the machine does hits all of them."""
    values: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for measure, seen in zip(measures, values, strict=True):
            seen.append(measure())
    return [Rounds(tuple(seen)) for seen in values]


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.machine()}",
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

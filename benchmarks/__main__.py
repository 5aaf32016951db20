"""`python -m benchmarks [--quick] [--json FILE] [names…]`: every figure beside its peer's, ratio, aim and bound."""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import appends, commands, folds, growth, latency
from benchmarks.figures import Report, machine
from benchmarks.sizes import FULL, QUICK, TINY, Sizes

#: Measures one thing; the folder is where it may keep something, and is not there yet.
Section = Callable[[Report, Path, Sizes], None]
SECTIONS: Mapping[str, Section] = {
    "commands": commands.run,
    "appends": appends.run,
    "folds": folds.run,
    "latency": latency.run,
    "growth": growth.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections that are named, or all."""
    return run(SECTIONS, arguments, "benchmarks", __doc__)


def run(
    sections: Mapping[str, Section],
    arguments: Sequence[str] | None,
    prog: str,
    description: str | None,
    parents: Sequence[argparse.ArgumentParser] = (),
    full: Sizes = FULL,
) -> int:
    """Run those of the sections that the arguments name, or all. `parents` have options of their own; `full` sizes are
    those where no smaller ones are asked for."""
    parser = argparse.ArgumentParser(prog=prog, description=description, parents=parents)
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of: {', '.join(sections)}")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="fewer and smaller rounds, about two minutes")
    size.add_argument("--tiny", action="store_true", help="only show that everything runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file as well")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - sections.keys():
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are: {', '.join(sections)}")
    sizes = QUICK if given.quick else TINY if given.tiny else full
    report = Report()
    began = time.perf_counter()
    print(", ".join(f"{name} {value}" for name, value in machine().items()), f"— {sizes.rounds} rounds, medians")
    place = Path("var").absolute()  # a real disk, as the services' own data
    place.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmarks-", dir=place) as folder:
        for name in given.names or sections:
            sections[name](report, Path(folder) / name, sizes)
    print(f"\n{time.perf_counter() - began:.0f} s")
    if given.json:
        given.json.write_bytes(report.as_json())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

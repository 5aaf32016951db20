"""`python -m benchmarks.console [--quick|--tiny] [--json FILE] [names…]`: pages beside the JSON they are made of."""

from collections.abc import Mapping, Sequence

from benchmarks.__main__ import Section, run
from benchmarks.console import growth, pages

SECTIONS: Mapping[str, Section] = {"pages": pages.run, "growth": growth.run}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections that are named, or all."""
    return run(SECTIONS, arguments, "benchmarks.console", __doc__)


if __name__ == "__main__":
    raise SystemExit(main())

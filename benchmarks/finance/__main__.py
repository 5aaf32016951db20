"""`python -m benchmarks.finance [--quick|--tiny] [--json FILE] [names…]`: finance, beside plain ways to do the same."""

from collections.abc import Mapping, Sequence

from benchmarks.__main__ import Section, run
from benchmarks.finance import reconciliation

SECTIONS: Mapping[str, Section] = {
    "reconciliation": reconciliation.run,
    "stored": reconciliation.run_stored,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections that are named, or all."""
    return run(SECTIONS, arguments, "benchmarks.finance", __doc__)


if __name__ == "__main__":
    raise SystemExit(main())

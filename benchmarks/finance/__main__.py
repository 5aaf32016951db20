"""`python -m benchmarks.finance [--quick|--tiny] [--on DATABASE] [--json FILE] [names…]`: finance beside plain ways."""

import argparse
from collections.abc import Mapping, Sequence
from functools import partial

from benchmarks.__main__ import Section, run
from benchmarks.finance import reconciliation, statements
from benchmarks.replay.logs import DATABASES
from services.stack.postgres import PostgresCluster

SECTIONS: Mapping[str, Section] = {
    "reconciliation": reconciliation.run,
    "stored": reconciliation.run_stored,
    "statements": statements.run,
}


def main(arguments: Sequence[str] | None = None, postgres: PostgresCluster | None = None) -> int:
    """Run the sections that are named, or all; statements on this PostgreSQL, if it runs already."""
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("--on", choices=DATABASES, help="statements on this database only")
    given, _ = own.parse_known_args(arguments)
    kinds = [given.on] if given.on else DATABASES
    sections: Mapping[str, Section] = {
        **SECTIONS,
        "statements": partial(statements.run, kinds=kinds, postgres=postgres),
    }
    return run(sections, arguments, "benchmarks.finance", __doc__, [own])


if __name__ == "__main__":
    raise SystemExit(main())

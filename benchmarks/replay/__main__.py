"""`python -m benchmarks.replay [--quick|--tiny] [--events N] [--on DATABASE] [--json FILE] [names…]`: whole logs."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.__main__ import run
from benchmarks.figures import Report
from benchmarks.replay import live, walks
from benchmarks.replay.logs import DATABASES, LEAST_EVENTS, Logs
from benchmarks.sizes import REPLAY, Sizes
from benchmarks.stack.servers import Servers
from services.stack.postgres import PostgresCluster

SECTIONS: Mapping[str, Callable[[Logs, Report, Path, Sizes], None]] = {
    "fold": walks.fold,
    "verify": walks.verify,
    "rebuild": walks.rebuild,
    "library": walks.library,
    "live": live.run,
}


def main(arguments: Sequence[str] | None = None, postgres: PostgresCluster | None = None) -> int:
    """Run the sections that are named, or all, on SQLite and on one PostgreSQL: on this one, if it runs already."""
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument(
        "--events", type=_events, metavar="N", help="length of the longest log; a tenth of it is measured too"
    )
    own.add_argument("--on", choices=DATABASES, help="this database only")
    given, _ = own.parse_known_args(arguments)
    databases = [given.on] if given.on else DATABASES
    with Servers(Path("var").absolute(), postgres) as servers, Logs(servers, databases, given.events) as logs:
        sections = {name: partial(section, logs) for name, section in SECTIONS.items()}
        return run(sections, arguments, "benchmarks.replay", __doc__, [own], REPLAY)


def _events(text: str) -> int:
    number = int(text)
    if number < LEAST_EVENTS:
        raise argparse.ArgumentTypeError(f"at least {LEAST_EVENTS}")
    return number


if __name__ == "__main__":
    raise SystemExit(main())

"""`python -m benchmarks.stack [--quick|--tiny] [--json FILE] [names…]`: the services apart, beside their peers."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.__main__ import run
from benchmarks.figures import Report
from benchmarks.sizes import Sizes
from benchmarks.stack import appends, commands, consumer, growth, latency, relay
from benchmarks.stack.servers import Servers
from services.stack.kafka import KafkaCluster
from services.stack.postgres import PostgresCluster

SECTIONS: Mapping[str, Callable[[Servers, Report, Path, Sizes], None]] = {
    "commands": commands.run,
    "appends": appends.run,
    "relay": relay.run,
    "consumer": consumer.run,
    "latency": latency.run,
    "growth": growth.run,
}


def main(
    arguments: Sequence[str] | None = None, postgres: PostgresCluster | None = None, kafka: KafkaCluster | None = None
) -> int:
    """Run the sections that are named, or all, on one PostgreSQL and one Kafka: on these, if they run already."""
    with Servers(Path("var").absolute(), postgres, kafka) as servers:
        sections = {name: partial(section, servers) for name, section in SECTIONS.items()}
        return run(sections, arguments, "benchmarks.stack", __doc__)


if __name__ == "__main__":
    raise SystemExit(main())

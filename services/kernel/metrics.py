"""What is counted and measured for operators (Prometheus): the table of every metric of the kernel.

No case or order is ever a label. What only one service knows of, it declares itself, as a `Measure` of its part. What
needs the database is looked up beforehand (`services.kernel.gauges`), so that answering a scrape waits for nothing.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

#: Seconds. A command is on disk in a few milliseconds, a list in tens; what takes seconds waits for somebody.
REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

COMMANDS = Counter("aftersales_commands_total", "Commands by outcome", ["service", "command", "outcome"])
REQUEST_SECONDS = Histogram(
    "aftersales_request_seconds",
    "HTTP requests: how long they took, by route template and class of status",
    ["service", "route", "method", "status"],
    buckets=REQUEST_BUCKETS,
)
EVENTS_HEARD = Counter("aftersales_events_heard_total", "Events of other services handled", ["service", "source"])
PUBLISHED = Counter("aftersales_published_total", "Events that the broker has acknowledged", ["service"])
GATEWAY_CALLS = Counter("aftersales_gateway_calls_total", "Calls to the payment gateway", ["call", "outcome"])

RELAY_AGE = Gauge("aftersales_relay_age_seconds", "Age of the oldest event that is not published", ["service"])
LAG_EVENTS = Gauge("aftersales_consumer_lag_events", "Events that a service has not handled", ["service", "source"])
LAG_SECONDS = Gauge(
    "aftersales_consumer_lag_seconds", "Age of the oldest event that a service has not handled", ["service", "source"]
)
PARTITIONS_STOPPED = Gauge(
    "aftersales_consumer_partitions_stopped",
    "Partitions of this process of which nothing is handled until somebody did something",
    ["service", "source"],
)
DEAD_LETTERS = Gauge(
    "aftersales_dead_letters", "Messages that were given up and wait for somebody", ["service", "cause"]
)
PARKED_STREAMS = Gauge("aftersales_parked_streams", "Orders that wait behind a failed event", ["service", "cause"])
LEADER = Gauge("aftersales_leader", "1 where this process holds the lease", ["service", "lease"])
DATABASE_UP = Gauge("aftersales_database_up", "0 while the database cannot be read; its gauges then stand", ["service"])

"""What is counted for operators (Prometheus). No case or order is ever a label."""

from prometheus_client import Counter

COMMANDS = Counter("aftersales_commands_total", "Commands by outcome", ["service", "command", "outcome"])
EVENTS_HEARD = Counter("aftersales_events_heard_total", "Events of other services handled", ["service", "source"])
GATEWAY_CALLS = Counter("aftersales_gateway_calls_total", "Calls to the payment gateway", ["call", "outcome"])

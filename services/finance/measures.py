"""What operators see of the books."""

from typing import Final

from prometheus_client import Gauge

from services.kernel.gauges import Measure

#: Only what no month has closed over: a sum over all time would take longer each day.
_OPEN: Final = "month > (SELECT coalesce(max(month), '') FROM period_view)"

UNBALANCED: Final = Measure(
    Gauge("aftersales_ledger_unbalanced_fen", "Debits less credits of open months, in fen: never but 0", ["service"]),
    f"SELECT 'finance' AS service, coalesce(sum(amount_fen), 0) AS fen FROM postings WHERE {_OPEN}",
)
MISPOSTED: Final = Measure(
    Gauge("aftersales_misposted_orders", "Orders with an event that contradicts itself", ["service"]),
    "SELECT 'finance' AS service, count(*) AS n FROM order_fact_view WHERE misposted <> 0",
)
DISCREPANCIES: Final = Measure(
    Gauge("aftersales_discrepancies", "Discrepancies that are not closed, by kind", ["kind"]),
    "SELECT kind, count(*) AS n FROM discrepancy_view WHERE state = 'open' GROUP BY kind",
)

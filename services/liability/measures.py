"""What operators see of losses."""

from prometheus_client import Gauge

from services.kernel.gauges import Measure

SUSPENSE = Measure(
    Gauge("aftersales_suspense_fen", "Losses that nobody is charged with yet, in fen", ["service"]),
    "SELECT 'liability' AS service, coalesce(sum(suspense_fen), 0) AS fen FROM loss_view WHERE suspense_fen <> 0",
)

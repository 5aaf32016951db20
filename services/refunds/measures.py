"""What operators see of payouts."""

from prometheus_client import Gauge

from services.kernel.gauges import Measure

PAYOUTS = Measure(
    Gauge("aftersales_payouts", "Payouts by state", ["state"]),
    "SELECT status AS state, count(*) AS n FROM payout_view GROUP BY status",
)

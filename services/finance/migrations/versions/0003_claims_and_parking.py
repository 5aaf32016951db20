"""Claims, leases and parked messages: for consumers in several processes, and behind a broker."""

from alembic import op

from services.kernel.migrations import create_claims_and_parking

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    create_claims_and_parking(op)

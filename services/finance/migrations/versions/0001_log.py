"""The log and what is written together with it."""

from alembic import op

from services.kernel.migrations import create_log_tables

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_log_tables(op)

"""The log only grows: the database refuses to change or delete events."""

from alembic import op

from services.kernel.migrations import forbid_changes

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    forbid_changes(op)

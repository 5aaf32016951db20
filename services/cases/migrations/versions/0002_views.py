"""The read tables."""

import sqlalchemy as sa
from alembic import op

from services.kernel.migrations import text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "case_view",
        sa.Column("case_id", text, primary_key=True),
        sa.Column("order_id", text, nullable=False),
        sa.Column("opened_at", text, nullable=False),
        sa.Column("updated_at", text, nullable=False),
        sa.Column("status", text, nullable=False),
        sa.Column("problem", text, nullable=False),
        sa.Column("promise", text, nullable=False),
        sa.Column("urgent", sa.Integer, nullable=False),
        sa.Column("assignee", text, nullable=False),
        sa.Column("approver", text, nullable=False),
        sa.Column("parties", text, nullable=False),
        sa.Column("waits_for", text, nullable=False),
        sa.Column("next_due_at", text),
    )
    op.create_index("case_by_time", "case_view", ["opened_at", "case_id"])
    op.create_index("case_by_status", "case_view", ["status", "opened_at", "case_id"])
    op.create_index("case_by_problem", "case_view", ["problem", "opened_at", "case_id"])
    op.create_index("case_by_assignee", "case_view", ["assignee", "opened_at", "case_id"])
    op.create_index("case_by_order", "case_view", ["order_id"])
    op.create_index("case_by_due", "case_view", ["next_due_at"])
    op.create_table(
        "stock_view",
        sa.Column("sku", text, primary_key=True),
        sa.Column("available", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("awaited", sa.BigInteger, nullable=False),
    )

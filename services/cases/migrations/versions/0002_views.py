"""The read tables."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "case_view",
        sa.Column("case_id", sa.Text, primary_key=True),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("opened_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("promise", sa.Text, nullable=False),
        sa.Column("urgent", sa.Integer, nullable=False),
        sa.Column("assignee", sa.Text, nullable=False),
        sa.Column("approver", sa.Text, nullable=False),
        sa.Column("parties", sa.Text, nullable=False),
        sa.Column("waits_for", sa.Text, nullable=False),
        sa.Column("next_due_at", sa.Text),
    )
    op.create_index("case_by_time", "case_view", ["opened_at", "case_id"])
    op.create_index("case_by_status", "case_view", ["status", "opened_at", "case_id"])
    op.create_index("case_by_problem", "case_view", ["problem", "opened_at", "case_id"])
    op.create_index("case_by_assignee", "case_view", ["assignee", "opened_at", "case_id"])
    op.create_index("case_by_order", "case_view", ["order_id"])
    op.create_index("case_by_due", "case_view", ["next_due_at"])
    op.create_table(
        "stock_view",
        sa.Column("sku", sa.Text, primary_key=True),
        sa.Column("available", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("awaited", sa.BigInteger, nullable=False),
    )

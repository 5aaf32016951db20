"""Rows of bills, and which of them are matched by what the ledger holds."""

import sqlalchemy as sa
from alembic import op

from services.kernel.migrations import text

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "bill_row",
        sa.Column("channel", text, primary_key=True),
        sa.Column("row_key", text, primary_key=True),
        sa.Column("bill", text, nullable=False),
        sa.Column("line", sa.BigInteger, nullable=False),
        sa.Column("part", text, nullable=False),
        sa.Column("merchant", text, nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("order_ref", text, nullable=False),
        sa.Column("refund_ref", text, nullable=False),
        sa.Column("channel_order_ref", text, nullable=False),
        sa.Column("channel_ref", text, nullable=False),
        sa.Column("amount_fen", sa.BigInteger, nullable=False),
        sa.Column("gross_fen", sa.BigInteger, nullable=False),
        sa.Column("fee_fen", sa.BigInteger, nullable=False),
        sa.Column("currency", text, nullable=False),
        sa.Column("status", text, nullable=False),
        sa.Column("channel_status", text, nullable=False),
        sa.Column("occurred_at", text, nullable=False),
        sa.Column("day", text, nullable=False),
        sa.Column("balance_fen", sa.BigInteger, nullable=True),
        sa.Column("raw", text, nullable=False),
    )
    op.create_index("bill_row_by_day", "bill_row", ["channel", "day"])
    op.create_index("bill_row_by_bill", "bill_row", ["bill", "line"])
    op.create_index("bill_row_by_order", "bill_row", ["order_ref"])
    op.create_index("bill_row_by_refund", "bill_row", ["refund_ref"])
    op.create_table(
        "matched_row",
        sa.Column("channel", text, primary_key=True),
        sa.Column("row_key", text, primary_key=True),
        sa.Column("event_id", text, nullable=False),
        sa.Column("line", sa.BigInteger, nullable=False),
        sa.Column("rule", text, nullable=False),
        sa.Column("run", text, nullable=False),
    )
    op.create_index("matched_by_posting", "matched_row", ["event_id", "line"])

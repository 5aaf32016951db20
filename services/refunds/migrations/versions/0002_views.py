"""The read tables."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "payout_view",
        sa.Column("payout", sa.Text, primary_key=True),
        sa.Column("case_id", sa.Text, nullable=False),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("amount_fen", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("channel_ref", sa.Text, nullable=False),
        sa.Column("channel_refund_id", sa.Text, nullable=False),
        sa.Column("requested_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
    )
    op.create_index("payout_by_time", "payout_view", ["requested_at", "payout"])
    op.create_index("payout_by_status", "payout_view", ["status", "requested_at", "payout"])
    op.create_index("payout_by_case", "payout_view", ["case_id"])
    op.create_table(
        "settlement_view",
        sa.Column("case_id", sa.Text, primary_key=True),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("goods_fen", sa.BigInteger, nullable=False),
        sa.Column("compensation_deducted_fen", sa.BigInteger, nullable=False),
        sa.Column("price_difference_deducted_fen", sa.BigInteger, nullable=False),
        sa.Column("refund_fen", sa.BigInteger, nullable=False),
        sa.Column("carried_deduction_fen", sa.BigInteger, nullable=False),
        sa.Column("freight_advanced_fen", sa.BigInteger, nullable=False),
        sa.Column("insurance_deducted_fen", sa.BigInteger, nullable=False),
        sa.Column("freight_reimbursed_fen", sa.BigInteger, nullable=False),
        sa.Column("freight_pending", sa.Integer, nullable=False),
        sa.Column("net_fen", sa.BigInteger, nullable=False),
    )
    op.create_index("settlement_by_order", "settlement_view", ["order_id"])
    op.create_table(
        "exception_view",
        sa.Column("case_id", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("amount_fen", sa.BigInteger, nullable=False),
        sa.Column("raised_at", sa.Text, nullable=False),
    )
    op.create_index("exception_by_time", "exception_view", ["raised_at", "case_id", "number"])

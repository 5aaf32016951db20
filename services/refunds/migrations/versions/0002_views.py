"""The read tables."""

import sqlalchemy as sa
from alembic import op

from services.kernel.migrations import text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "payout_view",
        sa.Column("payout", text, primary_key=True),
        sa.Column("case_id", text, nullable=False),
        sa.Column("order_id", text, nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("item", text, nullable=False),
        sa.Column("amount_fen", sa.BigInteger, nullable=False),
        sa.Column("status", text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("reason", text, nullable=False),
        sa.Column("channel_ref", text, nullable=False),
        sa.Column("channel_refund_id", text, nullable=False),
        sa.Column("requested_at", text, nullable=False),
        sa.Column("updated_at", text, nullable=False),
    )
    op.create_index("payout_by_time", "payout_view", ["requested_at", "payout"])
    op.create_index("payout_by_status", "payout_view", ["status", "requested_at", "payout"])
    op.create_index("payout_by_case", "payout_view", ["case_id"])
    op.create_table(
        "settlement_view",
        sa.Column("case_id", text, primary_key=True),
        sa.Column("order_id", text, nullable=False),
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
        sa.Column("case_id", text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("order_id", text, nullable=False),
        sa.Column("kind", text, nullable=False),
        sa.Column("amount_fen", sa.BigInteger, nullable=False),
        sa.Column("raised_at", text, nullable=False),
    )
    op.create_index("exception_by_time", "exception_view", ["raised_at", "case_id", "number"])

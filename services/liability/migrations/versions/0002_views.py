"""The read tables."""

import sqlalchemy as sa
from alembic import op

from services.kernel.migrations import text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "loss_view",
        sa.Column("case_id", text, primary_key=True),
        sa.Column("order_id", text, nullable=False),
        sa.Column("net_fen", sa.BigInteger, nullable=False),
        sa.Column("suspense_fen", sa.BigInteger, nullable=False),
    )
    op.create_index("loss_by_order", "loss_view", ["order_id"])
    op.create_table(
        "charge_view",
        sa.Column("case_id", text, primary_key=True),
        sa.Column("party", text, primary_key=True),
        sa.Column("order_id", text, nullable=False),
        sa.Column("charged_fen", sa.BigInteger, nullable=False),
        sa.Column("recovered_fen", sa.BigInteger, nullable=False),
    )
    op.create_index("charge_by_party", "charge_view", ["party", "case_id"])
    op.create_index("charge_by_order", "charge_view", ["order_id"])

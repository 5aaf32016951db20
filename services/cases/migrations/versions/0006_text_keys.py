"""The keys of free texts, by order. One that was destroyed keeps its number, so that no other key gets it."""

import sqlalchemy as sa
from alembic import op

from services.kernel.migrations import text

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "text_keys",
        sa.Column("order_id", text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("secret", sa.LargeBinary),
        sa.Column("erased_at", text),
        sqlite_with_rowid=False,
    )

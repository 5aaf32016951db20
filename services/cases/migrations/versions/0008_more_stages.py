"""What is to be done next in a case tells of more than before: the rows are written anew."""

from alembic import op

from services.kernel.migrations import write_tables_anew

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    write_tables_anew(op, "case_view", "reference_view", "stock_view")

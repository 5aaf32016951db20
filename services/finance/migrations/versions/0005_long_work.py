"""What operations and rebuilds keep of themselves while they are under way."""

from alembic import op

from services.kernel.migrations import create_long_work

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    create_long_work(op)

"""What work lists and the search ask for."""

import sqlalchemy as sa
from alembic import op

from services.kernel.migrations import text, write_tables_anew

revision = "0007"
down_revision = "0006"

#: What departments work off, as it was when this revision was made: an index each. One for every stage made writing a
#: row take half as long again.
QUEUES = (
    "compensation_to_pay",
    "deposit_awaited",
    "return_to_inspect",
    "reshipment_backordered",
    "reshipment_released",
)
#: Indexes that hold few rows, by name: their columns beside the order of lists, and which rows. Lists ask for these
#: conditions word for word, and mostly of open cases: only so does each database know that such an index will do.
FEW = {
    **{stage: (["status"], f"stages LIKE '%|{stage}|%'") for stage in QUEUES},
    "waiting": (["status"], "waits_for <> ''"),
    "approver": (["status"], "approver <> ''"),
    "urgent": (["status"], "urgent = 1"),
    "broken": (["status"], "promise = 'broken'"),
    "open_by_assignee": (["assignee"], "status = 'open'"),
    "open_by_problem": (["problem"], "status = 'open'"),
}


def upgrade() -> None:
    op.add_column("case_view", sa.Column("stages", text, nullable=False, server_default=""))
    if op.get_bind().dialect.name == "postgresql":
        # From here on a process of the release before cannot write rows that lack it: it stays where it is until the
        # next one takes over. (A data folder is never worked on by two.)
        op.alter_column("case_view", "stages", server_default=None)
    for name, (first, condition) in FEW.items():
        _index(f"case_{name}", [*first, "opened_at", "case_id"], condition)
    # These hold what is looked at as well, so that of rows that do not fit only the index is read.
    _index("case_by_stage", ["status", "opened_at", "case_id", "stages"], "stages <> ''")
    _index("case_charged", ["opened_at", "case_id", "parties"], "parties <> ''")
    op.create_table(
        "reference_view",
        sa.Column("lookup", text, primary_key=True),
        sa.Column("kind", text, primary_key=True),
        sa.Column("order_id", text, primary_key=True),
        sa.Column("case_id", text, primary_key=True),
        sa.Column("item", text, primary_key=True),
        sa.Column("number", text, nullable=False),
        sa.Column("stage", text, nullable=False),
        sa.Column("opened_at", text, nullable=False),
        sqlite_with_rowid=False,
    )
    newest: list[str | sa.TextClause] = ["lookup", sa.text("opened_at DESC"), sa.text("case_id DESC")]
    op.create_index("reference_newest", "reference_view", newest)
    op.create_index("reference_by_order", "reference_view", ["order_id"])
    write_tables_anew(op, "case_view", "reference_view", "stock_view")


def _index(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "case_view", columns, sqlite_where=where, postgresql_where=where)

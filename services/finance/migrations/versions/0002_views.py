"""The read tables, and the postings with the names of their channels."""

from collections.abc import Iterator, Mapping
from typing import Final

import sqlalchemy as sa
from alembic import op

from services.kernel.migrations import text

revision = "0002"
down_revision = "0001"

#: Table → its columns, the key before the bar: of text, unless `#` says that it is a whole number; `?` may be empty.
_TABLES: Final[Mapping[str, str]] = {
    "posting_view": (
        "event_id line# | position# type time day month order_id case_id account party amount_fen# memo item "
        "channel_ref"
    ),
    "corrected_view": (
        "event_id line# | position# type time day month order_id of_case account party amount_fen# memo item "
        "channel_ref correction"
    ),
    "order_fact_view": "order_id | channel ordered_at ordered_month paid_fen# carrier insured# skus misposted#",
    "case_fact_view": (
        "case_id | order_id opened_at opened_day problem reason cause party skus first_answer "
        "answer_seconds#? solution solution_seconds#? escalated# channel_refund# reopened# score#"
    ),
    "refund_line_view": "event_id line_id | case_id order_id sku units# goods_fen# deducted_fen#",
    "compensation_view": "event_id | case_id order_id proposal kind agent amount_fen#",
    "insurance_view": (
        "case_id | order_id payer cover_fen# state filed_at answered_at payments# paid_fen# freight_fen# "
        "deducted_fen# lost_fen# difference day expected_fen# found_fen# events"
    ),
    "mapping_view": "mapping | content saved_at saved_by",
    "bill_view": (
        "bill | file_name kind channel merchant currency first_day last_day row_count# known_rows# in_fen# "
        "out_fen# fee_fen# imported_at imported_by mapping"
    ),
    "run_view": (
        "run | channel first_day last_day bills order_channels position# matched# carried# discrepancies# result "
        "made_at made_by"
    ),
    "discrepancy_view": (
        "discrepancy | kind channel day expected_fen# found_fen# state owner run order_id case_id rows events "
        "found_at closed_at correction"
    ),
    "correction_view": (
        "correction | state reason proposed_by proposed_at decided_by decided_at answer booked_on amount_fen# legs "
        "discrepancies"
    ),
    "period_view": "month | position# closed_at closed_by root report postings# late#",
}
_INDEXES: Final[Mapping[str, tuple[str, str]]] = {
    "posting_by_month": ("posting_view", "month account"),
    "posting_by_account_and_day": ("posting_view", "account day"),
    "posting_by_account": ("posting_view", "account party month"),
    "posting_by_order": ("posting_view", "order_id"),
    "posting_by_case": ("posting_view", "case_id"),
    "posting_by_item": ("posting_view", "item"),
    "posting_by_position": ("posting_view", "position line"),
    "corrected_by_correction": ("corrected_view", "correction"),
    "order_fact_by_month": ("order_fact_view", "ordered_month"),
    "case_fact_by_order": ("case_fact_view", "order_id"),
    "case_fact_by_day": ("case_fact_view", "opened_day"),
    "refund_line_by_case": ("refund_line_view", "case_id"),
    "compensation_by_case": ("compensation_view", "case_id"),
    "insurance_by_order": ("insurance_view", "order_id"),
    "insurance_by_difference": ("insurance_view", "difference day"),
    "bill_by_time": ("bill_view", "imported_at bill"),
    "bill_by_channel": ("bill_view", "channel first_day"),
    "discrepancy_by_state": ("discrepancy_view", "state kind"),
    "discrepancy_by_order": ("discrepancy_view", "order_id"),
    "correction_by_state": ("correction_view", "state"),
}
#: Postings of events and of corrections. Which channel moved money, the order says, which may be heard of later.
_POSTINGS: Final = """CREATE VIEW postings AS
SELECT p.event_id, p.line, p.position, p.type, p.time, p.day, p.month, p.order_id, p.case_id, p.account, p.party,
p.amount_fen, p.memo, p.item, p.channel_ref
FROM posting_view p WHERE p.account <> 'channel'
UNION ALL
SELECT p.event_id, p.line, p.position, p.type, p.time, p.day, p.month, p.order_id, p.case_id, p.account,
coalesce(o.channel, 'unknown'), p.amount_fen, p.memo, p.item, p.channel_ref
FROM posting_view p LEFT JOIN order_fact_view o ON o.order_id = p.order_id WHERE p.account = 'channel'
UNION ALL
SELECT c.event_id, c.line, c.position, c.type, c.time, c.day, c.month, c.order_id, c.of_case, c.account, c.party,
c.amount_fen, c.memo, c.item, c.channel_ref
FROM corrected_view c"""


def upgrade() -> None:
    for table, columns in _TABLES.items():
        op.create_table(table, *_columns(columns))
    for index, (table, columns) in _INDEXES.items():
        op.create_index(index, table, columns.split())
    op.execute(_POSTINGS)


def _columns(described: str) -> Iterator[sa.Column[object]]:
    key, others = described.split(" | ")
    for names, is_key in ((key, True), (others, False)):
        for name in names.split():
            kind = sa.BigInteger() if "#" in name else text
            yield sa.Column(name.rstrip("#?"), kind, primary_key=is_key, nullable=name.endswith("?"))

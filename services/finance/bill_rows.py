"""Rows of bills as they are stored (table `bill_row`), and what must be the same wherever a row is listed."""

from typing import Any, Final

import msgspec

from services.finance.bills.rows import Row
from services.kernel.shop_time import shop_day
from services.kernel.views import upsert, utc

#: The first two are the key.
COLUMNS: Final = (
    *("channel", "row_key", "bill", "line", "part", "merchant", "kind", "order_ref", "refund_ref"),
    *("channel_order_ref", "channel_ref", "amount_fen", "gross_fen", "fee_fen", "currency", "status"),
    *("channel_status", "occurred_at", "day", "balance_fen", "raw"),
)
#: What two files that list one row must agree about. Columns and words may differ, as between the forms of a bill.
COMPARED: Final = (
    *("kind", "order_ref", "refund_ref", "channel_order_ref", "channel_ref", "amount_fen", "gross_fen", "fee_fen"),
    *("currency", "status", "occurred_at", "balance_fen"),
)

STORE: Final = upsert("bill_row", COLUMNS, 2)
#: To be filled with a place for each key.
STORED: Final = (
    f"SELECT row_key, bill, line, {', '.join(COMPARED)} FROM bill_row WHERE channel = ? AND row_key IN ({{}})"
)
COUNT: Final = "SELECT coalesce(max(line), 0) AS last, count(*) AS count FROM bill_row WHERE bill = ?"
DELETE: Final = "DELETE FROM bill_row WHERE bill = ? AND line > ? AND line <= ?"


def values(bill: str, row: Row) -> tuple[Any, ...]:
    """A row of a bill, in the order of `COLUMNS`."""
    return (
        *(row.channel, row.key, bill, row.line, row.part, row.merchant, str(row.kind), row.order_ref, row.refund_ref),
        *(row.channel_order_ref, row.channel_ref, row.amount_fen, row.gross_fen, row.fee_fen, row.currency),
        *(str(row.status), row.channel_status, utc(row.occurred_at), shop_day(row.occurred_at), row.balance_fen),
        msgspec.json.encode(row.raw).decode(),
    )

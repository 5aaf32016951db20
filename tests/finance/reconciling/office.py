"""A shop whose books are reconciled: what it paid in October, and the bills of WeChat Pay for it."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from services.finance.bills.rows import Row
from services.sample import writing
from tests.finance.bills.shop import wechat_movement, wechat_payment, wechat_refund
from tests.finance.periods.shop import Shop
from tests.given import compensated
from tests.http.server import Answer

CLERK, CHECKER = "finance/老钱", "finance/小周"
DAYS: Final = {"channel": "wechat", "first_day": "2026-10-04", "last_day": "2026-10-06"}


def at(day: str, hour: int = 12) -> datetime:
    """A moment of the shop's."""
    return datetime.fromisoformat(f"{day}T{hour:02d}:00:00+08:00")


class Office:
    """The shop, and who reconciles it."""

    def __init__(self, folder: Path, now: str = "2026-10-08T10:00:00+08:00") -> None:
        self.shop = Shop(folder, now)
        self.server = self.shop.server
        self.run = ""
        """What was made first is called."""

    def paid(self, ref: str, fen: int, day: str, kind: str = "good_review_reward") -> None:
        """The shop paid a buyer under a reference."""
        event = compensated(fen, kind, "TB1-1", f"P-{ref}-{self.shop.version('TB1')}")
        event = msgspec.structs.replace(event, payment_ref=ref)
        self.shop.hear(event, f"{day}T12:00:00+08:00")

    def take_in(self, content: str, name: str) -> dict[str, Any]:
        """Take a bill in; gives it."""
        path = f"/v1/bills?file_name={name}"
        answer = self.server.command(path, content.encode(), CLERK, Content_Type="application/octet-stream")
        assert answer.status == 201, answer.raw
        bill: dict[str, Any] = answer.body["bill"]
        return bill

    def bills(self) -> None:
        """Take in what WeChat Pay delivered."""
        for name, content in delivered().items():
            self.take_in(content, name)

    def reconcile(self, who: str = CLERK, **said: Any) -> Answer:
        """Reconcile the days."""
        return self.server.command("/v1/reconciliations", {**DAYS, **said}, who)

    def get(self, path: str) -> Any:
        """A document, with everything that was done before."""
        answer = self.server.get(path, CLERK)
        assert answer.status == 200, answer.raw
        return answer.body

    def discrepancies(self, query: str = "") -> list[dict[str, Any]]:
        """All that were raised."""
        items: list[dict[str, Any]] = self.get(f"/v1/discrepancies?wait=true{query}")["items"]
        return items

    def query(self, sql: str) -> list[dict[str, Any]]:
        """What the tables hold."""
        rows: list[dict[str, Any]] = self.server.run(self.shop.finance.store.query(sql))
        return rows


def delivered() -> dict[str, str]:
    """What WeChat Pay delivered of these days, by the names of the files: one refund of ours, one of nobody's, a
    payment, and its fee."""
    paid_back = wechat_refund(1, 500, refund_ref="HB1", occurred_at=at("2026-10-05"))
    unknown = wechat_refund(2, 300, refund_ref="TB9-1:refund:F1", order_ref="TB9", occurred_at=at("2026-10-05", 13))
    sale, later = (
        wechat_payment(number, 9_000, occurred_at=at(day)) for number, day in ((3, "2026-10-02"), (4, "2026-10-07"))
    )
    trade = [sale, paid_back, unknown, later]
    return {"trade.csv": writing.wechat_trade(trade), "fund.csv": writing.wechat_fund([*_moved(trade)])}


def _moved(trade: list[Row]) -> list[Row]:
    """What transactions come to on the account."""
    balance, rows = 100_000, []
    for number, row in enumerate(trade):
        balance += row.amount_fen
        moved = wechat_movement(number, row.amount_fen, balance, "退款" if row.refund_ref else "交易")
        named = {"order_ref": "" if row.refund_ref else row.order_ref, "refund_ref": row.refund_ref}
        rows.append(msgspec.structs.replace(moved, occurred_at=row.occurred_at, **named))
    return rows

"""A shop whose books are kept by a real server, and which hears what tests say, when they say it happened."""

from datetime import datetime
from pathlib import Path
from typing import Any

from contracts.event import Event, type_of
from contracts.events import cases as c
from contracts.registry import encode
from services.finance.domain.books import BOOKS
from services.kernel.followers import Followers
from services.kernel.log import Record
from tests.given import compensated, order
from tests.http.server import Answer, Server

CLOSER = "finance/老钱"
#: Who prepares what that one closes.
MAKER = "finance/小周"


class Shop:
    """A server with its clock at hand. `paid` has finance hear of a compensation, and so of two postings."""

    def __init__(self, folder: Path, now: str = "2026-11-03T10:00:00+08:00") -> None:
        is_new = not folder.exists()
        self.server = Server(folder)
        self.at(now)
        if is_new:
            self.hear(order(), "2026-10-01T09:00:00+08:00")

    @property
    def finance(self) -> Any:
        """The finance service at work."""
        return self.server.embedded._running["finance"].service

    @property
    def followers(self) -> Followers:
        """Who keeps the read tables of finance, and hears the others for it."""
        return next(one for one in self.server.embedded._followers if one.service.name == "finance")

    def at(self, now: str) -> None:
        """Make it so late; everybody signs in anew."""
        self.server.clock.set(datetime.fromisoformat(now))
        self.server._tokens.clear()

    def hear(self, event: Event, at: str, stream: str = "TB1") -> None:
        """Have finance hear of something that happened in cases, and write its rows."""
        number = self.version(stream) + 1
        head = (stream, number, number, f"{stream}-{number}", type_of(event), 1, "cases", event.subject)
        texts = ("system/cases", "", "", "p1", "")
        record = Record(*head, datetime.fromisoformat(at), *texts, event, encode(event), b"", number)
        self.server.run(self.finance.files.hear(record))
        self.server.run(self.finance.views_caught_up())

    def paid(self, amount_fen: int, day: str, case_id: str = "TB1-1") -> None:
        """A good-review reward was paid on a day of the shop's."""
        self.hear(reward(amount_fen, self.version("TB1"), case_id), f"{day}T12:00:00+08:00")

    def prepare(self, month: str, who: str = MAKER, body: Any = None) -> Answer:
        """Find a month ready to be closed."""
        return self.server.command(f"/v1/periods/{month}/prepare", body, who)

    def shut(self, month: str, who: str = CLOSER) -> Answer:
        """Have a month prepared by one person and closed by another; the answer is the first refusal, if any."""
        prepared = self.prepare(month)
        return self.close(month, who=who) if prepared.status == 200 else prepared

    def close(self, month: str, body: Any = None, who: str = CLOSER, **headers: str) -> Answer:
        """Close a month."""
        return self.server.command(f"/v1/periods/{month}/close", body, who, **headers)

    def report(self, month: str, who: str = CLOSER) -> Any:
        """The report of a month, as of now and for somebody."""
        answer = self.server.get(f"/v1/periods/{month}/report?wait=true", who)
        assert answer.status == 200, answer.raw
        return answer.body

    def check(self, month: str) -> Any:
        """Whether a month is what was frozen."""
        answer = self.server.get(f"/v1/periods/{month}/check")
        assert answer.status == 200, answer.raw
        return answer.body

    def correct(self, reason: str = "手续费", **said: Any) -> Answer:
        """Propose a correction of 1.20 yuan, unless something else is said."""
        legs = [{"account": "promotion", "amount_fen": 120}, {"account": "bank", "amount_fen": -120}]
        body = {"reason": reason, "legs": legs} | said
        return self.server.command("/v1/corrections", body, CLOSER)

    def version(self, stream: str = BOOKS) -> int:
        """How many events the books hold, or an order's file."""
        head = self.server.run(self.finance.store.head(stream))
        return head.version if head else 0


def reward(amount_fen: int, number: int, case_id: str = "TB1-1") -> c.CompensationPaid:
    """What posts a debit of promotion and a credit of the channel."""
    return compensated(amount_fen, "good_review_reward", case_id, f"P{number}")

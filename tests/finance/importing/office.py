"""Where finance takes bills in: a real server, and what is sent to it as it was downloaded."""

from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from services.finance.domain.books import BOOKS
from services.finance.importing import Importer, Upload
from services.finance.originals import Originals
from services.kernel.event_store import Commit, Statement
from tests.http.server import Answer, Server

FINANCE: Final = "finance/老钱"


class Office:
    """A server, and the bills that are sent to it."""

    def __init__(self, folder: Path) -> None:
        self.server = Server(folder)

    @property
    def finance(self) -> Any:
        """The finance service at work."""
        return self.server.embedded._running["finance"].service

    def importer(self) -> Importer:
        """What takes bills in, as another process would have it."""
        return Importer(self.finance, Originals(self.server.settings))

    def send(
        self, content: str | bytes, name: str = "bill.csv", who: str = FINANCE, key: str | None = None, **said: str
    ) -> Answer:
        """Send a bill."""
        path = "/v1/bills?" + urlencode({"file_name": name, **said})
        raw = content.encode() if isinstance(content, str) else content
        return self.server.command(path, raw, who, key=key, Content_Type="application/octet-stream")

    def must_take(self, content: str | bytes, name: str = "bill.csv", **said: str) -> dict[str, Any]:
        """Send a bill that is taken in; gives it."""
        answer = self.send(content, name, **said)
        assert answer.status == 201, answer.raw
        bill: dict[str, Any] = answer.body["bill"]
        return bill

    def save_mapping(self, name: str, content: str, who: str = FINANCE, **headers: str) -> Answer:
        """Save a mapping."""
        path = f"/v1/bill-mappings/{name}"
        sent = {"Content_Type": "application/yaml", **headers}
        return self.server.command(path, content.encode(), who, method="PUT", **sent)

    def get(self, path: str) -> Any:
        """A document, with everything that was done before."""
        answer = self.server.get(path, FINANCE)
        assert answer.status == 200, answer.raw
        return answer.body

    def rows(self, bill: str, **filters: str) -> list[dict[str, Any]]:
        """Rows of a bill, in the order of its lines."""
        page = self.get(f"/v1/bills/{bill}/rows?" + urlencode({"limit": "500", **filters}))
        items: list[dict[str, Any]] = page["items"]
        return items[::-1]

    def stored(self) -> list[dict[str, Any]]:
        """All rows that are stored, whether they count or not."""
        rows: list[dict[str, Any]] = self.server.run(
            self.finance.store.query("SELECT bill, row_key FROM bill_row ORDER BY row_key")
        )
        return rows

    def decided(self) -> list[str]:
        """What the books were told, in order."""
        records = self.server.run(self.finance.store.read_stream(BOOKS))
        return [record.type for record in records]

    def change(self, sql: str, *params: object) -> None:
        """Change the tables as nobody should."""
        commit = Commit(statements=(Statement(sql, [params]),))
        self.server.run(self.finance.appender.submit(commit))


def upload(folder: Path, content: str, bill: str, **said: Any) -> Upload:
    """A bill that arrived."""
    file = folder / "bill"
    file.write_bytes(content.encode())
    return Upload(file, bill, "bill.csv", **said)

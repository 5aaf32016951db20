"""A bill is taken in whole and once: its rows, the event that says so, and the file itself."""

import hashlib
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

import msgspec
import pytest

from services.finance import importing
from services.finance.import_turn import Turn
from services.kernel.event_store import Statement, StoreUnavailable
from services.sample import writing
from tests.finance.bills import shop
from tests.finance.bills.test_mapping import CLAIMS, MAPPING
from tests.finance.importing.office import FINANCE, Office, upload

PAYMENTS: Final = [shop.wechat_payment(1, 129900, 779), shop.wechat_payment(2, 5000, 30)]
REFUND: Final = shop.wechat_refund(1, 127900, 767)
TRADE: Final = writing.wechat_trade([*PAYMENTS, REFUND])
SHA256: Final = hashlib.sha256(TRADE.encode()).hexdigest()


def test_a_bill_becomes_rows_and_an_event(office: Office) -> None:
    """What the file says is there to the fen: the bill, its sums, each row with our numbers, and the file itself."""
    answer = office.send(TRADE, "20260501.csv")
    assert answer.status == 201, answer.raw
    assert answer.body["outcome"] == "imported"
    assert [event["type"] for event in answer.body["events"]] == ["bill.imported"]
    bill = answer.body["bill"]
    sums = {"in_fen": 134_900, "out_fen": 127_900, "fee_fen": 42, "row_count": 3, "known_rows": 0}
    assert {name: bill[name] for name in sums} == sums
    assert (bill["bill"], bill["kind"], bill["channel"], bill["merchant"]) == (
        *(SHA256, "wechat-trade", "wechat", shop.MERCHANT),
    )
    assert (bill["file_name"], bill["first_day"], bill["last_day"]) == ("20260501.csv", "2026-05-01", "2026-05-01")
    assert (bill["imported_by"], bill["mapping"]) == (FINANCE, "")
    assert office.get(f"/v1/bills/{SHA256}") == bill
    assert office.get("/v1/bills?wait=true")["items"] == [bill]

    rows = office.rows(SHA256)
    assert [(row["line"], row["kind"], row["order_ref"], row["refund_ref"], row["amount_fen"]) for row in rows] == [
        (2, "payment", "TB1", "", 129_900),
        (3, "payment", "TB2", "", 5_000),
        (4, "refund", "TB1", "TB1-1:refund:F1", -127_900),
    ]
    assert {(row["day"], row["currency"], row["status"], row["bill"]) for row in rows} == {
        ("2026-05-01", "CNY", "succeeded", SHA256)
    }
    assert datetime.fromisoformat(rows[0]["occurred_at"]) == PAYMENTS[0].occurred_at
    assert rows[0]["raw"]["商户号"] == shop.MERCHANT
    assert office.server.get(f"/v1/bills/{SHA256}/file", FINANCE).raw == TRADE.encode()


def test_rows_and_bills_are_found_by_what_they_say(office: Office) -> None:
    """Lists answer by kind, status, number and day, page by page; a bill also by the beginning of its hash."""
    office.must_take(TRADE)
    assert len(office.rows(SHA256, kind="refund", status="succeeded", order_ref="TB1", day="2026-05-01")) == 1
    assert office.rows(SHA256, day="2026-05-02") == []
    page = office.get(f"/v1/bills/{SHA256}/rows?limit=2")
    behind = office.get(f"/v1/bills/{SHA256}/rows?limit=2&after={page['after']}")
    assert [row["line"] for row in (*page["items"], *behind["items"])] == [4, 3, 2]
    for query, count in (("bill=" + SHA256[:8], 1), ("bill=0000", 0), ("day=2026-05-01", 1), ("day=2026-05-02", 0)):
        assert len(office.get(f"/v1/bills?wait=true&{query}")["items"]) == count, query
    unknown = office.server.get(f"/v1/bills/{'0' * 64}/rows", FINANCE)
    assert (unknown.status, unknown.code) == (404, "unknown_bill")


@pytest.mark.parametrize("form", ["gzip", "zip", "form"])
def test_bills_come_as_they_were_downloaded(office: Office, form: str) -> None:
    """Gzip and zip are taken as they are, and so is a form of a browser."""
    if form == "form":
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="C:\\\\bills\\\\5.csv"\r\n\r\n'
        raw, kind = head + TRADE.encode() + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"
        answer = office.server.command("/v1/bills", raw, FINANCE, Content_Type=kind)
        assert (answer.body["bill"]["file_name"], answer.body["bill"]["bill"]) == ("5.csv", SHA256)
    else:
        raw = writing.packed(TRADE) if form == "gzip" else shop.alipay_zip([shop.alipay_trade(1, 100)])
        answer = office.send(raw)
    assert (answer.status, answer.body["outcome"]) == (201, "imported")


# ---- once


def test_the_same_file_changes_nothing(office: Office) -> None:
    """Sent again under another name it is answered with the first import, and no event is added."""
    first = office.send(TRADE, "a.csv", key="k1")
    again = office.send(TRADE, "b.csv")
    assert (again.status, again.body["outcome"], again.body["events"]) == (200, "known", [])
    assert again.body["bill"] == first.body["bill"]
    assert office.decided() == ["bill.imported"]
    assert len(office.stored()) == 3


def test_a_repeated_request_is_answered_as_the_first_time(office: Office) -> None:
    """An import is a command: its key is taken once, by one file."""
    first = office.send(TRADE, key="k1")
    again = office.send(TRADE, key="k1")
    assert (again.status, again.raw) == (201, first.raw)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = office.send(writing.wechat_trade(PAYMENTS), key="k1")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    refused = office.send("no bill", key="k2")
    assert refused.code == "bill_unsound"
    assert office.send("no bill", key="k2").headers["Idempotent-Replayed"] == "true"


def test_two_at_once_are_one(office: Office) -> None:
    """However many send a file at the same time, one imports it and the others learn that it is there."""
    token = office.server.token(FINANCE)

    def send(number: int) -> str:
        return _alone(office, token, f"race-{number}")

    with ThreadPoolExecutor(4) as threads:
        outcomes = sorted(threads.map(send, range(4)))
    assert outcomes == ["imported", "known", "known", "known"]
    assert office.decided() == ["bill.imported"]
    assert len(office.stored()) == 3


def _alone(office: Office, token: str, key: str) -> str:
    """The outcome of an import over a connection of its own."""
    with closing(HTTPConnection(office.server.address, timeout=30)) as connection:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
        connection.request("POST", "/v1/bills", TRADE.encode(), headers)
        return str(msgspec.json.decode(connection.getresponse().read())["outcome"])


def test_rows_that_another_bill_listed_are_kept_once(office: Office) -> None:
    """The bills ALL and REFUND of a day list a refund both: it is one row, of the bill that came first."""
    first = office.must_take(TRADE)
    later = shop.wechat_refund(2, 100)
    second = office.must_take(writing.wechat_trade([REFUND, later], "REFUND"), "refunds.csv")
    assert (second["row_count"], second["known_rows"]) == (2, 1)
    assert [row["refund_ref"] for row in office.rows(second["bill"])] == [later.refund_ref]
    assert len(office.rows(first["bill"])) == 3
    assert len(office.stored()) == 4


def test_a_row_that_says_something_else_now_is_refused(office: Office) -> None:
    """A channel does not change what it had billed: both places are told, and nothing of the bill is imported."""
    office.must_take(TRADE, "first.csv")
    answer = office.send(writing.wechat_trade([PAYMENTS[0], shop.wechat_refund(1, 127800, 767)]), "second.csv")
    assert (answer.status, answer.code) == (409, "bill_contradicts")
    [error] = answer.body["errors"]
    assert error["rule"] == "contradicts"
    assert "line 3" in error["en"]
    assert "line 4 of first.csv" in error["en"]
    assert "amount_fen -127900 → -127800" in error["en"]
    assert office.decided() == ["bill.imported"]
    assert len(office.stored()) == 3


# ---- whole


class CutOff(Turn):
    """A turn of a process that dies after it stored so many pages."""

    pages = 2

    async def write(self, statement: Statement) -> None:
        if self.pages == 0:
            raise ConnectionAbortedError
        self.pages -= 1
        await super().write(statement)


async def _cut_off(office: Office, content: str, folder: Path, bill: str) -> None:
    turn = CutOff(office.finance)
    await turn.take()
    try:
        with pytest.raises(ConnectionAbortedError):
            await office.importer().take_in(upload(folder, content, bill), turn)
    finally:
        await turn.give_back()


def test_an_import_that_was_cut_off_leaves_nothing(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of a bill that the books do not know are seen by nobody, keep no other bill out, and are gone with the next
    import of either."""
    monkeypatch.setattr(importing, "PAGE", 1)
    other = writing.wechat_trade([PAYMENTS[0], *(shop.wechat_payment(number, 100) for number in (3, 4))])
    for content, bill in ((TRADE, SHA256), (other, "f" * 64)):
        office.server.run(_cut_off(office, content, tmp_path, bill))
    assert {row["bill"] for row in office.stored()} == {SHA256, "f" * 64}
    assert office.get("/v1/bills?wait=true")["items"] == []
    assert office.server.get(f"/v1/bills/{SHA256}/rows", FINANCE).status == 404
    assert office.decided() == []

    taken = office.must_take(TRADE)
    assert (taken["row_count"], taken["known_rows"]) == (3, 0)
    assert len(office.rows(SHA256)) == 3
    assert office.must_take(other)["known_rows"] == 1


def test_what_was_stored_under_another_reading_is_deleted_first(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is read by a better mapping the second time has the rows of that alone."""
    monkeypatch.setattr(importing, "PAGE", 1)
    claims = CLAIMS.replace("合计,,,,149.90,,\n", "LP003,YT8,TB1003,2026/05/04 09:00,1.00,处理中,\n合计,,,,150.90,,\n")
    sha256 = hashlib.sha256(claims.encode("gb18030")).hexdigest()
    office.save_mapping("claims", MAPPING.replace("channel_ref: 理赔单号\n  ", ""))
    cut = upload(tmp_path, "", sha256, mapping="claims")
    cut.file.write_bytes(claims.encode("gb18030"))

    async def cut_off() -> None:
        turn = CutOff(office.finance)
        await turn.take()
        with pytest.raises(ConnectionAbortedError):
            await office.importer().take_in(cut, turn)
        await turn.give_back()

    office.server.run(cut_off())
    assert len(office.stored()) == 2
    office.save_mapping("claims", MAPPING)
    bill = office.must_take(claims.encode("gb18030"), mapping="claims")
    assert [row["channel_ref"] for row in office.rows(bill["bill"])] == ["LP001", "LP002", "LP003"]
    assert len(office.stored()) == 3


def test_memory_stays_flat(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times the rows take no more memory but what tells repeated rows apart."""
    monkeypatch.setattr(importing, "PAGE", 100)

    async def peak(count: int) -> int:
        many = writing.wechat_trade([shop.wechat_payment(number, 100) for number in range(count)])
        sent = upload(tmp_path, many, f"{count:064}")
        del many
        async with office.importer().turn() as turn:
            tracemalloc.start()
            assert (await office.importer().take_in(sent, turn)).rows == count
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return peak

    few, many = office.server.run(peak(200)), office.server.run(peak(2_000))
    assert len(office.stored()) == 2_000
    assert many < few + 500_000


def test_an_import_that_was_overtaken_stops(office: Office, tmp_path: Path) -> None:
    """Who lost the turn without knowing writes nothing any more."""

    async def overtaken() -> None:
        turn = Turn(office.finance)
        await turn.take()
        await office.finance.store.claim("bill-import", "finance")
        with pytest.raises(StoreUnavailable):
            await office.importer().take_in(upload(tmp_path, TRADE, SHA256), turn)
        await turn.give_back()

    office.server.run(overtaken())
    assert office.stored() == []
    assert office.send(TRADE).status == 201


def test_rows_that_were_lost_are_stored_again(office: Office) -> None:
    """Behind a log that was moved without its rows, the same file brings them back, and changes no book."""
    office.must_take(TRADE)
    before = office.rows(SHA256)
    office.change("DELETE FROM bill_row WHERE line > ?", 2)
    assert len(office.stored()) == 1
    assert office.send(office.server.get(f"/v1/bills/{SHA256}/file", FINANCE).raw).body["outcome"] == "known"
    assert office.rows(SHA256) == before
    assert office.decided() == ["bill.imported"]


def test_a_dry_run_tells_and_changes_nothing(office: Office) -> None:
    """Whoever looks first sees the sums, or the mistakes, and nothing is stored, not even an answer."""
    answer = office.send(TRADE, dry_run="true", key="k1")
    assert (answer.status, answer.body["outcome"], answer.body["bill"]["in_fen"]) == (200, "sound", 134_900)
    assert office.send("no bill", dry_run="true").code == "bill_unsound"
    assert (office.stored(), office.decided()) == ([], [])
    assert office.send(TRADE, key="k1").status == 201
    assert office.send(TRADE, dry_run="true").body["outcome"] == "known"


# ---- whose


def test_another_merchant_has_to_be_named(office: Office) -> None:
    """Once bills of a shop are in, somebody else's is refused, unless finance says that it is ours too."""
    office.must_take(TRADE)
    other = writing.wechat_trade([shop.wechat_payment(9, 100, merchant="1900000001")])
    answer = office.send(other)
    assert (answer.status, answer.code) == (409, "bill_of_other_merchant")
    assert shop.MERCHANT in answer.body["en"]
    assert office.send(other, merchant=shop.MERCHANT).body["errors"][0]["rule"] == "other_merchant"
    assert office.must_take(other, merchant="1900000001")["merchant"] == "1900000001"
    assert office.must_take(writing.wechat_trade([shop.wechat_payment(10, 100, merchant="1900000001")]))
    alipay = writing.alipay_trade([shop.alipay_trade(1, 100)]).encode("gb18030")
    assert office.must_take(alipay)["merchant"] == shop.PID


def test_only_finance_takes_bills_in(office: Office) -> None:
    """Others may look, and are told who may; a request without a key is none."""
    for answer in (office.send(TRADE, who="store_manager"), office.save_mapping("claims", MAPPING, "agent")):
        assert (answer.status, answer.code) == (403, "forbidden")
    headers = {"Authorization": f"Bearer {office.server.token(FINANCE)}"}
    assert office.server.send("POST", "/v1/bills", TRADE.encode(), headers).code == "idempotency_key_missing"
    assert office.server.get("/v1/bills", "agent").status == 200


# ---- mappings


def test_a_carriers_statement_is_taken_in_by_a_saved_mapping(office: Office) -> None:
    """A table of any shape becomes a bill by the name of its mapping, and says by which."""
    saved = office.save_mapping("YTO-claims", MAPPING)
    assert [event["type"] for event in saved.body["events"]] == ["mapping.saved"]
    assert office.save_mapping("YTO-claims", MAPPING).body["events"] == []
    document = office.get("/v1/bill-mappings/YTO-claims")
    assert (document["content"], document["saved_by"]) == (MAPPING, FINANCE)
    assert office.get("/v1/bill-mappings?wait=true")["items"] == [document]

    bill = office.must_take(CLAIMS.encode("gb18030"), "理赔.csv", mapping="YTO-claims")
    assert (bill["kind"], bill["channel"], bill["mapping"]) == ("mapped", "courier/YTO", "YTO-claims")
    assert (bill["file_name"], bill["in_fen"], bill["first_day"], bill["last_day"]) == (
        *("理赔.csv", 14_990, "2026-05-03", "2026-05-04"),
    )
    assert [row["status"] for row in office.rows(bill["bill"])] == ["succeeded", "accepted"]


def test_a_mapping_with_mistakes_is_not_saved(office: Office) -> None:
    """Every mistake is told with its line; a name that nobody saved is told as one."""
    wrong = MAPPING.replace("encoding: GBK", "encoding: LATIN1").replace("  amount:", "  amuont:")
    answer = office.save_mapping("claims", wrong)
    assert (answer.status, answer.code) == (422, "mapping_unsound")
    told = {(error["rule"], error["field"], error["en"].partition(" ")[0]) for error in answer.body["errors"]}
    assert {rule for rule, *_ in told} == {"mapping_value", "mapping_unknown", "mapping_missing"}
    assert any("line 3 encoding" in error["en"] for error in answer.body["errors"])
    assert office.save_mapping("claims", "- a\n- b\n").code == "mapping_unsound"
    assert office.decided() == []
    unknown = office.send(CLAIMS.encode("gb18030"), mapping="claims")
    assert (unknown.status, unknown.code) == (404, "unknown_mapping")
    assert office.send(TRADE, kind="mapped").field("mapping")["rule"] == "mapped"
    assert office.send(TRADE, kind="paper").field("kind")["rule"] == "one_of"

"""From the buyer's number in a description to the erasure of it: who reads it, where it is not, and what stays."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.registry import decode
from services.catalogue import SERVICES
from services.kernel.actor import Actor
from services.kernel.kafka.connection import Connection
from services.kernel.kafka.topics import topic_of
from services.kernel.migrations import migrate
from services.kernel.proof import verify
from services.kernel.sealing import ELSEWHERE, ERASED
from services.kernel.stores import open_store
from services.stack.kafka import KafkaCluster
from services.stack.postgres import PostgresCluster
from services.transfer.exporting import export
from services.transfer.importing import import_events
from services.transfer.keys import KeysUnreadable, export_keys, import_keys
from services.transfer.selection import Selection
from tests.kernel.kafka import messages_in
from tests.sealing.test_recording import files_in
from tests.shop import FINANCE, Shop, check_books
from tests.test_process import Shop as ShopApart
from tests.test_process import until

PHONES = (b"13800138000", b"13900139000", b"13700137000")
DESCRIPTION, REASON, NOTE = "李先生 13800138000 没收到", "仓库 13900139000 说的", "回电 13700137000"
ASSIGNED = {"shares": [{"party": "warehouse", "share_bp": 10_000}], "reason": REASON}
ERASURE = "/v1/orders/TB1/erasure"


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    shop = await Shop(tmp_path / "data").start()
    yield shop
    await shop.close()


async def complained(cases: Any, liability: Any, refunds: Any) -> dict[str, Any]:
    """An order whose case holds words that each service was told; gives the answer to the first command."""
    await cases.order("TB1")
    body = {"order_id": "TB1", "problem": "logistics_delay", "description": DESCRIPTION}
    opened: dict[str, Any] = await cases.must("POST", "/v1/cases", body, key="opening")
    lines = [{"line_id": "L1", "quantity": 1}]
    await cases.must("POST", "/v1/cases/TB1-1/request-refund", {"lines": lines, "refund_only": True})

    async def known() -> bool:
        status, _ = await liability.call("POST", "/v1/cases/TB1-1/assign-liability", ASSIGNED)
        return bool(status == 200)

    async def asked() -> bool:
        paid = {"payout": "TB1-1:refund:F1", "status": "succeeded", "channel_ref": "B1", "note": NOTE}
        status, _ = await refunds.call("POST", "/v1/cases/TB1-1/confirm-payout", paid, by=FINANCE)
        return bool(status == 200)

    await until(known)
    await until(asked)
    return opened


def words_in(case: dict[str, Any]) -> list[str]:
    """What people wrote, as a case tells it; not why it was erased."""
    told = [one["data"] for one in case["timeline"] if one["type"] != "personal_data.erased"]
    texts = [data.get(name) for data in told for name in ("description", "reason", "note")]
    return [case["description"], *(text for text in texts if text)]


async def test_words_are_read_by_people_and_kept_by_nobody(shop: Shop, capfd: pytest.CaptureFixture[str]) -> None:
    """A buyer's number is in no file and no line of the log, read by whoever may read the case, and gone after the
    erasure, while the proof, the read tables and the books hold; what is written later can be read."""
    folder = shop.settings.data_dir
    opened = await complained(shop, shop, shop)
    await shop.server.settle()
    read = words_in(await shop.must("GET", "/v1/cases/TB1-1"))
    assert sorted(read) == sorted([DESCRIPTION, DESCRIPTION, REASON, NOTE])
    assert opened["events"][0]["data"]["description"] == DESCRIPTION
    body = {"order_id": "TB1", "problem": "logistics_delay", "description": DESCRIPTION}
    assert await shop.must("POST", "/v1/cases", body, key="opening") == opened
    for path in ("/v1/orders/TB1", "/v1/cases/TB1-1/difference?from=0"):
        assert DESCRIPTION in msgspec.json.encode(await shop.must("GET", path)).decode()
    assert REASON in str(await shop.must("GET", "/v1/cases/TB1-1/charges/explanation?party=warehouse"))
    assert [phone for phone in PHONES if phone in files_in(folder)] == []

    erased = await shop.must("POST", ERASURE, {"reason": "买家要求"}, key="erasure")
    assert [event["type"] for event in erased["events"]] == ["personal_data.erased"]
    await shop.server.settle()
    heads = {name: await shop.service(name).store.head_position() for name in SERVICES}
    assert not (await shop.must("POST", ERASURE, {"reason": "再来"}))["events"]
    assert await shop.must("POST", ERASURE, {"reason": "买家要求"}, key="erasure") == erased
    assert {name: await shop.service(name).store.head_position() for name in SERVICES} == heads
    assert words_in(await shop.must("GET", "/v1/cases/TB1-1")) == [ERASED] * 4
    assert words_in(await shop.must("GET", f"/v1/cases/TB1-1?as_of={heads['cases'] - 1}")) == [ERASED] * 4
    again = await shop.must("POST", "/v1/cases", body, key="opening")
    assert again["events"][0]["data"]["description"] == ERASED
    for name in SERVICES:
        assert await verify(shop.service(name).store) is None

    await shop.must("POST", "/v1/cases/TB1-1/record-finding", {"finding": "已核实", "note": "又来电"})
    await shop.must("POST", "/v1/cases/TB1-1/assign-liability", {**ASSIGNED, "reason": "新的判断"})
    await shop.server.settle()
    assert words_in(await shop.must("GET", "/v1/cases/TB1-1"))[4:] == ["又来电", "新的判断"]
    await shop.server.rebuild()
    await shop.restart()
    await shop.server.settle()
    assert words_in(await shop.must("GET", "/v1/cases/TB1-1")) == [*[ERASED] * 4, "又来电", "新的判断"]
    await check_books(shop.server)
    logged = "".join(capfd.readouterr())
    assert "started" in logged
    assert not [text for text in ("李先生", "13900139000", "回电", "又来电") if text in logged]


async def test_who_may_erase_what(shop: Shop) -> None:
    """Erasing is a store manager's, of an order that there is, with a reason; evidence and events have no way out."""
    await shop.order("TB1")
    for role, status, code in (("agent", 403, "forbidden"), ("team_lead", 403, "forbidden")):
        answer = await shop.call("POST", ERASURE, {"reason": "x"}, by=Actor(role, "小李"))
        assert (answer[0], answer[1]["code"]) == (status, code)
    assert (await shop.call("POST", "/v1/orders/TB9/erasure", {"reason": "x"}))[1]["code"] == "unknown_order"
    assert (await shop.call("POST", ERASURE, {"reason": " "}))[1]["code"] == "invalid"
    assert (await shop.call("POST", ERASURE, {}))[1]["errors"][0]["field"] == "reason"
    for path in ("/v1/files/" + "0" * 64, "/v1/orders/TB1", "/v1/cases/TB1-1", "/v1/cases"):
        assert (await shop.call("DELETE", path))[1]["code"] == "method_not_allowed"


async def test_services_apart_read_and_erase_alike(
    tmp_path: Path, postgres: PostgresCluster, kafka: KafkaCluster
) -> None:
    """With a database for each service and Kafka between: no number on any topic or in any table, every word in the
    case, and one erasure in one service makes what all three were told unreadable."""
    shop = ShopApart(tmp_path, postgres, kafka, clock="manual", clock_file=tmp_path / "clock")
    await shop.prepare()
    try:
        async with (
            shop.running("cases", "all") as cases,
            shop.running("refunds", "all") as refunds,
            shop.running("liability", "all") as liability,
        ):
            for one in (cases, refunds, liability):
                await one.ready()
            await complained(cases, liability, refunds)

            async def read() -> list[str]:
                return words_in(await cases.must("GET", "/v1/cases/TB1-1"))

            async def all_told() -> bool:
                return sorted(await read()) == sorted([DESCRIPTION, DESCRIPTION, REASON, NOTE])

            await until(all_told)
            explained = await liability.must("GET", "/v1/cases/TB1-1/charges/explanation?party=warehouse")
            assert ELSEWHERE in str(explained)  # the words are the case's
            connection = Connection.of(shop.settings)
            for service in SERVICES:
                for message in await messages_in(connection, topic_of(service, shop.settings.kafka_prefix)):
                    assert not [phone for phone in PHONES if phone in (message.value or b"")]
                store = open_store(shop.settings.database_of(service), decode)
                for table in ("events", "answers"):
                    held = str(await store.query(f"SELECT * FROM {table}"))
                    assert not [phone for phone in PHONES if phone.decode() in held], (service, table)
                await store.close()
            await cases.must("POST", ERASURE, {"reason": "买家要求"})
            assert await read() == [ERASED] * 4

            async def told_again() -> bool:
                await liability.must("POST", "/v1/cases/TB1-1/assign-liability", {**ASSIGNED, "reason": "新的判断"})
                return True

            async def heard_of_it() -> bool:
                service = liability.process.service
                return any(one.type == "personal_data.erased" for one in await service.store.read_stream("TB1"))

            async def new_words() -> bool:
                return (await read())[4:] == ["新的判断"]

            await until(heard_of_it)
            await until(told_again)
            await until(new_words)
            for one in (cases, refunds, liability):
                assert await verify(one.process.service.store) is None
    finally:
        await shop.databases.drop()


async def test_keys_move_apart_from_the_history(shop: Shop, tmp_path: Path) -> None:
    """A history that moves brings no words; with the file of keys they are there, but for what was erased on either
    side, whichever file comes last."""
    for order in ("TB1", "TB2"):
        await shop.order(order)
        body = {"order_id": order, "problem": "logistics_delay", "description": DESCRIPTION}
        await shop.must("POST", "/v1/cases", body)
    await shop.server.settle()
    log, keys, earlier = shop.service("cases").store, tmp_path / "keys", tmp_path / "earlier"
    assert await export_keys(log, earlier) == 2
    await shop.must("POST", ERASURE, {"reason": "买家要求"})
    assert await export_keys(log, keys) == 3
    assert keys.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        await export_keys(log, keys)
    await export(log, "cases", Selection(), tmp_path / "cases.jsonl", "jsonl")
    assert PHONES[0] not in (tmp_path / "cases.jsonl").read_bytes()

    new = Shop(tmp_path / "new")
    url = new.settings.database_of("cases")
    await asyncio.to_thread(migrate, url, Path(__file__).parents[2] / "services" / "cases" / "migrations")
    store = open_store(url, decode)
    await import_events(tmp_path / "cases.jsonl", store, decode)
    await new.start()
    try:
        new.clock.set(shop.clock.now())

        async def read() -> list[str]:
            return [words_in(await new.must("GET", f"/v1/cases/{case}"))[0] for case in ("TB1-1", "TB2-1")]

        assert await read() == [ELSEWHERE, ELSEWHERE]
        assert await import_keys(store, keys) == 3
        assert await read() == [ERASED, DESCRIPTION]
        assert await import_keys(store, earlier) == 0
        assert await read() == [ERASED, DESCRIPTION]
        keys.write_bytes(keys.read_bytes() + b"{}\n")
        with pytest.raises(KeysUnreadable, match="line 4"):
            await import_keys(store, keys)
    finally:
        await new.close()
        await store.close()

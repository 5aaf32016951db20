"""`aftersales case show`, from the databases and from a running server."""

import asyncio
import uuid
from pathlib import Path

import pytest

from services.stack.databases import Databases
from services.stack.postgres import PostgresCluster
from tests.cli.terminal import ORDER, Server, aftersales, until


def test_from_the_data_folder_while_the_server_runs(shop: Server) -> None:
    """What a person reads: who, what in words, money exact to the fen, who bears what."""
    told = aftersales("case", "show", "TB1001-1", "--data-dir", str(shop.data_dir), "--lang", "en")
    assert told.status == 0, told.err
    for words in (
        "TB1001-1 · Late delivery · open",
        "晚了 [late]",
        "agent 小李",
        "Compensation paid",
        "20.00 yuan",
        "reference ALI-1",
        "→ Purchasing",
        "Reclassify",
    ):
        assert words in told.out, (words, told.out)
    assert "_fen" not in told.out


def test_from_a_running_server_says_the_same(shop: Server) -> None:
    """The folder and the server tell one and the same case."""
    folder = ("--data-dir", str(shop.data_dir))
    here = aftersales("case", "show", "TB1001-1", *folder, "--json").json
    there = aftersales("case", "show", "TB1001-1", *folder, "--url", shop.url, "--json").json
    assert here == there
    assert here["losses"] == {"purchasing": 2000}
    assert [entry["type"] for entry in here["timeline"]][:2] == ["case.opened", "promise.made"]


def test_a_token_may_be_given(shop: Server, tmp_path: Path) -> None:
    """A reader on another machine has no data folder, only an address and a token."""
    token = aftersales("token", "--role", "finance", "--name", "老钱", "--data-dir", str(shop.data_dir)).out.strip()
    elsewhere = ("--url", shop.url, "--data-dir", str(tmp_path))
    assert aftersales("case", "show", "TB1001-1", *elsewhere, "--token", token).status == 0
    aftersales("case", "show", "TB1001-1", *elsewhere).must_fail(2, "--token")
    aftersales("case", "show", "TB1001-1", *elsewhere, "--token", "x").must_fail(1, "aftersales token")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("locale", "said", "unsaid"),
    [
        ("zh_CN.UTF-8", "补偿已支付", "Compensation paid"),
        ("en_GB.UTF-8", "Compensation paid", "补偿已支付"),
        ("C.UTF-8", "补偿已支付", None),
    ],
)
def test_the_locale_chooses_the_language(shop: Server, locale: str, said: str, unsaid: str | None) -> None:
    """Everybody reads their own language unasked; where nobody said which, both."""
    told = aftersales("case", "show", "TB1001-1", "--data-dir", str(shop.data_dir), LANG=locale, LC_ALL=locale)
    assert said in told.out
    assert unsaid is None or unsaid not in told.out


def test_an_unknown_case(shop: Server) -> None:
    """A wrong id is a clear sentence and exit status 1, from the folder and from the server."""
    folder = ("--data-dir", str(shop.data_dir))
    aftersales("case", "show", "TB9-9", *folder).must_fail(1, "TB9-9", "no such case")
    aftersales("case", "show", "TB9-9", *folder, "--url", shop.url).must_fail(1, "TB9-9", "no such case")
    told = aftersales("case", "show", "TB9-9", *folder, "--json")
    assert told.status == 1
    assert told.json["error"]["code"] == "unknown_case"


def test_reading_writes_nothing(shop: Server) -> None:
    """Looking at a case leaves the log as it was."""
    before = shop.call("/v1/lag"), shop.call("/v1/cases/TB1001-1")["version"]
    aftersales("case", "show", "TB1001-1", "--data-dir", str(shop.data_dir))
    assert (shop.call("/v1/lag"), shop.call("/v1/cases/TB1001-1")["version"]) == before


def test_a_folder_without_data(folder: Path) -> None:
    """A wrong folder is named, and is not made."""
    aftersales("case", "show", "TB1-1", "--data-dir", str(folder)).must_fail(1, str(folder), "--url", ". var/stack/env")
    assert not folder.exists()


@pytest.mark.parametrize(("url", "status"), [("http://127.0.0.1:1", 1), ("not an address", 2), ("http://[", 2)])
def test_no_server_at_the_address(shop: Server, url: str, status: int) -> None:
    """A wrong address is named with the way out."""
    told = aftersales("case", "show", "TB1-1", "--url", url, "--data-dir", str(shop.data_dir))
    told.must_fail(status, url, "--url")


def test_next_actions_are_those_of_the_role(shop: Server) -> None:
    """What can be done next depends on who asks; an unknown role is refused."""
    folder = ("--data-dir", str(shop.data_dir))
    finance = aftersales("case", "show", "TB1001-1", *folder, "--role", "finance", "--json").json["next_actions"]
    agent = aftersales("case", "show", "TB1001-1", *folder, "--role", "agent", "--json").json["next_actions"]
    assert [one["allowed"] for one in finance] != [one["allowed"] for one in agent]
    aftersales("case", "show", "TB1001-1", *folder, "--role", "boss").must_fail(2, "--role")


def test_from_the_databases_of_an_environment(postgres: PostgresCluster, tmp_path: Path) -> None:
    """Whoever read the environment of a stack sees its cases without another word, whether services run or not, and
    nothing is left behind on disk."""
    databases = Databases(postgres.url(), f"{uuid.uuid4().hex[:8]}_")
    asyncio.run(databases.make())
    data = {"DATABASE_URL": databases.url, "DATA_DIR": str(tmp_path / "service")}
    try:
        assert aftersales("migrate", "cases", **data).status == 0
        assert aftersales("migrate", "liability", **data).status == 0
        with Server(tmp_path / "service", command=("api", "cases"), DRAIN_SECONDS="0", **data) as api:
            until(lambda: api.status("/readyz") == 200, "ready")
            api.call("/v1/orders/TB1001", ORDER, "service", "PUT")
            opened = {"order_id": "TB1001", "problem": "logistics_delay", "description": "晚了"}
            assert api.call("/v1/cases", opened, "agent")["case_id"] == "TB1001-1"
        stack = data | {
            "DATA_DIR": str(tmp_path / "elsewhere"),
            "KAFKA_SERVERS": "127.0.0.1:1",
            "LOG_FORMAT": "json",
            "TOKEN_SECRET": "a-secret-of-more-than-32-characters-here",
        }
        told = aftersales("case", "show", "TB1001-1", "--lang", "en", **stack)
        assert told.status == 0, told.err
        assert "TB1001-1 · Late delivery · open" in told.out
        assert told.err == ""
        opened_only = aftersales("case", "show", "TB1001-1", "--as-of", "2", "--json", **stack).json
        assert [one["type"] for one in opened_only["timeline"]] == ["case.opened"]
        assert aftersales("balances", "--as-of", "0", "--json", **stack).json["parties"] == []
        aftersales("case", "show", "TB9-9", **stack).must_fail(1, "TB9-9", "no such case")
        assert not (tmp_path / "elsewhere").exists()
    finally:
        asyncio.run(databases.drop())

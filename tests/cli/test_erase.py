"""`aftersales erase` and `aftersales keys`, as an operator uses them."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from services.kernel.sealing import ELSEWHERE, ERASED
from tests.cli.terminal import ORDER, Server, Told, aftersales

WORDS = "李先生 13800138000"
BY = ("--by", "周店", "--reason", "买家要求")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with three orders of two buyers, a case each, that nobody serves any more."""
    folder = tmp_path_factory.mktemp("made") / "data"
    with Server(folder, DRAIN_SECONDS="0") as server:
        for order, buyer in (("TB1", "b-1"), ("TB2", "b-2"), ("TB3", "b-1")):
            server.call(f"/v1/orders/{order}", {**ORDER, "order_id": order, "buyer_id": buyer}, "service", "PUT")
            opened = {"order_id": order, "problem": "logistics_delay", "description": WORDS}
            assert "events" in server.call("/v1/cases", opened, "agent")
    return folder


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    return shutil.copytree(made, tmp_path / "data")


def at(folder: Path, *arguments: str) -> Told:
    return aftersales(*arguments, "--data-dir", str(folder))


def described(folder: Path, *orders: str) -> list[Any]:
    shown = [at(folder, "case", "show", f"{order}-1", "--json").json for order in orders]
    return [one["description"] for one in shown]


def test_erasing_by_buyer_and_by_order(data: Path) -> None:
    """A dry run tells and changes nothing; then a buyer's orders are erased, others are not, and once is enough."""
    dry = at(data, "erase", "--buyer", "b-1", "--dry-run", "--json").json
    one = {"readable": 1, "erased": 0, "plain": 0, "changed": False}
    assert dry == {"dry_run": True, "orders": [{"order_id": "TB1", **one}, {"order_id": "TB3", **one}]}
    assert described(data, "TB1") == [WORDS]
    done = at(data, "erase", "--buyer", "b-1", *BY, "--json").json
    assert [(each["order_id"], each["changed"]) for each in done["orders"]] == [("TB1", True), ("TB3", True)]
    assert described(data, "TB1", "TB2", "TB3") == [ERASED, WORDS, ERASED]
    again = at(data, "erase", "--order", "TB1", *BY, "--json").json
    assert again["orders"] == [{"order_id": "TB1", "readable": 0, "erased": 1, "plain": 0, "changed": False}]
    assert at(data, "verify").status == 0
    shown = at(data, "events", "list", "cases", "--type", "personal_data.erased", "--json")
    assert "周店" in shown.out
    assert "买家要求" in shown.out
    assert WORDS not in at(data, "events", "list", "cases", "--json").out
    [erasure] = [one for one in at(data, "case", "show", "TB1-1", "--json").json["timeline"] if "erased" in one["type"]]
    assert (erasure["actor"], erasure["data"]["reason"]) == ("store_manager/周店", "买家要求")
    assert "personal_data" not in at(data, "case", "show", "TB1-1", "--lang", "en").out
    sheet = at(data, "erase", "--order", "TB2", *BY)
    assert "TB2" in sheet.out
    assert "备份" in sheet.out
    assert "Backups" in sheet.out
    assert "texts erased now" in sheet.out
    twice = at(data, "erase", "--order", "TB2", *BY)
    assert "nothing left to erase" in twice.out
    assert "Backups" not in twice.out


def test_erasing_beside_a_server(data: Path) -> None:
    """A server that runs is told, not bypassed: without its address the command refuses, and nothing is changed."""
    with Server(data, DRAIN_SECONDS="0") as server:
        at(data, "erase", "--order", "TB1", *BY).must_fail(2, "serves cases", "--url")
        assert server.call("/v1/cases/TB1-1")["description"] == WORDS
        done = at(data, "erase", "--order", "TB1", *BY, "--url", server.url, "--json")
        assert done.json["orders"][0]["changed"]
        assert server.call("/v1/cases/TB1-1")["description"] == ERASED


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--order", "TB9", *BY), 1, "TB9"),
        (("--buyer", "nobody", *BY), 1, "nobody"),
        ((*BY,), 2, "--order"),
        ((), 2, "--order"),
        (("--order", "TB1"), 2, "--by: say your name. --reason: say why."),
        (("--order", "TB1", *BY, "--url", "nonsense"), 2, "--url"),
        (("--order", "TB1", "--buyer", "b-1", *BY), 2, "--buyer"),
        (("--order", "TB1", "--reason", "x"), 2, "--by"),
        (("--order", "TB1", "--by", "x"), 2, "--reason"),
    ],
)
def test_erasing_like_this_is_refused(data: Path, arguments: tuple[str, ...], status: int, said: str) -> None:
    """What is not there, said twice or done by nobody ends with a clear error and changes nothing."""
    at(data, "erase", *arguments).must_fail(status, said)
    assert described(data, "TB1", "TB2") == [WORDS, WORDS]


def test_keys_are_taken_along(data: Path, tmp_path: Path) -> None:
    """A history in a new folder is readable once its keys are there; a file that is none is refused whole."""
    events, keys, new = tmp_path / "events.jsonl", tmp_path / "keys", tmp_path / "new"
    assert at(data, "events", "export", "cases", str(events)).status == 0
    assert at(data, "keys", "export", str(keys), *BY, "--json").json["keys"] == 3
    assert keys.stat().st_mode & 0o777 == 0o600
    at(data, "keys", "export", str(keys), *BY).must_fail(2, str(keys), "Name another file")
    at(new, "keys", "import", str(keys), *BY).must_fail(2, "Import the events of cases first")
    assert not new.exists()
    at(data, "keys", "export", str(tmp_path / "other")).must_fail(2, "--by")
    assert at(new, "events", "import", str(events), *BY).status == 0
    assert described(new, "TB1") == [ELSEWHERE]
    assert at(new, "keys", "import", str(keys), "--dry-run", "--json").json["keys"] == 3
    assert described(new, "TB1") == [ELSEWHERE]
    broken = tmp_path / "broken"
    broken.write_bytes(keys.read_bytes() + b"no key\n")
    at(new, "keys", "import", str(broken), *BY).must_fail(1, "4")
    assert described(new, "TB1") == [ELSEWHERE]
    assert at(new, "keys", "import", str(keys), *BY, "--json").json["keys"] == 3
    assert described(new, "TB1", "TB2", "TB3") == [WORDS] * 3

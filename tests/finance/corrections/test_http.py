"""Corrections over HTTP: two persons, the parties and cases that there are, and what a list tells."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.finance.periods.shop import CLOSER, Shop

CHECKER = "finance/小周"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop with 5.00 yuan paid in October; each test proposes corrections of its own."""
    shop = Shop(tmp_path_factory.mktemp("corrections") / "data")
    shop.paid(500, "2026-10-05")
    yield shop
    shop.server.close()


def _proposed(shop: Shop, **said: Any) -> str:
    answer = shop.correct(**said)
    assert answer.status == 200, answer.raw
    return str(answer.body["events"][0]["data"]["correction"])


def test_two_persons_post_a_correction(shop: Shop) -> None:
    """It is in the books once it is approved, with who proposed and who approved it; the books still balance."""
    name = _proposed(
        shop,
        legs=[
            {"account": "promotion", "amount_fen": 120},
            {"account": "channel", "party": "tmall", "amount_fen": -120, "item": "2026100522"},
        ],
    )
    path = f"/v1/corrections/{name}"
    assert shop.server.command(f"{path}/approve", {}, CLOSER).code == "own_correction"
    before = shop.server.get("/v1/ledger/postings?wait=true&type=correction.approved").body["items"]
    assert shop.server.command(f"{path}/approve", {}, CHECKER).status == 200
    posted = shop.server.get("/v1/ledger/postings?wait=true&type=correction.approved").body["items"]
    new = [one for one in posted if one not in before]
    assert sorted((one["account"], one["party"], one["amount_fen"], one["month"]) for one in new) == [
        ("channel", "tmall", -120, "2026-11"),
        ("promotion", "", 120, "2026-11"),
    ]
    one = shop.server.get(path)
    assert one.headers["ETag"]
    told = one.body
    assert (told["state"], told["proposed_by"], told["decided_by"], told["amount_fen"]) == (
        "approved",
        CLOSER,
        CHECKER,
        120,
    )
    assert shop.server.get("/v1/ledger/check").body["holds"] is True


def test_the_list_is_newest_first_and_by_state(shop: Shop) -> None:
    """What waits can be asked for alone."""
    first, second = _proposed(shop), _proposed(shop)
    declined = shop.server.command(f"/v1/corrections/{first}/decline", {"reason": "填错"}, CLOSER)
    assert declined.status == 200
    waiting = shop.server.get("/v1/corrections?state=proposed&wait=true").body["items"]
    assert second in [one["correction"] for one in waiting]
    assert first not in [one["correction"] for one in waiting]
    [one] = [
        one
        for one in shop.server.get("/v1/corrections?state=declined&wait=true").body["items"]
        if one["correction"] == first
    ]
    assert (one["answer"], one["decided_by"], len(one["legs"]), one["discrepancies"]) == ("填错", CLOSER, 2, [])
    assert shop.server.get("/v1/corrections?discrepancy=D1").body["items"] == []


@pytest.mark.parametrize(
    ("legs", "code", "field", "rule"),
    [
        ([{"account": "bank", "amount_fen": 1}], "legs_unbalanced", "", ""),
        ([{"account": "cash", "amount_fen": 1}], "invalid", "legs[0].account", "unknown_account"),
        ([{"account": "losses", "party": "weather", "amount_fen": 1}], "invalid", "legs[0].party", "unknown_party"),
        ([{"account": "bank", "amount_fen": 1, "case_id": "TB9-1"}], "invalid", "legs[0].case_id", "unknown_case"),
        ([{"account": "bank", "amount_fen": "1.20"}], "invalid", "legs[0].amount_fen", "type"),
    ],
)
def test_what_cannot_be_proposed(shop: Shop, legs: list[dict[str, Any]], code: str, field: str, rule: str) -> None:
    """Each mistake is answered by its code and field, in both languages, and nothing is recorded."""
    before = shop.version()
    answer = shop.correct(legs=legs)
    assert (answer.status, answer.code) == (422, code), answer.raw
    if field:
        assert answer.field(field)["rule"] == rule
    else:
        assert "0.01" in answer.body["zh"]
    assert shop.version() == before


def test_a_correction_that_is_not_there(shop: Shop) -> None:
    """Unknown is 404, to be read as to be decided."""
    for answer in (
        shop.server.get("/v1/corrections/K99"),
        shop.server.command("/v1/corrections/K99/approve", {}, CHECKER),
        shop.server.command("/v1/corrections/K99/decline", {"reason": "r"}, CHECKER),
    ):
        assert (answer.status, answer.code) == (404, "unknown_correction"), answer.raw


def test_who_may(shop: Shop) -> None:
    """Everybody reads; finance proposes; finance or the store manager decides."""
    name = _proposed(shop)
    assert shop.server.get(f"/v1/corrections/{name}", "warehouse").status == 200
    assert shop.server.command("/v1/corrections", {"reason": "r"}, "agent/小李").status == 422
    assert shop.server.command(f"/v1/corrections/{name}/approve", {}, "agent/小李").code == "forbidden"
    assert shop.server.command(f"/v1/corrections/{name}/approve", {}, "store_manager/老板").status == 200


@pytest.mark.parametrize(
    ("who", "approves", "declines"),
    [
        (CLOSER, "own_correction", ""),
        (CHECKER, "", ""),
        ("store_manager/老板", "", ""),
        ("agent/小李", "forbidden", "forbidden"),
    ],
)
def test_a_correction_says_who_may_decide_it(shop: Shop, who: str, approves: str, declines: str) -> None:
    """As it would be refused; of one that is decided nothing is left to be done."""
    name = _proposed(shop)
    told = shop.server.get(f"/v1/corrections/{name}", who).body["next_actions"]
    assert [(one["command"], one["code"], one["allowed"]) for one in told] == [
        ("approve_correction", approves, not approves),
        ("decline_correction", declines, not declines),
    ]
    assert shop.server.command(f"/v1/corrections/{name}/decline", {"reason": "r"}, CHECKER).status == 200
    assert shop.server.get(f"/v1/corrections/{name}", who).body["next_actions"] == []


def test_what_a_role_may_do_in_the_books(shop: Shop) -> None:
    """Asked before a form is filled in: the answer is the one that its command would get."""
    told = shop.server.get("/v1/ledger/actions", "agent/小李").body["items"]
    assert {one["code"] for one in told if not one["allowed"]} == {"forbidden"}
    assert "propose_correction" in [one["command"] for one in told if not one["allowed"]]
    assert all(one["allowed"] for one in shop.server.get("/v1/ledger/actions", CLOSER).body["items"])

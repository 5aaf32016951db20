"""What was so: reads as of a moment, the difference of two, balances; over HTTP."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.http.server import NOW, Answer, Server

DAY = timedelta(days=1)


def _at(server: Server, now: datetime) -> None:
    """Let time pass; tokens are valid for a day."""
    server.run(server.embedded.set_time(now))
    server._tokens.clear()


def _paid(server: Server, case_id: str, amount_fen: int) -> None:
    """Compensate the buyer, cash."""
    made = server.command(
        f"/v1/cases/{case_id}/propose-compensation", {"kind": "cash", "amount_fen": amount_fen}, "store_manager/王"
    )
    proposal = made.body["proposal"]
    server.command(f"/v1/cases/{case_id}/record-buyer-reply", {"proposal": proposal, "accepted": True})
    paid = {"proposal": proposal, "payment_ref": f"ALI-{case_id}-{proposal}"}
    assert server.command(f"/v1/cases/{case_id}/pay-compensation", paid).status == 200


@pytest.fixture(scope="module")
def story(server: Server) -> dict[str, Any]:
    """A case that was opened on the 6th, compensated on the 7th and the 8th, and whose carrier was found out on the
    9th; it is the 10th now. `heads`: how far the logs reached at the end of each day."""
    heads = {}
    case_id = server.case()
    heads[6] = server.heads()
    _at(server, NOW + DAY)
    _paid(server, case_id, 2000)
    heads[7] = server.heads()
    _at(server, NOW + 2 * DAY)
    _paid(server, case_id, 500)
    heads[8] = server.heads()
    _at(server, NOW + 3 * DAY)
    assert server.command(f"/v1/cases/{case_id}/assess-cause", {"cause": "transit_damage"}).status == 200
    heads[9] = server.heads()
    _at(server, NOW + 4 * DAY)
    return {"case_id": case_id, "order_id": case_id.rpartition("-")[0], "heads": heads}


def _refused(answer: Answer, field: str, rule: str) -> None:
    assert (answer.status, answer.code) == (422, "invalid"), answer.raw
    assert answer.field(field)["rule"] == rule
    assert answer.field(field)["zh"]


def test_a_day_means_its_end(server: Server, story: dict[str, Any]) -> None:
    """A case as of a day holds all of that day and nothing of the next one, and says of when it is."""
    then = server.get(f"/v1/cases/{story['case_id']}?as_of=2026-10-07").body
    assert [one["paid"] for one in then["proposals"]] == [True]
    assert (then["net_loss_fen"], then["suspense_fen"], then["cause"]) == (2000, 2000, None)
    assert then["timeline"][-1]["time"].startswith("2026-10-07")
    assert then["as_of"]["asked"] == "2026-10-07"
    assert then["as_of"]["position"] == story["heads"][7]["cases"]
    now = server.get(f"/v1/cases/{story['case_id']}").body
    assert (now["net_loss_fen"], now["losses"], now["as_of"]) == (2500, {"courier/YTO": 2500}, None)


def test_an_order_as_of_a_moment(server: Server, story: dict[str, Any]) -> None:
    """The order adds up what its cases were then; its ETag is the version of then."""
    answer = server.get(f"/v1/orders/{story['order_id']}?as_of=2026-10-07T23:00:00%2B08:00")
    assert answer.body["compensation_fen"] == 2000
    assert answer.headers["ETag"] == f'"{answer.body["version"]}"'
    assert server.get(f"/v1/orders/{story['order_id']}").body["compensation_fen"] == 2500


def test_charges_and_balances_as_of_a_moment(server: Server, story: dict[str, Any]) -> None:
    """Who had been charged by then: nobody on the 8th, the carrier on the 9th, by time and by position of the log."""
    path = f"/v1/cases/{story['case_id']}/charges"
    before, after = server.get(f"{path}?as_of=2026-10-08").body, server.get(f"{path}?as_of=2026-10-09").body
    assert (before["suspense_fen"], before["charges"]) == (2500, [])
    assert (after["suspense_fen"], after["charges"][0]["charged_fen"]) == (0, 2500)
    position = story["heads"][8]["liability"]
    assert server.get(f"{path}?as_of={position}").body["suspense_fen"] == 2500
    for asked in ("2026-10-08", position):
        told = server.get(f"/v1/balances?as_of={asked}").body
        assert (told["net_fen"], told["suspense_fen"], told["parties"]) == (2500, 2500, [])
        assert told["as_of"]["position"] == position
    told = server.get("/v1/balances").body
    assert told["parties"] == [{"party": "courier/YTO", "charged_fen": 2500, "recovered_fen": 0}]
    assert told["as_of"] is None


def test_explanations_as_of_a_moment(server: Server, story: dict[str, Any]) -> None:
    """A figure is explained as it was then, from the events of then, and says of when that is; what was not there yet
    is said to have come later."""
    path = f"/v1/cases/{story['case_id']}"
    answer = server.get(f"{path}/charges/explanation?as_of=2026-10-07")
    then, now = answer.body, server.get(f"{path}/charges/explanation").body
    assert (then["figure_fen"], now["figure_fen"]) == (2000, 2500)
    assert (then["holds"], then["as_of"]["position"]) == (True, story["heads"][7]["liability"])
    assert now["as_of"] is None
    assert answer.headers["ETag"] != server.get(f"{path}/charges/explanation").headers["ETag"]
    courier = f"{path}/charges/explanation?party=courier/YTO"
    assert server.get(f"{courier}&as_of=2026-10-09").body["figure_fen"] == 2500
    _refused(server.get(f"{courier}&as_of=2026-10-08"), "as_of", "not_yet")
    settled = server.get(f"{path}/settlement/explanation?as_of={story['heads'][6]['refunds']}").body
    assert (settled["log"], settled["figure_fen"]) == ("refunds", 0)
    for figure in ("charges", "settlement"):
        _refused(server.get(f"{path}/{figure}/explanation?as_of=2026-10-05"), "as_of", "not_yet")
        assert server.get(f"/v1/cases/TB999-1/{figure}/explanation?as_of=2026-10-05").status == 404


def test_what_was_not_there_yet(server: Server, story: dict[str, Any]) -> None:
    """An order or case that came later is said to have, in each service; one that never was is unknown."""
    case_id, order_id = story["case_id"], story["order_id"]
    for path in (f"orders/{order_id}", f"cases/{case_id}", f"cases/{case_id}/settlement", f"cases/{case_id}/charges"):
        _refused(server.get(f"/v1/{path}?as_of=2026-10-05"), "as_of", "not_yet")
        _refused(server.get(f"/v1/{path}?as_of=0"), "as_of", "not_yet")
    for path in ("orders/TB999", "cases/TB999-1", "cases/TB999-1/settlement", "cases/TB999-1/charges"):
        assert server.get(f"/v1/{path}?as_of=2026-10-05").status == 404
    assert server.get("/v1/cases/TB999-1/difference?from=2026-10-05").code == "unknown_case"
    difference = f"/v1/cases/{case_id}/difference"
    _refused(server.get(f"{difference}?from=2026-10-04&to=2026-10-05"), "to", "not_yet")


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        ("as_of=999999", "position_past_end"),
        ("as_of=2026-10-11", "future"),
        ("as_of=x", "moment"),
        ("as_of=", "moment"),
    ],
)
def test_a_moment_that_is_none(server: Server, story: dict[str, Any], asked: str, rule: str) -> None:
    """A position past the end, a time in the future and what is neither are refused by every read that takes one."""
    case_id, order_id = story["case_id"], story["order_id"]
    for path in (f"orders/{order_id}", f"cases/{case_id}", f"cases/{case_id}/settlement", f"cases/{case_id}/charges"):
        _refused(server.get(f"/v1/{path}?{asked}"), "as_of", rule)
    _refused(server.get(f"/v1/balances?{asked}"), "as_of", rule)
    _refused(server.get(f"/v1/cases/{case_id}?as_of=1&as_of=2"), "as_of", "unique")
    for end, wrong in (("from", f"{asked.replace('as_of', 'from')}&to=1"), ("to", asked.replace("as_of", "from=0&to"))):
        _refused(server.get(f"/v1/cases/{case_id}/difference?{wrong}"), end, rule)


def test_a_range_upside_down(server: Server, story: dict[str, Any]) -> None:
    """From must not be later than to: two times, two positions, or one of each."""
    path, heads = f"/v1/cases/{story['case_id']}/difference", story["heads"]
    for begin, end in (
        ("2026-10-09", "2026-10-08"),
        ("2026-10-05", "2026-10-04"),
        (heads[8]["cases"], heads[7]["cases"]),
        ("2026-10-08", heads[7]["cases"]),
        (heads[8]["cases"], "2026-10-07"),
    ):
        _refused(server.get(f"{path}?from={begin}&to={end}"), "from", "upside_down")
    _refused(server.get(path), "from", "required")


def test_the_difference_of_two_days(server: Server, story: dict[str, Any]) -> None:
    """What was paid in between, who was charged for it, what changed and what happened: no more and no less."""
    path, heads = f"/v1/cases/{story['case_id']}/difference", story["heads"]
    told = server.get(f"{path}?from=2026-10-07&to=2026-10-09").body
    assert (told["paid_fen"], told["received_fen"]) == ({"cash": 500}, {})
    assert (told["net_loss_fen"], told["charged_fen"], told["suspense_fen"]) == (500, {"courier/YTO": 2500}, -2000)
    changes = {(one["what"], one["item"]): (one["before"], one["after"]) for one in told["changed"]}
    assert changes[("cause", "")] == ("", "transit_damage")
    assert changes[("proposal", "P2")] == ("", "paid")
    assert ("proposal", "P1") not in changes
    types = [one["type"] for one in told["events"]]
    assert types[0] == "compensation.proposed"
    assert types.count("compensation.paid") == types.count("loss.charged") == 1
    mixed = server.get(f"{path}?from={heads[7]['cases']}&to=2026-10-09").body
    assert {**mixed, "from": None} == {**told, "from": None}


def test_the_difference_from_before_there_was_a_case(server: Server, story: dict[str, Any]) -> None:
    """Between the first and the last of a month, a case that was opened in the month is whole."""
    path = f"/v1/cases/{story['case_id']}/difference"
    told = server.get(f"{path}?from=2026-10-01").body
    assert (told["paid_fen"], told["charged_fen"]) == ({"cash": 2500}, {"courier/YTO": 2500})
    assert told["events"][0]["type"] == "case.opened"
    assert told["from"] == {"asked": "2026-10-01", "position": 0, "time": None}
    nothing = server.get(f"{path}?from=2026-10-09&to=2026-10-09").body
    assert (nothing["events"], nothing["changed"], nothing["paid_fen"], nothing["charged_fen"]) == ([], [], {}, {})

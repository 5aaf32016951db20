"""Every command on a case has a form; what is typed becomes the command that it means, once, and is never lost."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.cases.domain.domain import CASE_COMMANDS
from services.console.pages.case.fields import ASKED, NOTE, Field, Rows
from services.console.pages.case.page import GROUPS
from tests.console.pages import Fields, Reader, text_of
from tests.console.photos import photo_of
from tests.http.server import Server

OPENAPI = msgspec.json.decode(Path("contracts/openapi.json").read_bytes())
#: Filled in by the address.
_OF_ADDRESS = {"case_id"}


@pytest.fixture(scope="module")
def agent(shop: Server) -> Iterator[Reader]:
    """小李, an agent."""
    reader = Reader(shop, "agent")
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def lead(shop: Server) -> Iterator[Reader]:
    """老张, a team lead."""
    reader = Reader(shop, "team_lead", "老张")
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def warehouse(shop: Server) -> Iterator[Reader]:
    """老王, of the warehouse."""
    reader = Reader(shop, "warehouse", "老王")
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def finance(shop: Server) -> Iterator[Reader]:
    """小钱, of finance."""
    reader = Reader(shop, "finance", "小钱")
    yield reader
    reader.close()


def _schema(node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        node = OPENAPI["components"]["schemas"][node["$ref"].rpartition("/")[2]]
    return node


def _body(command: str) -> Mapping[str, Any]:
    operation = OPENAPI["paths"][f"/v1/cases/{{case_id}}/{command.replace('_', '-')}"]["post"]
    return _schema(operation["requestBody"]["content"]["application/json"]["schema"])


def _columns(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of the parts of a list."""
    lists = [node, *node.get("anyOf", ())]
    return next(_schema(one["items"]) for one in lists if "items" in one)


def test_every_next_action_has_a_form_and_a_place(shop: Server) -> None:
    """A command that is added is found on the page, or this says that its form is missing."""
    case = shop.case()
    commands = {one["command"] for one in shop.get(f"/v1/cases/{case}").body["next_actions"]}
    assert commands == set(ASKED) == {one for group in GROUPS.values() for one in group}
    assert set(CASE_COMMANDS) <= commands


@pytest.mark.parametrize("command", sorted(ASKED))
def test_a_form_asks_for_what_its_command_takes(command: str) -> None:
    """No field that the API does not know, and none left out: what must be said must be asked."""
    body = _body(command)
    asked = {one.name: one for one in (*ASKED[command], NOTE)}
    assert set(asked) == set(body["properties"]) - _OF_ADDRESS
    for one in asked.values():
        needed = one.name in body.get("required", ())
        assert not (needed and isinstance(one, Field) and not one.required), one.name
        if isinstance(one, Rows):
            part = _columns(body["properties"][one.name])
            columns = {column.name for column in one.columns} - {"party_name"}
            assert columns == set(part["properties"])


Case = tuple[str, Fields, str, Mapping[str, Any]]

#: A command, what is typed, and what the event then says.
TYPED: list[Case] = [
    ("assess_cause", {"cause": "accessory_defective", "in_warranty": "yes"}, "cause.assessed", {"in_warranty": True}),
    (
        "propose_compensation",
        {"kind": "cash", "amount_fen": "12.5"},
        "compensation.proposed",
        {"amount_fen": 1250, "kind": "cash"},
    ),
    (
        "propose_compensation",
        [("kind", "voucher"), ("amount_fen", "3"), ("lines", "L1")],
        "compensation.proposed",
        {"allocation": [{"line_id": "L1", "amount_fen": 300}]},
    ),
    (
        "order_reshipment",
        {
            "items.rows": "3",
            "items.0.offered": "yes",
            "items.0.sku": "LOCK-A1",
            "items.0.unit_cost_fen": "600",
            "items.1.sku": "SCREW",
            "items.1.quantity": "2",
            "items.1.unit_cost_fen": "0.50",
            "trigger": "now",
        },
        "reshipment.requested",
        {"items": [{"sku": "SCREW", "quantity": 2, "unit_cost_fen": 50}]},
    ),
    (
        "authorise_return",
        {"lines.rows": "1", "lines.0.offered": "yes", "lines.0.line_id": "L1", "lines.0.quantity": "1"},
        "return.authorised",
        {"lines": [{"line_id": "L1", "quantity": 1}]},
    ),
    ("escalate", {"role": "team_lead", "reason": "买家很急", "note": "电话"}, "case.escalated", {"reason": "买家很急"}),
]


@pytest.mark.parametrize(("command", "fields", "event", "said"), TYPED)
def test_what_is_typed_is_what_happens(
    shop: Server, agent: Reader, command: str, fields: Fields, event: str, said: Mapping[str, Any]
) -> None:
    """A form says to the API what its fields say to the reader: yuan are fen, rows are lines, blanks are left out."""
    case = _accepted_case(shop)
    answer = _send(agent, case, command, fields)
    assert answer.status == 303, text_of(answer)
    assert answer.headers["Location"] == f"/console/cases/{case}?done={command}"
    happened = [one for one in shop.get(f"/v1/cases/{case}").body["timeline"] if one["type"] == event]
    assert said.items() <= _plain(happened[-1]["data"]).items()


def test_shares_are_typed_in_per_cent(shop: Server, lead: Reader) -> None:
    """A party with its name and its share; what does not make a whole is said at the shares."""
    case = _accepted_case(shop)
    shares = {
        "shares.rows": "2",
        "shares.0.party": "warehouse",
        "shares.0.share_bp": "66.67",
        "shares.1.party": "courier",
        "shares.1.party_name": "YTO",
        "reason": "各有责任",
    }
    refused = _send(lead, case, "assign_liability", {**shares, "shares.1.share_bp": "33"})
    assert refused.status == 422
    assert 'id="wrong-shares"' in text_of(refused)
    assert 'value="66.67"' in text_of(refused)
    assert _send(lead, case, "assign_liability", {**shares, "shares.1.share_bp": "33.33"}).status == 303
    charges = shop.get(f"/v1/cases/{case}/charges").body
    assert charges["shares"] == [
        {"party": "warehouse", "share_bp": 6667},
        {"party": "courier/YTO", "share_bp": 3333},
    ]


@pytest.mark.parametrize(
    ("command", "fields", "status", "wrong", "kept"),
    [
        ("propose_compensation", {"kind": "cash", "amount_fen": "abc"}, 422, "amount_fen", 'value="abc"'),
        ("propose_compensation", {"kind": "cash", "amount_fen": "0"}, 422, "amount_fen", 'value="0"'),
        ("close_case", {"resolution": "  "}, 422, "resolution", ""),
        (
            "order_reshipment",
            {"items.rows": "1", "items.0.sku": "S CREW", "items.0.quantity": "1", "items.0.unit_cost_fen": "1"},
            422,
            "items.0.sku",
            'value="S CREW"',
        ),
        ("authorise_return", {"lines.rows": "0"}, 422, "lines", ""),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    shop: Server, agent: Reader, command: str, fields: dict[str, str], status: int, wrong: str, kept: str
) -> None:
    """A mistake answers with its status, at its field or row, and keeps what was typed; nothing happened."""
    case = _accepted_case(shop)
    before = shop.heads()
    answer = _send(agent, case, command, {"trigger": "now", **fields})
    assert answer.status == status
    page = text_of(answer)
    assert f'id="wrong-{wrong}"' in page
    assert f'aria-describedby="wrong-{wrong}"' in page or wrong == "lines"
    assert kept in page
    assert shop.heads() == before


def test_a_rule_that_says_no_is_told_in_its_words(shop: Server, agent: Reader) -> None:
    """A refusal of a rule has its status, its text and its code, and the form keeps what was typed."""
    case = shop.case()
    answer = _send(agent, case, "escalate", {"role": "store_manager", "reason": "x", "note": "记住我"})
    assert answer.status == 303
    answer = _send(agent, case, "propose_compensation", {"kind": "cash", "amount_fen": "9999"})
    assert answer.status == 409
    assert "<code>authority_exceeded</code>" in text_of(answer) or "<code>exceeds_paid</code>" in text_of(answer)
    assert 'value="9999"' in text_of(answer)


def test_an_offer_beyond_the_limit_says_who_must_approve_it(shop: Server, agent: Reader) -> None:
    """Whoever offers more than they may is told at once that it waits for somebody, and for whom."""
    case = _accepted_case(shop)
    answer = _send(agent, case, "propose_compensation", {"kind": "cash", "amount_fen": "30"})
    assert answer.headers["Location"] == f"/console/cases/{case}?done=case.offer_needs_team_lead"


def test_what_a_case_lacks_is_said_and_other_roles_work_is_not_asked_for(shop: Server, agent: Reader) -> None:
    """An action whose item is not there says how it comes to be; what only others may do has no form to send."""
    case = shop.case()
    assert "还没有补偿方案,请先提出补偿。" in text_of(agent.get(f"/console/cases/{case}"))
    form = text_of(agent.get(f"/console/cases/{case}/do/record-recovery"))
    assert "现在不能做" in form
    assert 'name="version"' not in form


def test_a_form_sent_twice_counts_once(shop: Server, agent: Reader) -> None:
    """Pressed twice, loaded again, sent again by the back button: the same form is one command."""
    case = shop.case()
    place = f"/console/cases/{case}/do/record-finding"
    fields = {**agent.marks(place), "finding": "核实过了"}
    assert [agent.post(place, fields).status for _ in range(3)] == [303] * 3
    assert _types(shop, case).count("finding.recorded") == 1


def test_a_stale_form_is_merged(shop: Server, agent: Reader) -> None:
    """Somebody did something meanwhile: it is told, what was typed is kept, and one click sends it after all, once."""
    case = shop.case()
    place = f"/console/cases/{case}/do/propose-compensation"
    fields = {**agent.marks(place), "kind": "cash", "amount_fen": "5"}
    other = {"kind": "voucher", "amount_fen": 700}
    assert shop.command(f"/v1/cases/{case}/propose-compensation", other, "team_lead/老张").status == 200
    stale = agent.post(place, fields)
    page = text_of(stale)
    assert stale.status == 412
    assert "组长 老张" in page.partition('id="form"')[2].partition("</form>")[0]
    assert 'name="amount_fen" value="5"' in page
    assert "在最新状态上提交" in page
    again = {**fields, **_hidden(page)}
    assert again["version"] != fields["version"]
    assert [agent.post(place, again).status for _ in range(2)] == [303, 303]
    assert _types(shop, case).count("compensation.proposed") == 2


def test_what_services_book_meanwhile_asks_nobody(shop: Server, agent: Reader) -> None:
    """A form is not held up by the liability that its own case's payment led to; sent twice it still counts once."""
    case = shop.case()
    for command, body in (
        ("propose-compensation", {"kind": "cash", "amount_fen": 100}),
        ("record-buyer-reply", {"proposal": "P1", "accepted": True}),
    ):
        assert shop.command(f"/v1/cases/{case}/{command}", body).status == 200
    paid = shop.command(f"/v1/cases/{case}/pay-compensation", {"proposal": "P1", "payment_ref": "W1"})
    version = paid.body["version"]
    shop.settle()
    assert shop.get(f"/v1/cases/{case}").body["version"] > version
    place = f"/console/cases/{case}/do/record-finding"
    fields = {**agent.marks(place), "version": str(version), "finding": "照旧"}
    assert [agent.post(place, fields).status for _ in range(2)] == [303, 303]
    assert _types(shop, case).count("finding.recorded") == 1


def test_goods_come_back_and_a_claim_is_collected(
    shop: Server, agent: Reader, warehouse: Reader, finance: Reader
) -> None:
    """The forms of the warehouse and of finance: what stands in them at first is what the case knows."""
    case = _accepted_case(shop)
    line = {"lines.rows": "1", "lines.0.offered": "yes", "lines.0.line_id": "L1", "lines.0.quantity": "1"}
    shipped = {"return_id": "RT1", "carrier": "YTO", "tracking_no": "YT1", "freight_fen": "15"}
    for command, fields in (
        ("assess_cause", {"cause": "transit_damage"}),
        ("authorise_return", line),
        ("ship_return", shipped),
        ("propose_compensation", {"kind": "cash", "amount_fen": "12"}),
        ("record_buyer_reply", {"proposal": "P1", "accepted": "yes"}),
        ("pay_compensation", {"proposal": "P1", "payment_ref": "WX-1"}),
    ):
        assert _send(agent, case, command, fields).status == 303
    inspection = f"/console/cases/{case}/do/receive-return"
    assert 'name="lines.0.quantity" value="1"' in text_of(warehouse.get(inspection))
    assert _send(warehouse, case, "receive_return", {**line, "accepted": "yes"}).status == 422  # resalable or not?
    received = {**line, "return_id": "RT1", "lines.0.resalable": "no", "accepted": "yes"}
    assert _send(warehouse, case, "receive_return", received).status == 303
    assert _send(agent, case, "request_refund", line).status == 303
    shop.settle()
    claim = {"party": "courier/YTO", "amount_fen": "10", "payment_ref": "CLAIM-1"}
    place = f"/console/cases/{case}/do/record-recovery"
    marks = finance.marks(place)
    assert marks["elsewhere"] == str(shop.get(f"/v1/cases/{case}/charges").headers["ETag"]).strip('"')
    assert [finance.post(place, {**marks, **claim}).status for _ in range(2)] == [303, 303]
    shop.settle()
    assert shop.get(f"/v1/cases/{case}").body["recovered"] == {"courier/YTO": 1000}


def test_a_case_with_very_many_offers_stays_short(shop: Server, agent: Reader) -> None:
    """The last ones are told, and the earlier ones that something can still be done with."""
    case = shop.case()
    offer = {"kind": "voucher", "amount_fen": 1}
    for number in range(1, 26):
        assert shop.command(f"/v1/cases/{case}/propose-compensation", offer).status == 200
        if number > 1:
            body = {"proposal": f"P{number}", "reason": "…"}
            assert shop.command(f"/v1/cases/{case}/withdraw-proposal", body).status == 200
    page = text_of(agent.get(f"/console/cases/{case}"))
    assert "<bdi>P1</bdi>" in page
    assert "<bdi>P2</bdi>" not in page
    assert "<bdi>P25</bdi>" in page
    assert "另有较早的 4 项" in page


def test_a_row_can_be_added_without_scripts(agent: Reader, shop: Server) -> None:
    """One more row is a button of the form: what was typed stays, and nothing is sent."""
    case = _accepted_case(shop)
    before = shop.heads()
    fields = {"items.rows": "1", "items.0.sku": "SCREW", "trigger": "now", "more": "items"}
    page = text_of(_send(agent, case, "order_reshipment", fields))
    assert 'name="items.1.sku"' in page
    assert 'name="items.0.sku" value="SCREW"' in page
    assert shop.heads() == before


def test_a_page_tells_of_the_past_without_actions(shop: Server, agent: Reader) -> None:
    """As of a moment a case can be looked at and nothing be done with it."""
    case = shop.case()
    position = shop.heads()["cases"]
    assert shop.command(f"/v1/cases/{case}/record-finding", {"finding": "后来的事"}).status == 200
    assert "后来的事" in text_of(agent.get(f"/console/cases/{case}"))
    page = text_of(agent.get(f"/console/cases/{case}?as_of={position}"))
    assert "后来的事" not in page
    assert "data-command" not in page
    assert "只能看" in page


def test_a_long_timeline_comes_in_parts(shop: Server, agent: Reader) -> None:
    """The end is shown, what is earlier follows part by part to the opening, and following changes leaves no gap."""
    case = shop.case()
    for number in range(70):
        assert shop.command(f"/v1/cases/{case}/record-finding", {"finding": f"第{number}件"}).status == 200
    page = text_of(agent.get(f"/console/cases/{case}"))
    assert page.count("<li data-version") == 50
    [beginning] = re.findall(r'name="from" value="(\d+)"', page)
    assert shop.command(f"/v1/cases/{case}/record-finding", {"finding": "又一件"}).status == 200
    assert text_of(agent.get(f"/console/cases/{case}?from={beginning}")).count("<li data-version") == 51
    [older] = re.findall(r'href="([^"]*timeline\?before=\d+)"', page)
    rest = text_of(agent.get(older, HX_Request="true"))
    assert "<html" not in rest
    assert rest.count("<li data-version") == 22
    assert "售后已登记" in rest
    assert "第20件" not in page + rest or (page + rest).count("第20件") == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/console/cases/NOBODY-1", 404),
        ("/console/cases/nonsense", 404),
        ("/console/orders/NOBODY", 404),
        ("/console/files/" + "0" * 64, 404),
        ("/console/cases/NOBODY-1/do/fly", 404),
    ],
)
def test_what_is_not_there_is_said_so(agent: Reader, path: str, status: int) -> None:
    """An address of nothing answers like the API does."""
    assert agent.get(path).status == status


def _accepted_case(shop: Server) -> str:
    """A case about a missing accessory whose photo was accepted."""
    case = shop.case("damaged_on_arrival", lines=[{"line_id": "L1", "quantity": 1}])
    for command, body in (
        ("submit-evidence", {"kind": "photo", "file": photo_of(shop)}),
        ("review-evidence", {"evidence": "E1", "accepted": True}),
    ):
        assert shop.command(f"/v1/cases/{case}/{command}", body).status == 200
    shop.settle()
    return case


def _send(reader: Reader, case: str, command: str, fields: Fields) -> Any:
    place = f"/console/cases/{case}/do/{command.replace('_', '-')}"
    marks = {name: value for name, value in reader.marks(place).items() if name in ("csrf", "key", "version")}
    typed = list(fields.items()) if isinstance(fields, Mapping) else list(fields)
    return reader.post(place, [*marks.items(), *typed])


def _hidden(page: str) -> dict[str, str]:
    form = page.partition('id="form"')[2].partition("</form>")[0]
    return dict(re.findall(r'<input type="hidden" name="(csrf|key|version|elsewhere)" value="([^"]*)"', form))


def _types(shop: Server, case: str) -> list[str]:
    return [one["type"] for one in shop.get(f"/v1/cases/{case}").body["timeline"]]


def _plain(data: Any) -> Any:
    """Event data without what stands for nothing."""
    if isinstance(data, dict):
        return {
            name: _plain(value) for name, value in data.items() if value not in (None, "", []) and name != "stands_for"
        }
    return [_plain(one) for one in data] if isinstance(data, list) else data

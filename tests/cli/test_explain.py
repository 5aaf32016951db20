"""`aftersales explain`, from the databases and from a running server."""

import io
from datetime import datetime
from typing import Any

import pytest
from rich.console import Console

from contracts.policy import load_policy
from services.cli.explain import tree_of
from services.kernel.shop_time import SHOP_TIME
from services.wording.words import Language, Words
from tests.cli.terminal import ORDER, Server, aftersales, until


@pytest.fixture(scope="module")
def refunded(shop: Server) -> str:
    """A case of another order: 20 yuan paid, then refunded."""
    shop.call("/v1/orders/TB2001", {**ORDER, "order_id": "TB2001"}, "service", "PUT")
    shop.call("/v1/cases", {"order_id": "TB2001", "problem": "logistics_delay", "description": "没收到"}, "agent")
    for command, body in (
        ("propose-compensation", {"kind": "cash", "amount_fen": 2000}),
        ("record-buyer-reply", {"proposal": "P1", "accepted": True}),
        ("pay-compensation", {"proposal": "P1", "payment_ref": "ALI-2"}),
        ("request-refund", {"lines": [{"line_id": "L1", "quantity": 1}], "refund_only": True}),
    ):
        assert "events" in shop.call(f"/v1/cases/TB2001-1/{command}", body), command
    until(lambda: _refund_fen(shop) == 127_900, "the refund is calculated")
    return "TB2001-1"


def _refund_fen(shop: Server) -> Any:
    return shop.call("/v1/cases/TB2001-1/settlement").get("settlement", {}).get("refund_fen")


def explained(shop: Server, *arguments: str) -> Any:
    return aftersales("explain", *arguments, "--data-dir", str(shop.data_dir))


@pytest.mark.parametrize(
    ("lang", "said", "unsaid"),
    [
        (
            "en",
            ("1 279.00 yuan", "1 299.00", "-20.00", "taken back", "Compensation paid", "store manager 小李"),
            "扣回",
        ),
        ("zh", ("1 279.00 元", "1 299.00", "-20.00", "扣回", "补偿已支付"), "taken back"),
    ],
)
def test_a_refund_as_a_tree(shop: Server, refunded: str, lang: str, said: tuple[str, ...], unsaid: str) -> None:
    """A person reads how a refund comes about in their own language: amounts with signs, rules, events, policy."""
    told = explained(shop, "refund", f"{refunded}/F1", "--lang", lang)
    assert told.status == 0, told.err
    for words in (*said, "└──", "rule refund_line" if lang == "en" else "规则 refund_line", "refunds #"):
        assert words in told.out, (words, told.out)
    assert load_policy().version in told.out
    assert unsaid not in told.out


def test_a_payout_is_an_id_too(shop: Server, refunded: str) -> None:
    """Whoever has the id of a payout from a bank statement asks by it, and by the case for all that the buyer gets."""
    by_item = explained(shop, "refund", f"{refunded}/F1", "--json").json
    assert explained(shop, "refund", f"{refunded}:refund:F1", "--json").json == by_item
    whole = explained(shop, "refund", refunded, "--json").json
    assert whole["figure_fen"] == by_item["figure_fen"] == 127_900
    assert whole["tree"]["children"] == [by_item["tree"]]


def test_a_charge_as_a_tree(shop: Server) -> None:
    """A loss is told down to the payment that caused it, though another service keeps that: who paid, when, how."""
    told = explained(shop, "charge", "TB1001-1/purchasing", "--lang", "en")
    assert told.status == 0, told.err
    for words in ("20.00 yuan", "Purchasing bears 100.00 %", "rule cash", "Compensation paid", "ALI-1", "agent 小李"):
        assert words in told.out.replace("\n", ""), (words, told.out)
    net = explained(shop, "charge", "TB1001-1", "--json").json
    assert (net["log"], net["tree"]["rule"], net["figure_fen"]) == ("liability", "net_loss", 2_000)


def test_a_figure_as_of_a_moment(shop: Server) -> None:
    """What a party bore at a moment is explained by what was known then; before there was anything, that is said."""
    today = datetime.now(SHOP_TIME).date().isoformat()
    now = explained(shop, "charge", "TB1001-1/purchasing", "--lang", "en").out
    then = explained(shop, "charge", "TB1001-1/purchasing", "--lang", "en", "--as-of", today).out
    assert then.partition("\n")[0].startswith(f"as of {today}")
    assert then.partition("\n")[2] == now
    early = explained(shop, "charge", "TB1001-1/purchasing", "--as-of", "1")
    early.must_fail(2, "later time or position")


def test_a_loss_that_another_case_gave_back(shop: Server) -> None:
    """What a refund of another case of the order took back is told as well: the timelines of all its cases are read."""
    shop.call("/v1/orders/TB3001", {**ORDER, "order_id": "TB3001"}, "service", "PUT")
    for _ in range(2):
        shop.call("/v1/cases", {"order_id": "TB3001", "problem": "logistics_delay", "description": "没收到"}, "agent")
    for case_id, command, body in (
        ("TB3001-1", "propose-compensation", {"kind": "cash", "amount_fen": 2000}),
        ("TB3001-1", "record-buyer-reply", {"proposal": "P1", "accepted": True}),
        ("TB3001-1", "pay-compensation", {"proposal": "P1", "payment_ref": "ALI-3"}),
        ("TB3001-2", "request-refund", {"lines": [{"line_id": "L1", "quantity": 1}], "refund_only": True}),
    ):
        assert "events" in shop.call(f"/v1/cases/{case_id}/{command}", body), command
    paid = {"payout": "TB3001-2:refund:F1", "status": "succeeded", "channel_ref": "CH-1"}
    until(lambda: "events" in shop.call("/v1/cases/TB3001-2/confirm-payout", paid, "finance"), "the payout is there")
    until(lambda: _entries(shop) == ["cash", "deduction"], "what was taken back is a credit")
    told = explained(shop, "charge", "TB3001-1", "--lang", "en")
    assert told.status == 0, told.err
    assert "rule deduction" in told.out
    assert "Refund settled · 20" in told.out
    assert "ALI-3" in told.out


def _entries(shop: Server) -> list[str]:
    return [one["entry"] for one in shop.call("/v1/cases/TB3001-1/charges").get("entries", ())]


def test_the_server_carries_the_same(shop: Server, refunded: str) -> None:
    """The folder, the server and the HTTP answer tell one and the same tree."""
    here = explained(shop, "refund", f"{refunded}/F1", "--json").json
    assert explained(shop, "refund", f"{refunded}/F1", "--url", shop.url, "--json").json == here
    assert shop.call(f"/v1/cases/{refunded}/settlement/explanation?item=F1") == here


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("refund", "TB2001-1/F9"), 1, ("F9", "F1")),
        (("charge", "TB1001-1/warehouse"), 1, ("warehouse", "purchasing")),
        (("refund", "TB9-9"), 1, ("TB9-9",)),
        (("charge", "TB9-9/warehouse"), 1, ("TB9-9",)),
        (("refund", "TB2001-1/"), 2, ("TB1001-1/F1",)),
        (("charge", "/purchasing"), 2, ("TB1001-1/courier/YTO",)),
    ],
)
def test_a_wrong_id(
    shop: Server, refunded: str, arguments: tuple[str, ...], status: int, said: tuple[str, ...]
) -> None:
    """A wrong id is a clear sentence in both languages that says what there is."""
    explained(shop, *arguments).must_fail(status, *said)


def test_what_does_not_hold_is_an_error(shop: Server, refunded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure that the rules of this release do not make of the events ends with status 1 and says both amounts."""
    monkeypatch.setattr("contracts.refund_formula.units_value", lambda *_: 100_000)
    folder = ("--data-dir", str(shop.data_dir))
    aftersales("explain", "refund", f"{refunded}/F1", *folder).must_fail(1, "1 279.00", "980.00", "aftersales verify")
    told = aftersales("explain", "refund", f"{refunded}/F1", *folder, "--json")
    assert (told.status, told.json["holds"]) == (1, False)


def test_what_people_write_is_not_markup() -> None:
    """A reason with brackets is shown as it was written."""
    root = {"fen": -5, "rule": "charge", "text": {"zh": "因[/]为", "en": "be[/]cause"}, "policy": "1", "events": []}
    explanation = {"log": "liability", "tree": {**root, "children": []}}
    page = io.StringIO()
    words = Words(load_policy(), Language.BOTH)
    Console(file=page, width=100).print(tree_of(words, explanation, {}))
    assert "-0.05 元 因[/]为" in page.getvalue()
    assert "be[/]cause" in page.getvalue()

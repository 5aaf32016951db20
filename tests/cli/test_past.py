"""Going back in time at the command line: what was so, what became of it, in the reader's language."""

from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from contracts.policy import load_policy
from services.kernel.shop_time import SHOP_TIME
from services.wording.difference import sentence
from services.wording.words import Language, Words
from tests.cli.terminal import Server, aftersales

CASE = "TB1001-1"


@pytest.fixture(scope="module")
def positions(shop: Server) -> dict[str, int]:
    """Where in the log of cases each event of the case stands, the last of its type."""
    found: dict[str, int] = {}
    for position in count():
        told = shop.call(f"/v1/cases/{CASE}?as_of={position}")
        if told.get("code") == "invalid" and told["errors"][0]["rule"] == "position_past_end":
            break
        if "timeline" in told:
            found[told["timeline"][-1]["type"]] = told["as_of"]["position"]
    return found


def test_a_case_as_of_a_position(shop: Server, positions: dict[str, int]) -> None:
    """What a person reads is the case of then, and that it is not the case of now."""
    folder = ("--data-dir", str(shop.data_dir))
    told = aftersales("case", "show", CASE, *folder, "--as-of", str(positions["promise.made"]), "--lang", "en")
    assert told.status == 0, told.err
    for words in ("as of", f"position {positions['promise.made']}", "Case opened", "Could be done"):
        assert words in told.out, (words, told.out)
    assert "Compensation paid" not in told.out
    now = aftersales("case", "show", CASE, *folder, "--lang", "en")
    assert "as of" not in now.out
    assert "Next" in now.out


def test_as_of_the_present_it_is_the_case_of_now(shop: Server) -> None:
    """The folder as of today and a running server say the same of the present, but for saying of when it is."""
    folder = ("--data-dir", str(shop.data_dir))
    today = datetime.now(SHOP_TIME).date().isoformat()
    now = aftersales("case", "show", CASE, *folder, "--json").json
    then = aftersales("case", "show", CASE, *folder, "--as-of", today, "--json").json
    there = aftersales("case", "show", CASE, *folder, "--url", shop.url, "--as-of", today, "--json").json
    assert then["as_of"]["asked"] == today
    assert then == there
    assert {**then, "as_of": None} == now


def test_an_order_and_a_settlement(shop: Server, positions: dict[str, int]) -> None:
    """Orders and settlements are shown as they are and as they were."""
    folder = ("--data-dir", str(shop.data_dir), "--lang", "en")
    now = aftersales("order", "show", "TB1001", *folder)
    assert now.status == 0, now.err
    for words in ("TB1001-1", "20.00", "Purchasing", "Late delivery"):
        assert words in now.out, (words, now.out)
    then = aftersales("order", "show", "TB1001", *folder, "--as-of", str(positions["promise.made"]))
    assert "as of" in then.out
    assert "Purchasing" not in then.out
    settlement = aftersales("settlement", "show", CASE, *folder, "--as-of", datetime.now(SHOP_TIME).isoformat())
    assert settlement.status == 0, settlement.err
    assert "net to the buyer" in settlement.out
    assert "as of" in settlement.out


@pytest.mark.parametrize(("lang", "said"), [("en", "Purchasing"), ("zh", "采购")])
def test_balances(shop: Server, lang: str, said: str) -> None:
    """Who bears how much over all cases, now and before there was anything to bear."""
    folder = ("--data-dir", str(shop.data_dir), "--lang", lang)
    now = aftersales("balances", *folder)
    assert now.status == 0, now.err
    for words in (said, "20.00"):
        assert words in now.out, (words, now.out)
    assert said not in aftersales("balances", *folder, "--as-of", "0").out
    told = aftersales("balances", *folder, "--as-of", datetime.now(SHOP_TIME).isoformat(), "--json").json
    assert told["parties"] == [{"party": "purchasing", "charged_fen": 2000, "recovered_fen": 0}]
    assert aftersales("balances", *folder, "--url", shop.url).out == now.out
    for asked in (("--as-of", "0"), ()):
        here, there = (aftersales("balances", *folder, *asked, *at, "--json").json for at in ((), ("--url", shop.url)))
        assert here == there
    aftersales("balances", *folder, "--url", shop.url, "--as-of", "100000").must_fail(2, "100000")


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        (
            "en",
            (
                "between position {a} and position {b}: +20.00 yuan paid (cash 20.00 yuan)",
                "charged to Purchasing +20.00 yuan",
            ),
        ),
        ("zh", ("位置 {a} 至 位置 {b}:+20.00 元 已付给买家", "责任计入 采购 +20.00 元")),
    ],
)
def test_a_difference_in_words(shop: Server, positions: dict[str, int], lang: str, said: tuple[str, ...]) -> None:
    """One sentence says what moved and who bears it; under it stand the changes and the events."""
    folder = ("--data-dir", str(shop.data_dir), "--lang", lang)
    a, b = str(positions["promise.made"]), str(positions["loss.charged"])
    told = aftersales("case", "diff", CASE, a, b, *folder)
    assert told.status == 0, told.err
    flat = " ".join(told.out.replace("│", " ").split())
    for words in said:
        assert words.format(a=a, b=b) in flat, (words, flat)
    assert aftersales("case", "diff", CASE, "--between", a, b, *folder).out == told.out
    assert aftersales("case", "diff", CASE, a, *folder).status == 0
    quiet = aftersales("case", "diff", CASE, b, b, *folder).out
    assert ("nothing happened" if lang == "en" else "没有任何变化") in quiet


def test_every_money_of_a_difference_has_a_name() -> None:
    """A sentence of everything that can move shows no code, no fen and no Python, in each language."""
    end = {"asked": "", "position": 1, "time": None}
    paid = ("cash", "voucher", "price_difference", "good_review_reward", "refund", "freight_reimbursement")
    difference: dict[str, Any] = {
        "from": {**end, "asked": "2026-10-01"},
        "to": end,
        "paid_fen": dict.fromkeys((*paid, "deposit_return", "charge_return"), 100),
        "received_fen": dict.fromkeys(("buyer_payment", "deposit", "recovery"), 100),
        "charged_fen": {"courier/YTO": -100},
        "suspense_fen": -200,
        "events": [],
    }
    for language in Language:
        told = sentence(Words(load_policy(), language), difference)
        assert "_" not in told
        assert "-1.00" in told
        assert "+8.00" in told
        assert "-2.00" in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("case", "show", CASE, "--as-of", "99999"), "the log ends at position"),
        (("case", "show", CASE, "--as-of", "2999-01-01"), "has not come yet"),
        (("case", "show", CASE, "--as-of", "yesterday"), "must be a position"),
        (("case", "show", CASE, "--as-of", "1"), "not there yet"),
        (("order", "show", "TB1001", "--as-of", "0"), "not there yet"),
        (("settlement", "show", CASE, "--as-of", "99999"), "the log ends at position"),
        (("balances", "--as-of", "99999"), "the log ends at position"),
        (("balances", "--as-of", "2999-01-01"), "has not come yet"),
        (("balances", "--url", "nonsense"), "--url: nonsense is no http(s) address"),
        (("explain", "charge", CASE, "--as-of", "2999-01-01"), "\n--as-of: has not come yet"),
        (("case", "diff", CASE, "yesterday"), "\nFROM: must be a position"),
        (("case", "diff", CASE, "5", "4"), "exchange the two"),
        (("case", "diff", CASE), "FROM"),
        (("case", "diff", CASE, "4", "--between", "4", "5"), "FROM"),
    ],
)
def test_what_cannot_be_gone_back_to(shop: Server, arguments: tuple[str, ...], said: str) -> None:
    """A moment that is none is a clear sentence in both languages and exit status 2, not another moment's answer."""
    aftersales(*arguments, "--data-dir", str(shop.data_dir)).must_fail(2, said)


def test_nothing_to_go_back_to(shop: Server, tmp_path: Path) -> None:
    """An unknown case is unknown at all times; a folder without data is named."""
    yesterday = (datetime.now(SHOP_TIME) - timedelta(days=1)).date().isoformat()
    folder = ("--data-dir", str(shop.data_dir))
    aftersales("case", "show", "TB9-9", *folder, "--as-of", yesterday).must_fail(1, "no such case")
    aftersales("balances", "--data-dir", str(tmp_path / "no")).must_fail(2, str(tmp_path / "no"))

"""Claims as finance looks at them: over HTTP and on paper, of shops that were really played."""

from pathlib import Path

import pytest

from tests.cli.conftest import _logging
from tests.cli.terminal import Told, aftersales
from tests.finance.booked import booked
from tests.finance.ledger.conftest import played

__all__ = ["_logging"]


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three claims: one deducted, one that came after the freight was paid, one of more than the freight."""
    return booked(played("35-uninsured-and-late-claims", tmp_path_factory.mktemp("late") / "data"))


def _claims(folder: Path, *arguments: str) -> Told:
    return aftersales("insurance", "claims", *arguments, "--data-dir", str(folder), LANG="en_US.UTF-8")


def test_claims_are_told_with_what_the_shop_lost(late: Path) -> None:
    """Finance sees each claim once, and of which the freight was paid by both."""
    items = _claims(late, "--json").json["items"]
    told = {one["case_id"]: (one["state"], one["paid_fen"], one["deducted_fen"], one["lost_fen"]) for one in items}
    assert told == {
        "LIB35A-1": ("paid", 500, 500, 0),
        "LIB35B-1": ("paid_late", 500, 0, 500),
        "LIB35C-1": ("paid", 2_000, 1_200, 0),
    }
    [insured] = [one for one in items if one["case_id"] == "LIB35C-1"]
    assert (insured["payer"], insured["cover_fen"]) == ("merchant", 2_000)
    assert insured["filed_at"] < insured["answered_at"]


@pytest.mark.parametrize(
    ("asked", "cases"),
    [
        (("--state", "paid_late"), ["LIB35B-1"]),
        (("--difference", "insurance_not_deducted"), ["LIB35B-1"]),
        (("--payer", "merchant"), ["LIB35C-1"]),
        (("--order", "LIB35A"), ["LIB35A-1"]),
        (("--case", "LIB35A-1", "--state", "failed"), []),
    ],
)
def test_claims_can_be_chosen(late: Path, asked: tuple[str, ...], cases: list[str]) -> None:
    """Whoever looks for a claim finds it by what is known of it."""
    assert [one["case_id"] for one in _claims(late, *asked, "--json").json["items"]] == cases


def test_difference_names_its_payments(late: Path) -> None:
    """What a discrepancy is made of stands with the claim: figures, the day, and the events."""
    [claim] = _claims(late, "--difference", "insurance_not_deducted", "--json").json["items"]
    assert (claim["expected_fen"], claim["found_fen"], len(claim["events"])) == (500, 0, 1)
    assert claim["day"] == claim["answered_at"][:10]


def test_claims_on_paper(late: Path) -> None:
    """States and differences are words, in the reader's language; sums stand below."""
    told = _claims(late).out
    for said in ("Claims of freight insurance (yuan)", "paid late", "not deducted", "merchant", "= sum", "3 claims"):
        assert said in told
    chinese = _claims(late, "--lang", "zh").out
    for said in ("运费险理赔(元)", "返还运费后才赔", "赔付未扣", "3 笔理赔"):
        assert said in chinese

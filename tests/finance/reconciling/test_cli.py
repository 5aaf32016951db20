"""Reconciling at the command line, where no server runs."""

from pathlib import Path

import pytest

from tests.cli.conftest import _logging
from tests.cli.terminal import Told, aftersales
from tests.finance.reconciling.office import Office

__all__ = ["_logging"]


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a shop with bills of October that list what nobody knows."""
    folder = tmp_path_factory.mktemp("cli") / "data"
    office = Office(folder)
    office.paid("HB1", 500, "2026-10-05")
    office.bills()
    office.server.close()
    return folder


def _run(folder: Path, *arguments: str, lang: str = "en_US.UTF-8") -> Told:
    return aftersales(*arguments, "--data-dir", str(folder), LANG=lang)


def test_from_a_look_to_an_owner(books: Path) -> None:
    """Looked at, made, listed, made anew to the byte; what does not agree is shown and given to somebody."""
    days = ("wechat", "--from", "2026-10-04", "--to", "2026-10-06")
    look = _run(books, "reconcile", "run", *days, "--dry-run")
    assert look.status == 0, look.out + look.err
    for said in ("missing with us", "our reference and the amount", "nothing was changed"):
        assert said in look.out
    assert "nothing was reconciled yet" in _run(books, "reconcile", "list").out

    made = _run(books, "reconcile", "run", *days, "--by", "老钱")
    assert made.status == 0, made.out + made.err
    for said in ("Totals of the days (yuan)", "2026-10-05", "1 agree", "1 do not agree", "missing with us"):
        assert said in made.out
    [run] = _run(books, "reconcile", "list", "--json").json["items"]
    assert "逐字节相同" in _run(books, "reconcile", "check", run["run"], lang="zh_CN.UTF-8").out
    assert run["result"] in _run(books, "reconcile", "show", run["run"]).out.replace("\n", "")

    listed = _run(books, "discrepancy", "list", "--kind", "missing_with_us")
    assert ("TB9-1" in listed.out, "-3.00" in listed.out) == (True, True)
    [one] = _run(books, "discrepancy", "list", "--state", "open", "--json").json["items"]
    shown = _run(books, "discrepancy", "show", one["discrepancy"])
    for said in ("The bills say (yuan)", "TB9-1:refund:F1", "not in the books", "aftersales correction propose"):
        assert said in shown.out
    assigned = _run(books, "discrepancy", "assign", one["discrepancy"], "--to", "小周", "--by", "老钱")
    assert "owner: 小周" in assigned.out, assigned.out + assigned.err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("reconcile", "run", "wechat", "--from", "5 Oct", "--to", "2026-10-06", "--by", "老钱"), 2, "5 Oct is no day"),
        (("reconcile", "run", "wechat", "--from", "2026-10-04", "--to", "2026-10-06"), 2, "--by: say your name."),
        (("reconcile", "run", "alipay", "--from", "2026-10-04", "--to", "2026-10-06", "--by", "老钱"), 1, "No bill of"),
        (("reconcile", "show", "R-1"), 1, "There is no reconciliation"),
        (("discrepancy", "show", "D-1"), 1, "There is no discrepancy"),
        (("discrepancy", "assign", "D-1", "--by", "老钱"), 2, "--to: say who looks after it."),
    ],
)
def test_what_cannot_be_done_is_said(books: Path, arguments: tuple[str, ...], status: int, said: str) -> None:
    """What is wrong and what to do, in both languages; nothing is done."""
    _run(books, *arguments).must_fail(status, said)

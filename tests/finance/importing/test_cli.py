"""`aftersales bill import|list|rows|mapping`, as finance uses them on a data folder."""

from pathlib import Path
from typing import Final

import pytest

from services.sample import writing
from tests.cli.terminal import aftersales
from tests.finance.bills import shop
from tests.finance.bills.test_mapping import CLAIMS, MAPPING

TRADE: Final = writing.wechat_trade([shop.wechat_payment(1, 129900, 779), shop.wechat_refund(1, 127900, 767)])
BY: Final = ("--by", "老钱")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Files as finance has them on its desk."""
    contents = {
        "0501.csv": TRADE.encode(),
        "claims.csv": CLAIMS.encode("gb18030"),
        "claims.yaml": MAPPING.encode(),
        "broken.csv": TRADE.replace("`7.79000", "`-7.79000").encode(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: str(tmp_path / name) for name in contents}


def test_bills_are_imported_listed_and_read(tmp_path: Path, files: dict[str, str]) -> None:
    """From a folder of downloads to rows: what became of each file is told, and one that is refused ends with 1."""
    (tmp_path / "data").mkdir()
    data = ("--data-dir", str(tmp_path / "data"), "--lang", "en")
    saved = aftersales("bill", "mapping", "save", "YTO-claims", files["claims.yaml"], *BY, *data)
    assert saved.out.strip() == "saved the mapping YTO-claims", saved.err

    told = aftersales("bill", "import", files["0501.csv"], files["broken.csv"], *BY, *data)
    assert told.status == 1, told.err
    assert "✓ 0501.csv: imported, 2 rows" in told.out
    assert (
        "✗ broken.csv: The file “broken.csv” cannot be taken in as a bill, and nothing of it was imported; mistakes: 1"
        in told.out
    )
    assert "line 2 手续费: fee -7.79000 has the wrong sign" in told.out

    told = aftersales("bill", "import", files["claims.csv"], "--mapping", "YTO-claims", *BY, *data, "--json")
    [claims] = told.json["bills"]
    assert (claims["outcome"], claims["bill"]["channel"]) == ("imported", "courier/YTO")
    again = aftersales("bill", "import", files["0501.csv"], "--dry-run", *data)
    assert (again.status, "imported before, nothing changed" in again.out) == (0, True)

    listed = aftersales("bill", "list", *data, "--json").json["items"]
    assert [bill["file_name"] for bill in listed] == ["claims.csv", "0501.csv"]
    assert "0501.csv" in aftersales("bill", "list", *data).out
    rows = aftersales("bill", "rows", listed[1]["bill"][:8], "--kind", "refund", *data)
    assert "TB1-1:refund:F1" in rows.out
    aftersales("bill", "rows", "ffff", *data).must_fail(1, "no bill begins with it")
    assert "YTO-claims" in aftersales("bill", "mapping", "list", *data).out
    assert aftersales("bill", "mapping", "show", "YTO-claims", *data).out == MAPPING


def test_what_cannot_be_begun_is_said_at_once(tmp_path: Path, files: dict[str, str]) -> None:
    """Nobody is named, or a file is not there: nothing is imported of the others either."""
    data = ("--data-dir", str(tmp_path / "data"))
    aftersales("bill", "import", files["0501.csv"], *data).must_fail(2, "--by")
    aftersales("bill", "import", files["0501.csv"], str(tmp_path / "none.csv"), *BY, *data).must_fail(2, "none.csv")
    assert not (tmp_path / "data").exists()

"""`aftersales demo finance`: a whole shop from the command line, which stays to be looked at."""

from pathlib import Path

from tests.cli.terminal import aftersales


def test_the_demonstration_finds_every_fault_and_leaves_the_shop(tmp_path: Path) -> None:
    """What newcomers see of finance holds, and the folder that it is kept in can be worked with by every command."""
    shop = tmp_path / "shop"
    made = aftersales("demo", "finance", "--orders", "100", "--months", "1", "--to", str(shop), "--lang", "en")
    assert made.status == 0, made.out
    assert "all 14 planted faults were found, and nothing else" in made.out
    assert {file.name for file in (shop / "bills").iterdir()} >= {"wechat-fund-2026-01.csv", "alipay-trade-2026-01.zip"}
    statement = aftersales("statement", "parties", "--data-dir", str(shop / "data"), "--month", "2026-01", "--json")
    assert statement.status == 0
    again = aftersales("demo", "finance", "--to", str(shop))
    assert again.status == 2
    assert str(shop) in again.err

"""The command that a finding names mends what it found."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.cli.terminal import Told, aftersales
from tests.doctor.damage import Books
from tests.shop import Shop


def _run(books: Books, command: str, *options: str) -> Told:
    """A command line as a finding tells it, on this folder."""
    told = aftersales(*command.split()[1:], "--data-dir", str(books.folder), *options)
    structlog.reset_defaults()  # it logs to where it was called from, which is gone
    return told


async def _goes_on(folder: Path) -> None:
    """The server is started, and works until nothing is on its way."""
    shop = await Shop(folder).start()
    try:
        await shop.server.settle()
    finally:
        await shop.close()


@pytest.mark.parametrize(
    ("check", "service", "sql"),
    [
        ("tables", "refunds", "UPDATE payout_view SET amount_fen = 1"),
        ("tables", "liability", "DELETE FROM charge_view"),
        ("tables", "cases", "INSERT INTO stock_view (sku, available, reserved, awaited) VALUES ('GHOST', 1, 0, 0)"),
        ("losses", "liability", "UPDATE loss_view SET suspense_fen = 1"),
        ("inbox", "liability", "UPDATE inbox SET sequence = 1 WHERE source = 'refunds' AND stream = 'TB2'"),
        ("checkpoints", "refunds", "UPDATE checkpoints SET position = 9999 WHERE consumer = 'refunds-hears-cases'"),
        ("checkpoints", "refunds", "UPDATE checkpoints SET position = 9999 WHERE consumer = 'cashier'"),
        ("checkpoints", "cases", "UPDATE checkpoints SET position = 9999 WHERE consumer = 'views'"),
    ],
)
def test_the_named_command_mends(books: Books, check: str, service: str, sql: str) -> None:
    """Found, mended by exactly the command that was named, and sound again when the shop goes on."""
    books.damage(service, sql)
    found = books.found(check)
    mended = _run(books, found.mend.replace("NAME", "小李"))
    assert mended.status == 0, (mended.out, mended.err)
    asyncio.run(_goes_on(books.folder))
    report = books.report()
    assert report.sound, report.findings


def _stands(books: Books, consumer: str) -> Any:
    return books.rows("refunds", "SELECT position FROM checkpoints WHERE consumer = ?", consumer)[0][0]


def test_rewinding_says_first_what_it_would_do(books: Books) -> None:
    """A dry run moves nothing; done, the consumer stands where it was told to, and never further than it was."""
    command, before = "aftersales rewind refunds cashier", _stands(books, "cashier")
    assert _run(books, command, "--to", "2", "--dry-run", "--json").json["moves"] == [
        {"consumer": "cashier", "source": "refunds", "position": before, "to": 2}
    ]
    assert _stands(books, "cashier") == before
    assert _run(books, command, "--to", "9999", "--by", "小李", "--json").json["moves"] == []
    assert _run(books, command, "--to", "2", "--by", "小李").status == 0
    assert _stands(books, "cashier") == 2


@pytest.mark.parametrize(
    ("consumer", "said"),
    [
        ("nobody", "aftersales lag"),
        ("views", "aftersales rebuild refunds --swap --by NAME"),
        ("relay", "aftersales republish refunds --by NAME"),
    ],
)
def test_what_cannot_be_rewound(books: Books, consumer: str, said: str) -> None:
    """A consumer that is not there, or that has a command of its own, is named with the way out."""
    _run(books, f"aftersales rewind refunds {consumer}", "--by", "小李").must_fail(2, said)

"""`aftersales token`."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.terminal import ROOT, Server, aftersales


def test_a_token_made_before_the_first_start_is_good(folder: Path) -> None:
    """Tokens can be handed out before the server ever ran: both use the folder's secret."""
    made = aftersales("token", "--role", "agent", "--name", "小李", "--data-dir", str(folder))
    assert made.status == 0
    assert (folder / "token.secret").stat().st_mode & 0o077 == 0
    with Server(folder) as server:
        assert "token" not in server.told
        assert server.call("/v1/cases")["items"] == []


def test_json_says_until_when(folder: Path) -> None:
    """A machine learns when to come back."""
    made = aftersales(
        "token", "--role", "finance", "--name", "老钱", "--days", "2", "--data-dir", str(folder), "--json"
    )
    assert made.json["role"] == "finance"
    left = datetime.fromisoformat(made.json["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=1, hours=23) < left <= timedelta(days=2)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--role", "boss", "team_lead"),
        ("--role", "system", "team_lead"),
        ("--name", "  ", "--name"),
        ("--name", "x" * 101, "--name"),
        ("--days", "0", "--days"),
        ("--days", "99999", "--days"),
    ],
)
def test_mistakes_name_option_and_rule(folder: Path, option: str, value: str, said: str) -> None:
    """A wrong option is named with what it may be, and no secret is drawn for it."""
    given = {"--role": "agent", "--name": "小李", "--days": "1"} | {option: value}
    arguments = [word for pair in given.items() for word in pair]
    aftersales("token", *arguments, "--data-dir", str(folder)).must_fail(2, option, said)
    assert not folder.exists()


def test_processes_that_begin_at_once_agree_on_the_secret(folder: Path) -> None:
    """Of several first processes one draws the secret, and no one signs with another."""
    code = (
        "import sys; from services.token_secret import token_secret;"
        " from services.kernel.settings import load_settings;"
        " print(token_secret(load_settings({}, data_dir=sys.argv[1])))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(3)
    ]
    secrets = {process.communicate()[0] for process in running}
    assert len(secrets) == 1
    assert [file.name for file in folder.iterdir()] == ["token.secret"]

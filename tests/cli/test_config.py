"""`aftersales config check`."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import aftersales

SECRET = "a-secret-of-more-than-32-characters-here"


def _by_name(told: Any) -> dict[str, Any]:
    return {row["name"]: row for row in told["settings"]}


def test_it_shows_what_is_in_force_and_where_it_comes_from(folder: Path, tmp_path: Path) -> None:
    """Nobody has to guess which of several places a value came from."""
    (tmp_path / "secret").write_text(SECRET + "\n")
    told = aftersales(
        *("config", "check", "--json", "--data-dir", str(folder)),
        PORT="9000",
        TOKEN_SECRET_FILE=str(tmp_path / "secret"),
    )
    assert told.status == 0
    assert told.json["ok"] is True
    assert told.json["policy"].partition("+")[2]
    rows = _by_name(told.json)
    assert rows["AFTERSALES_PORT"]["value"] == 9000
    assert rows["AFTERSALES_PORT"]["source"] == "AFTERSALES_PORT"
    assert rows["AFTERSALES_HOST"]["source"] == "default"
    assert rows["AFTERSALES_DATA_DIR"]["source"] == "--data-dir"
    assert rows["AFTERSALES_TOKEN_SECRET"]["source"] == "AFTERSALES_TOKEN_SECRET_FILE"


def test_it_does_not_promise_what_it_did_not_try(folder: Path) -> None:
    """A wrong password is not found out here, and nobody is led to believe that it was."""
    told = aftersales("config", "check", "--data-dir", str(folder), TOKEN_SECRET=SECRET)
    assert told.status == 0
    assert "没有连接任何服务器" in told.out
    assert "nothing was connected to" in told.out


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_secrets_are_never_shown(folder: Path, more: tuple[str, ...]) -> None:
    """Neither a good secret nor a bad one appears anywhere."""
    for secret in (SECRET, "tooshort"):
        told = aftersales("config", "check", "--data-dir", str(folder), *more, TOKEN_SECRET=secret)
        assert secret not in told.out + told.err
        assert "***" in told.out


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "postgresql://shop:hunter2@db:5432/aftersales_{service}",
            "postgresql://shop:***@db:5432/aftersales_{service}",
        ),
        ("postgresql://{service}@db/aftersales_{service}", "postgresql://{service}@db/aftersales_{service}"),
        ("postgresql://db/a_{service}?user=x&password=hunter2", "postgresql://db/a_{service}?user=***&password=***"),
        ("postgresql://shop:hunter2#x@db/a_{service}", "***"),
        ("postgresql://shop:a/hunter2@db/a_{service}", "***"),
        ("shop:hunter2@db", "***"),
        ("mysql://shop:hunter2@db/x", "mysql://shop:***@db/x"),
    ],
)
def test_passwords_in_addresses_are_hidden(folder: Path, url: str, shown: str) -> None:
    """Where the database is may be seen, the password never, whether the address is right or wrong."""
    told = aftersales("config", "check", "--json", "--data-dir", str(folder), DATABASE_URL=url)
    assert _by_name(told.json)["AFTERSALES_DATABASE_URL"]["value"] == shown
    for name in ("GATEWAY_URL", "MEDIA_URL"):
        told = aftersales("config", "check", "--data-dir", str(folder), **{name: "https://shop:hunter2@host/x"})
        assert "hunter2" not in told.out + told.err


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"PROT": "1"}, "AFTERSALES_PROT: 没有这个设置"),
        ({"PORT": "http"}, "AFTERSALES_PORT: 须为整数 / must be a whole number"),
        ({"PORT": "65536"}, "AFTERSALES_PORT: 不能大于 65535 / must be at most 65535"),
        ({"CLOCK": "sundial"}, "AFTERSALES_CLOCK: 只能是 'system' or 'manual'"),
        ({"TOKEN_SECRET": "short"}, "AFTERSALES_TOKEN_SECRET: 须有 32"),
        ({"TOKEN_SECRET_FILE": "/nowhere"}, "AFTERSALES_TOKEN_SECRET_FILE: 无法读取文件 /nowhere"),
        ({"TOKEN_SECRET": SECRET, "TOKEN_SECRET_FILE": "/nowhere"}, "set only one of the two"),
        ({"GATEWAY": "sandbox"}, "AFTERSALES_GATEWAY_URL: 支付网关"),
        ({"GATEWAY": "sandbox", "GATEWAY_URL": "http://127.0.0.1:1"}, "AFTERSALES_GATEWAY_SECRET: 支付网关"),
        ({"GATEWAY_TIMEOUT_SECONDS": "0"}, "AFTERSALES_GATEWAY_TIMEOUT_SECONDS: 须大于 0"),
        ({"ASK_EVERY_SECONDS": "inf"}, "AFTERSALES_ASK_EVERY_SECONDS:"),
        ({"DATABASE_URL": "postgresql://db/x"}, "AFTERSALES_DATABASE_URL: 须含 {service}"),
        ({"KAFKA_SERVERS": "a:9092"}, "AFTERSALES_KAFKA_SERVERS: 用 Kafka 时须设 AFTERSALES_DATABASE_URL"),
        ({"POLICY_FILE": "/nowhere.yaml"}, "AFTERSALES_POLICY_FILE: 无法读取 /nowhere.yaml"),
    ],
)
def test_mistakes_are_listed(folder: Path, environ: dict[str, str], said: str) -> None:
    """Each wrong variable is named with its rule in both languages; the exit status is 2."""
    told = aftersales("config", "check", "--json", "--data-dir", str(folder), **environ)
    assert told.status == 2
    assert any(said in mistake for mistake in told.json["mistakes"]), told.json["mistakes"]
    assert aftersales("config", "check", "--data-dir", str(folder), **environ).status == 2


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """It is found out before the start, and without making the folder."""
    (tmp_path / "file").touch()
    told = aftersales("config", "check", "--json", "--data-dir", str(tmp_path / "file" / "data"))
    assert told.status == 2
    assert "AFTERSALES_DATA_DIR" in told.json["mistakes"][0]


def test_mistakes_of_a_policy_have_their_lines(folder: Path, tmp_path: Path) -> None:
    """The shop's file is checked as at the start."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("authority:\n  agent: 20.5\n")
    told = aftersales("config", "check", "--json", "--data-dir", str(folder), POLICY_FILE=str(policy))
    assert told.status == 2
    assert "policy.yaml:2: authority.agent" in told.json["mistakes"][0]

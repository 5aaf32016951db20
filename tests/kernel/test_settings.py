"""Configuration: what is set is in force, what is wrong is named before anything starts."""

from pathlib import Path

import pytest

from services.kernel.settings import SettingsInvalid, load_settings, sources

SECRET = "whsec_c2VjcmV0IG9mIHRlc3Rz"
POSTGRES = {"AFTERSALES_DATABASE_URL": "postgresql://u:p@db/aftersales_{service}"}


def mistakes(environ: dict[str, str], **given: object) -> str:
    with pytest.raises(SettingsInvalid) as invalid:
        load_settings(environ, **given)
    return "\n".join(invalid.value.mistakes)


def test_defaults_need_nothing() -> None:
    """A newcomer sets nothing and gets a server on this machine with payouts by hand."""
    settings = load_settings({})
    assert (settings.host, settings.port, settings.gateway, settings.clock) == ("127.0.0.1", 8080, "manual", "system")


def test_environment_and_options() -> None:
    """What is given in the call comes before the environment, other programs' variables are none of ours."""
    environ = {"AFTERSALES_PORT": "9000", "AFTERSALES_DATA_DIR": "/srv/x", "PORT": "1", "aftersales_port": "2"}
    settings = load_settings(environ, port=9001)
    assert (settings.port, settings.data_dir) == (9001, Path("/srv/x"))
    assert sources(environ) == {"port": "AFTERSALES_PORT", "data_dir": "AFTERSALES_DATA_DIR"}


def test_only_the_given_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's own variables do not slip in where another environment was given."""
    monkeypatch.setenv("AFTERSALES_PORT", "9000")
    assert load_settings({}).port == 8080
    assert load_settings().port == 9000


def test_unknown_name_stops_the_start() -> None:
    """A misspelt setting is told, with the one that was probably meant, not silently ignored."""
    assert "did you mean AFTERSALES_DATA_DIR?" in mistakes({"AFTERSALES_DATADIR": "x"})


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"AFTERSALES_PORT": "http"}, "AFTERSALES_PORT"),
        ({"AFTERSALES_PORT": "70000"}, "AFTERSALES_PORT"),
        ({"AFTERSALES_GATEWAY": "alipay"}, "AFTERSALES_GATEWAY"),
        ({"AFTERSALES_ASK_EVERY_SECONDS": "0"}, "AFTERSALES_ASK_EVERY_SECONDS"),
        ({"AFTERSALES_ASK_EVERY_SECONDS": "inf"}, "AFTERSALES_ASK_EVERY_SECONDS"),
        ({"AFTERSALES_GATEWAY_TIMEOUT_SECONDS": "nan"}, "AFTERSALES_GATEWAY_TIMEOUT_SECONDS"),
        ({"AFTERSALES_LOG_LEVEL": "loud"}, "AFTERSALES_LOG_LEVEL"),
        ({"AFTERSALES_TOKEN_SECRET": "short"}, "AFTERSALES_TOKEN_SECRET"),
        ({"AFTERSALES_GATEWAY": "sandbox"}, "AFTERSALES_GATEWAY_URL"),
        ({"AFTERSALES_GATEWAY": "sandbox", "AFTERSALES_GATEWAY_URL": "http://x"}, "AFTERSALES_GATEWAY_SECRET"),
        ({"AFTERSALES_DATABASE_URL": "mysql://u:p@h/aftersales_{service}"}, "AFTERSALES_DATABASE_URL"),
        ({"AFTERSALES_DATABASE_URL": "postgresql://u:p@h:x/aftersales_{service}"}, "AFTERSALES_DATABASE_URL"),
        ({"AFTERSALES_DATABASE_URL": "postgresql://u:p@h/aftersales"}, "AFTERSALES_DATABASE_URL"),
        ({"AFTERSALES_DATABASE_URL": "postgresql://{service}:p@h"}, "AFTERSALES_DATABASE_URL"),
        ({**POSTGRES, "AFTERSALES_KAFKA_SERVERS": "broker"}, "AFTERSALES_KAFKA_SERVERS"),
        ({**POSTGRES, "AFTERSALES_KAFKA_SERVERS": "a:9092, b:9092"}, "AFTERSALES_KAFKA_SERVERS"),
        ({**POSTGRES, "AFTERSALES_KAFKA_SERVERS": "a:9092,b:65536"}, "AFTERSALES_KAFKA_SERVERS"),
        ({"AFTERSALES_KAFKA_SERVERS": "a:9092"}, "AFTERSALES_KAFKA_SERVERS"),
        ({"AFTERSALES_KAFKA_PREFIX": "Shop/"}, "AFTERSALES_KAFKA_PREFIX"),
        ({"AFTERSALES_KAFKA_SECURITY": "TLS"}, "AFTERSALES_KAFKA_SECURITY"),
        ({"AFTERSALES_KAFKA_SECURITY": "SASL_SSL"}, "AFTERSALES_KAFKA_USERNAME"),
        ({"AFTERSALES_KAFKA_SECURITY": "SASL_SSL"}, "AFTERSALES_KAFKA_PASSWORD"),
        ({"AFTERSALES_KAFKA_SECURITY": "SSL", "AFTERSALES_KAFKA_CA": "/nowhere.pem"}, "AFTERSALES_KAFKA_CA"),
        ({"AFTERSALES_KAFKA_CA": __file__}, "AFTERSALES_KAFKA_CA"),
        ({"AFTERSALES_KAFKA_PARTITIONS": "0"}, "AFTERSALES_KAFKA_PARTITIONS"),
        ({"AFTERSALES_KAFKA_RETENTION_DAYS": "0"}, "AFTERSALES_KAFKA_RETENTION_DAYS"),
        ({"AFTERSALES_KAFKA_RETENTION_DAYS": "-2"}, "AFTERSALES_KAFKA_RETENTION_DAYS"),
        ({"AFTERSALES_OTLP_ENDPOINT": "collector:4318"}, "AFTERSALES_OTLP_ENDPOINT"),
        ({"AFTERSALES_API_URL": "http://front/v1"}, "AFTERSALES_API_URL"),
        ({"AFTERSALES_API_URL": "cases=front"}, "AFTERSALES_API_URL"),
        ({"AFTERSALES_API_URL": "http://front,http://front"}, "AFTERSALES_API_URL"),
        ({"AFTERSALES_CONSOLE_URL": "shop.example"}, "AFTERSALES_CONSOLE_URL"),
        ({"AFTERSALES_CONSOLE_URL": "https://shop.example/console"}, "AFTERSALES_CONSOLE_URL"),
        ({"AFTERSALES_OIDC_ISSUER": "http://id.example", "AFTERSALES_OIDC_CLIENT_ID": "x"}, "AFTERSALES_OIDC_ISSUER"),
        ({"AFTERSALES_OIDC_ISSUER": "id.example", "AFTERSALES_OIDC_CLIENT_ID": "x"}, "AFTERSALES_OIDC_ISSUER"),
        ({"AFTERSALES_OIDC_ISSUER": "https://u:p@h", "AFTERSALES_OIDC_CLIENT_ID": "x"}, "AFTERSALES_OIDC_ISSUER"),
        ({"AFTERSALES_OIDC_ISSUER": "https://id.example"}, "AFTERSALES_OIDC_CLIENT_ID"),
        ({"AFTERSALES_OIDC_CLIENT_ID": "console"}, "AFTERSALES_OIDC_CLIENT_ID"),
        ({"AFTERSALES_OIDC_SCOPES": "profile"}, "AFTERSALES_OIDC_SCOPES"),
        ({"AFTERSALES_OIDC_ROLES_CLAIM": ""}, "AFTERSALES_OIDC_ROLES_CLAIM"),
        ({"AFTERSALES_CLOCK_FILE": "clock"}, "AFTERSALES_CLOCK_FILE"),
    ],
)
def test_wrong_value_is_named(environ: dict[str, str], name: str) -> None:
    """Each mistake names its variable and its rule in both languages."""
    assert f"{name}: " in mistakes(environ)
    assert " / " in mistakes(environ)


def test_each_service_has_its_own_database() -> None:
    """The address names the place of the service in it; without one, it is a file of the data folder."""
    settings = load_settings(POSTGRES, kafka_servers="a:9092,[::1]:9093", kafka_retention_days=-1)
    assert settings.database_of("cases") == "postgresql://u:p@db/aftersales_cases"
    assert load_settings({}, data_dir=Path("/srv")).database_of("cases") == "sqlite+aiosqlite:////srv/cases.db"


def test_passwords_come_from_files(tmp_path: Path) -> None:
    """The database's address and the brokers' password are secrets like any other."""
    for name, content in (("url", POSTGRES["AFTERSALES_DATABASE_URL"]), ("password", "hunter2")):
        (tmp_path / name).write_text(f"{content}\n", encoding="ascii")
    settings = load_settings(
        {
            "AFTERSALES_DATABASE_URL_FILE": str(tmp_path / "url"),
            "AFTERSALES_KAFKA_SECURITY": "SASL_PLAINTEXT",
            "AFTERSALES_KAFKA_USERNAME": "shop",
            "AFTERSALES_KAFKA_PASSWORD_FILE": str(tmp_path / "password"),
        }
    )
    assert settings.kafka_password.get_secret_value() == "hunter2"
    assert settings.database_of("refunds") == "postgresql://u:p@db/aftersales_refunds"
    assert "hunter2" not in repr(settings)
    assert "u:p" not in repr(settings)


def test_every_mistake_at_once() -> None:
    """Who corrects a configuration sees all that is wrong with it."""
    told = mistakes({"AFTERSALES_PORT": "x", "AFTERSALES_CLOCK": "y"})
    assert "AFTERSALES_PORT" in told
    assert "AFTERSALES_CLOCK" in told


def test_secrets_come_from_files(tmp_path: Path) -> None:
    """A secret may stand in a file, so that no list of processes or variables shows it."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n", encoding="ascii")
    settings = load_settings({"AFTERSALES_GATEWAY_SECRET_FILE": str(file)})
    assert settings.gateway_secret.get_secret_value() == SECRET
    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_unreadable_secret_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    """A file that is missing, or is no text, stops the start."""
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    told = mistakes({"AFTERSALES_TOKEN_SECRET_FILE": str(tmp_path / "secret")})
    assert "AFTERSALES_TOKEN_SECRET_FILE" in told


def test_value_and_file_at_once_are_refused(tmp_path: Path) -> None:
    """Two sources of one secret leave open which one counts."""
    file = tmp_path / "secret"
    file.write_text("x" * 40, encoding="ascii")
    told = mistakes({"AFTERSALES_TOKEN_SECRET": "y" * 40, "AFTERSALES_TOKEN_SECRET_FILE": str(file)})
    assert "only one" in told


def test_mistakes_do_not_tell_secrets() -> None:
    """A secret that is refused is not repeated in the message."""
    assert "hunter2" not in mistakes({"AFTERSALES_TOKEN_SECRET": "hunter2"})
    assert "hunter2" not in mistakes({"AFTERSALES_DATABASE_URL": "mysql://u:hunter2@h/x"})


@pytest.mark.parametrize(
    "issuer", ["https://id.example/realms/shop", "http://localhost:9000", "http://127.0.0.1:9000", "http://[::1]:9000/"]
)
def test_providers_of_sign_in_are_reached_safely(issuer: str) -> None:
    """A provider is asked over https; on this machine plain http will do."""
    settings = load_settings(
        {"AFTERSALES_OIDC_ISSUER": issuer, "AFTERSALES_OIDC_CLIENT_ID": "console"}, console_url="https://shop.example/"
    )
    assert (settings.oidc_issuer, settings.console_url) == (issuer, "https://shop.example")


@pytest.mark.parametrize(
    "url", ["http://front", "http://{service}-api:8080", "cases=http://a:1,refunds=https://[::1]:2"]
)
def test_the_api_is_reached_at_one_address_or_at_each_services_own(url: str) -> None:
    """A console of its own is told of a front, of names that hold the service's, or of every address."""
    assert load_settings({"AFTERSALES_API_URL": url}).api_url == url

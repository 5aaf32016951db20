"""What the files set is what the program knows, and what they run is what it can do."""

import json
import re
from collections.abc import Mapping
from itertools import takewhile

from services.catalogue import SERVICES
from services.console_process import base_url_of
from services.kernel.settings import Settings, load_settings
from services.process import ROLES
from tests.deploy.files import CHART, DEPLOY, compose, filled, own_containers, read_yaml

_NAME = re.compile(r"\bAFTERSALES_[A-Z_]+[A-Z]\b")
#: Words that Compose itself fills in, and what is no setting but is named for what it does not do.
_NO_SETTING = {"AFTERSALES_IMAGE", "AFTERSALES_CASES_API_PORT"}


def test_every_container_starts_with_settings_that_are_valid(secrets: Mapping[str, str]) -> None:
    """No container ends at its start because a setting is misspelt, missing or contradicts another."""
    seen = 0
    for name, _, environment in own_containers():
        settings = load_settings(_with_files(environment, secrets))
        if name.endswith("console"):
            assert base_url_of(settings.api_url)("GET", "/v1/payouts").endswith("refunds-api:8080"), name
        else:
            assert settings.kafka_servers, name
            assert "{service}" in settings.database_url.get_secret_value(), name
        seen += 1
    assert seen == 18 + 2 * 18


def test_a_console_knows_no_database_and_no_broker() -> None:
    """What it shows, it asks the API for; whoever gets into it gets into no database."""
    for name, command, environment in own_containers():
        if command == ["console"]:
            assert not [one for one in environment if "DATABASE" in one or "KAFKA" in one], name


def test_a_provider_is_added_to_compose_with_all_that_it_needs(secrets: Mapping[str, str]) -> None:
    """With the second file, the console starts with what the provider gave, and can reach it."""
    added = read_yaml(DEPLOY / "compose.oidc.yaml")
    console = added["services"]["console"]
    assert console["networks"] == ["outside"]
    assert set(console["secrets"]) == added["secrets"].keys()
    own = {name: _example(value) for name, value in console["environment"].items()}
    settings = load_settings(_with_files(filled(compose()["services"]["console"]["environment"]) | own, secrets))
    assert (settings.oidc_issuer, settings.oidc_client_secret.get_secret_value()) == ("https://x.example", "secret")


def test_no_secret_is_written_into_an_environment() -> None:
    """Whoever may read a pod or a Compose file learns no secret from it."""
    secret = {f"AFTERSALES_{name.upper()}" for name, field in Settings.model_fields.items() if _is_secret(field)}
    assert {"AFTERSALES_TOKEN_SECRET", "AFTERSALES_DATABASE_URL"} <= secret
    for name, _, environment in own_containers():
        assert not secret & environment.keys(), name


def test_every_setting_named_anywhere_exists() -> None:
    """Comments, documentation and defaults name settings that the program has."""
    known = {f"AFTERSALES_{name.upper()}" for name in Settings.model_fields}
    known |= {f"{name}_FILE" for name in known}
    for file in sorted(DEPLOY.rglob("*")):
        if file.is_file() and "secrets" not in file.parts and file.name != "requirements.lock":
            unknown = set(_NAME.findall(file.read_text(encoding="utf-8"))) - known - _NO_SETTING
            assert not unknown, file


def test_every_command_that_is_run_exists(commands: frozenset[str]) -> None:
    """Every service runs in every role, each with its migration, by commands that the program has."""
    run: dict[str, set[tuple[str, ...]]] = {}
    for name, command, _ in own_containers():
        assert command[0] in commands, name
        words = takewhile(lambda word: not word.startswith("-"), command)
        run.setdefault(name.split()[0], set()).add(tuple(words))
    roles = ROLES.keys() - {"all"}
    expected: set[tuple[str, ...]] = {(role, service) for role in [*roles, "migrate"] for service in SERVICES}
    expected |= {("topics", "ensure"), ("console",)}
    assert run == {"compose": expected, "minimal": expected, "full": expected}


def test_the_image_starts_the_embedded_server_where_others_can_reach_it(commands: frozenset[str]) -> None:
    """`docker run` alone gives a server that answers from outside and writes only into its own folder."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    settings = load_settings(dict(re.findall(r"(AFTERSALES_\w+)=(\S+)", text)))
    assert (settings.host, settings.port, str(settings.data_dir)) == ("0.0.0.0", 8080, "/var/lib/aftersales")
    assert json.loads(_last(text, "ENTRYPOINT")) == ["aftersales"]
    assert json.loads(_last(text, "CMD"))[0] in commands


def test_what_somebody_is_told_to_type_exists(commands: frozenset[str]) -> None:
    """At night, a runbook names commands that the program has."""
    told = (DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    told += (CHART / "templates" / "NOTES.txt").read_text(encoding="utf-8")
    typed = set(re.findall(r"(?<![\w/])aftersales ([a-z]+)", told))
    assert typed
    assert typed <= commands


def _with_files(environment: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
    return {name: secrets[name] if value.startswith("/run/secrets/") else value for name, value in environment.items()}


def _example(value: str) -> str:
    """A value that a person has to give, as they might; else its default."""
    return re.sub(r"^\$\{\w+:\?[^}]*\}$", "https://x.example", filled({"": value})[""])


def _is_secret(field: object) -> bool:
    return "SecretStr" in repr(field)


def _last(dockerfile: str, instruction: str) -> str:
    *_, last = re.findall(rf"^{instruction} (.+)$", dockerfile, re.MULTILINE)
    return str(last)

"""What the tests of the deployment share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.main import get_command

from contracts.policy import load_policy
from services.catalogue import SERVICES
from services.cli.main import app
from services.kernel.clock import SystemClock
from services.kernel.settings import load_settings


@pytest.fixture(scope="session")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[web.RouteDef]]:
    """The routes of each service, as it says itself."""
    settings = load_settings({}, data_dir=tmp_path_factory.mktemp("data"))
    return {name: make(settings, load_policy(), SystemClock()).routes() for name, make in SERVICES.items()}


@pytest.fixture(scope="session")
def commands() -> frozenset[str]:
    """What can be typed after `aftersales`."""
    group: Any = get_command(app)
    return frozenset(group.commands)


@pytest.fixture
def secrets(tmp_path: Path) -> Mapping[str, str]:
    """Files as secrets would be mounted, by the setting that names them."""
    contents = {
        "AFTERSALES_TOKEN_SECRET_FILE": "t" * 64,
        "AFTERSALES_DATABASE_URL_FILE": "postgresql://aftersales_{service}:secret@postgres/aftersales_{service}",
        "AFTERSALES_KAFKA_PASSWORD_FILE": "secret",
        "AFTERSALES_KAFKA_CA": "-----BEGIN CERTIFICATE-----",
        "AFTERSALES_GATEWAY_SECRET_FILE": "whsec_c2VjcmV0",
        "AFTERSALES_POLICY_FILE": "authority: {agent: 3000}",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    return {name: str(tmp_path / name) for name in contents}

"""What the tests of the deployment share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from services.cli.main import app


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
        "AFTERSALES_OIDC_CLIENT_SECRET_FILE": "secret",
        "AFTERSALES_POLICY_FILE": "authority: {agent: 3000}",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    return {name: str(tmp_path / name) for name in contents}

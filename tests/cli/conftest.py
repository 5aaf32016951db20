"""What tests of the command line have in common."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.cli.terminal import ORDER, Server, until


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """A command sets up logging for its process; here others come after it."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="package")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server with one case: 20 yuan paid, and the supplier late."""
    with Server(tmp_path_factory.mktemp("shop"), DRAIN_SECONDS="0") as server:
        server.call("/v1/orders/TB1001", ORDER, "service", "PUT")
        opened = {"order_id": "TB1001", "problem": "logistics_delay", "description": "晚了 [late]"}
        assert server.call("/v1/cases", opened, "agent")["case_id"] == "TB1001-1"
        for command, body in (
            ("propose-compensation", {"kind": "cash", "amount_fen": 2000}),
            ("record-buyer-reply", {"proposal": "P1", "accepted": True}),
            ("pay-compensation", {"proposal": "P1", "payment_ref": "ALI-1"}),
            ("assess-cause", {"cause": "supply_delay"}),
        ):
            assert "events" in server.call(f"/v1/cases/TB1001-1/{command}", body, "agent")
        until(lambda: server.call("/v1/cases/TB1001-1")["losses"] == {"purchasing": 2000}, "the loss is charged")
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder that does not exist yet."""
    return tmp_path / "data"

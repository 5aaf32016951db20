"""Every scenario that is written down happens: the project's own set, and the one that the business gave."""

from pathlib import Path

import pytest

from services.scenarios.format import load_scenario
from services.scenarios.instance import start_embedded
from services.scenarios.runner import play

ROOT = Path(__file__).parents[2]
OWN = sorted((ROOT / "services/scenarios/library").glob("*.yaml"))
GIVEN = sorted((ROOT.parent / "shared/scenarios").glob("*.yaml"))


@pytest.mark.parametrize("file", [*OWN, *GIVEN], ids=lambda file: file.stem)
async def test_scenario_holds(file: Path) -> None:
    """What the file says must happen, happens: through the HTTP API and the real flow of events."""
    result = await play(load_scenario(file), start_embedded, str(file))
    assert result.ok, "\n".join(f"{difference.where}: {difference.en}" for difference in result.differences)

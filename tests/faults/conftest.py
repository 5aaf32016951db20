"""The stage, set up once for all fault tests, and gone before others begin: it keeps both cores busy."""

import asyncio
import os
import random
from collections.abc import Iterator

import pytest

from tests.faults.stage import Stage


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Everything at work. The seed of the loads is drawn and printed; `FAULTS_SEED` gives one."""
    seed = int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"FAULTS_SEED={seed}")
    stage = Stage(tmp_path_factory.mktemp("faults"), seed)
    try:
        asyncio.run(stage.open())
        yield stage
    finally:
        asyncio.run(stage.close())

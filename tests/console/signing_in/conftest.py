"""A running provider, started once and left as it is."""

from collections.abc import Iterator

import pytest

from tests.console.provider.running import throwaway_provider


@pytest.fixture(scope="session")
def issuer() -> Iterator[str]:
    """A provider that tells of people when it is asked."""
    with throwaway_provider() as issuer:
        yield issuer

"""An object store of evidence files that nobody answers for."""

from typing import Final

import pytest

from services.stack.ports import free_port

#: Where files would be kept there.
PLACE: Final = "s3://evidence/files"


def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a port that nothing listens on as the object store of this process and of those that it starts."""
    for name, value in (
        ("AWS_ENDPOINT", f"http://127.0.0.1:{free_port()}"),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "test"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ):
        monkeypatch.setenv(name, value)

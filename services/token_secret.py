"""The secret that signs tokens: shared by all processes of a shop."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from services.kernel.settings import Settings


def token_secret(settings: Settings) -> str:
    """The secret that is set, else one drawn once and kept in the data folder."""
    given = settings.token_secret.get_secret_value()
    if given:
        return given
    file = settings.data_dir / "token.secret"
    if not file.exists():
        _write_secret(file)
    return file.read_text(encoding="ascii").strip()


def _write_secret(file: Path) -> None:
    """Written beside it and then linked: of several processes that begin at once, the first one's counts."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    draft.touch(mode=0o600)
    try:
        draft.write_text(secrets.token_urlsafe(48), encoding="ascii")
        with suppress(FileExistsError):
            os.link(draft, file)
    finally:
        draft.unlink()

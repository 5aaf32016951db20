"""The secret that signs tokens: shared by all processes of a shop."""

import secrets

from services.kernel.settings import Settings
from services.kernel.whole_file import put_first


def token_secret(settings: Settings) -> str:
    """The secret that is set, else one drawn once and kept in the data folder."""
    given = settings.token_secret.get_secret_value()
    if given:
        return given
    file = settings.data_dir / "token.secret"
    if not file.exists():
        put_first(file, secrets.token_urlsafe(48).encode("ascii"), private=True)
    return file.read_text(encoding="ascii").strip()

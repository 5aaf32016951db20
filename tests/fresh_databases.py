"""Databases of services that begin anew: each kind is migrated once in a test process, and copied from then on.

Only what a service does of itself when it starts is served so. Tests of migrations call them directly, and a file that
is there already is migrated as ever.
"""

import os
import threading
from contextlib import suppress
from pathlib import Path

from sqlalchemy import make_url

from services.kernel.migrations import migrate


class FreshDatabases:
    """Stands for `migrate`."""

    def __init__(self, folder: Path) -> None:
        """`folder`: where the originals are kept."""
        self._folder = folder
        self._originals: dict[Path, Path] = {}
        self._copies = 0
        self._turn = threading.Lock()

    def migrate(self, database_url: str, script_location: str | Path) -> None:
        """The same as the real one does, sooner."""
        url = make_url(database_url)
        if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
            self._copy(Path(script_location), Path(url.database))
        migrate(database_url, script_location)

    def _copy(self, script_location: Path, file: Path) -> None:
        with self._turn:
            if script_location not in self._originals:
                original = self._folder / f"{len(self._originals)}.db"
                migrate(f"sqlite:///{original}", script_location)
                self._originals[script_location] = original
            self._copies += 1
            draft = file.with_name(f"{file.name}.{os.getpid()}-{self._copies}")
        draft.write_bytes(self._originals[script_location].read_bytes())
        with suppress(FileExistsError):  # another process was first
            os.link(draft, file)
        draft.unlink()

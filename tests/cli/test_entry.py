"""Where the installed program begins."""

import subprocess
import sys
import tomllib
from pathlib import Path


def test_nothing_is_imported_before_the_command_line_is_wanted() -> None:
    """Worker processes import the program's module again: what it imports at once, each of them waits for."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    module = project["project"]["scripts"]["aftersales"].partition(":")[0]
    program = f"import sys, {module}; print(*(name for name in sys.modules if name.startswith('services')))"
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert imported.stdout.split() == ["services", "services.cli", module]

"""Where the installed program begins."""

import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.main import get_group

from services.cli.main import COMMANDS, app


def test_nothing_is_imported_before_the_command_line_is_wanted() -> None:
    """Worker processes import the program's module again: what it imports at once, each of them waits for."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    module = project["project"]["scripts"]["aftersales"].partition(":")[0]
    program = f"import sys, {module}; print(*(name for name in sys.modules if name.startswith('services')))"
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert imported.stdout.split() == ["services", "services.cli", module]


def test_ctrl_c_while_it_begins_is_no_traceback() -> None:
    """Whoever changes their mind in the first second reads nothing, and the shell hears of an interruption."""
    for module in ("services.cli.main", "services.cli.output"):
        program = (
            "import os, signal, sys; from services.cli.entry import main; sys.argv = ['aftersales', 'version'];"
            "signal.signal(signal.SIGINT, signal.default_int_handler);"
            f"hit = lambda name, about: name == 'import' and about[0] == '{module}' and os.kill(os.getpid(), 2);"
            "sys.addaudithook(hit); main()"
        )
        begun = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert (begun.returncode, begun.stdout, begun.stderr) == (128 + signal.SIGINT, "", "")


def test_only_the_command_that_runs_is_imported() -> None:
    """A short command does not wait for the servers, brokers and databases of the others."""
    program = (
        "import sys; from services.cli.main import app; app(['version'], standalone_mode=False);"
        "print(*(name for name in sys.modules if name.startswith('services.cli.')), 'aiokafka' in sys.modules)"
    )
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *modules, kafka = imported.stdout.splitlines()[-1].split()
    assert kafka == "False"
    assert "services.cli.version" in modules
    assert not {"services.cli.serve", "services.cli.events", "services.cli.tokens"} & set(modules)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there(name: str) -> None:
    """A command that was moved or renamed cannot be left in the table."""
    command = get_group(app).commands[name]
    assert command.name == name
    assert command.help

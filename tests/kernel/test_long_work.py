"""Long work beside a service that answers requests."""

import os
import subprocess
import sys

PROGRAM = """
import os, subprocess, sys
from services.kernel.long_work import give_way

give_way()
give_way()
print(os.getpriority(os.PRIO_PROCESS, 0), flush=True)
subprocess.run([sys.executable, "-c", "import os; print(os.getpriority(os.PRIO_PROCESS, 0))"], check=True)
"""


def test_it_gives_way_with_all_that_it_begins() -> None:
    """A rebuild and its workers stand back behind the service that is at work; asked again, they stand back no more."""
    own = max(10, os.getpriority(os.PRIO_PROCESS, 0))
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert told.stdout.split() == [str(own), str(own)]

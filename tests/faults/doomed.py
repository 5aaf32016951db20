"""`python -m tests.faults.doomed POINT[:n[:freeze]] -- relay cases …`: the command line, in a doomed process."""

import sys

from services.cli.main import main
from tests.faults.points import Doom, doom


def run(arguments: list[str]) -> None:
    """Doom this process, then do what it was to do."""
    split = arguments.index("--")
    [fate] = arguments[:split]
    doom(Doom.parse(fate))
    sys.argv = ["aftersales", *arguments[split + 1 :]]
    main()


if __name__ == "__main__":
    run(sys.argv[1:])

"""Where the program `aftersales` begins.

Nothing is imported before it is known that the command line is wanted: worker processes begin with importing the main
module of who began them, and would take four times as long.
"""


def main() -> None:
    """The command line."""
    from services.cli.main import main as command_line

    command_line()

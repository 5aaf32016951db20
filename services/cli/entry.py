"""Where the program `aftersales` begins.

Nothing is imported before it is known that the command line is wanted: worker processes begin with importing the main
module of who began them, and would take four times as long.
"""

#: As a shell tells of a program that Ctrl-C ended.
INTERRUPTED = 130


def main() -> None:
    """The command line. Ctrl-C ends it without a word, however early it comes."""
    try:
        from services.cli.main import main as command_line

        command_line()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None

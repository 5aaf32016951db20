"""`python -m services.cli`: the command line, where no `aftersales` is on the path."""

from services.cli.entry import main

main()

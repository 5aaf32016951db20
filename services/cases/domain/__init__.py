"""What the cases service decides: files, commands and rules by subject; `domain.py` has the table of all commands."""

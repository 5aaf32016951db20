"""The command line `aftersales`: one module for each command, and what they show."""

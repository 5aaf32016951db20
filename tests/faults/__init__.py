"""Faults that the system survives (`faults.md`): real databases, brokers and processes under a stream of commands."""

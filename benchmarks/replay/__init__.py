"""Replaying a whole log, beside reading the same rows raw and beside the event-sourcing library."""

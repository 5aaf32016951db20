"""Scenario files: playing and checking them (domain.md §7)."""

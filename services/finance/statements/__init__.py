"""Statements and indicators of the stored books, of a month or of all time."""

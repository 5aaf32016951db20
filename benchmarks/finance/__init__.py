"""Reconciliation of many rows, beside a bare hash join of the same rows."""

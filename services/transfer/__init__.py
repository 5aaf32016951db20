"""Events taken out of a log: chosen, followed while they happen, moved to another installation, sent again."""

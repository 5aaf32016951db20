"""What if other rules had been in force: history decided again, in memory, and what would have come of it.

It reads the three logs and nothing else. Nothing here can write: it is given reads only, and imports nothing that
writes, publishes, pays or listens (`.importlinter` holds this).
"""

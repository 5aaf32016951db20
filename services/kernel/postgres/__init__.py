"""The event store on PostgreSQL; `store.py` is where to begin."""

"""The peers: what others would take to do the same, or as much of it as they can."""

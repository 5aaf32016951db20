"""Garbage collection in a process that serves."""

import gc


def spare_collector() -> None:
    """For a process that does nothing but serve, once it has started: look for garbage less often, and only in what
    came since.

    Measured with 32 clients: it took a seventh of the event loop's time (60 µs a command), and next to nothing after.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)

"""A thread that ends the process when its event loop stops making progress: whoever started it starts it anew.

A client of Kafka may fall silent for ever without an error, and a loop that is blocked can tell nobody.
"""

import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Final

import structlog

#: Longest that one turn of the consumer may take, in seconds; a statement of the database gives up long before.
LIMIT_SECONDS: Final = 180.0
#: Exit status: internal error, of sysexits.h.
EX_SOFTWARE: Final = 70

log = structlog.get_logger(__name__)


def _end_process() -> None:
    os._exit(EX_SOFTWARE)


class Watchdog:
    """Calls `end` once nobody has called `beat` for `limit_s` seconds.

    What counts is time that this process was running: one that was frozen and wakes has to have a chance to go on.
    """

    def __init__(self, limit_s: float = LIMIT_SECONDS, end: Callable[[], None] = _end_process) -> None:
        self._limit_s = limit_s
        self._end = end
        self._look_s = min(1.0, limit_s / 10)
        self._silent_s = 0.0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._watched = 0

    def start(self) -> None:
        """Begin to watch the thread that calls this."""
        self._silent_s = 0.0
        self._watched = threading.get_ident()
        self._stopped.clear()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def beat(self) -> None:
        """Something went on."""
        self._silent_s = 0.0

    def stop(self) -> None:
        """Watch no longer."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopped.set()
            thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(self._look_s):
            self._silent_s += self._look_s
            if self._silent_s >= self._limit_s:
                frame = sys._current_frames().get(self._watched)
                stack = "".join(traceback.format_stack(frame)) if frame else ""
                log.critical("watchdog_ends_process", silent_s=round(self._silent_s, 1), stack=stack)
                self._end()
                return

"""The watchdog: it ends what is stuck, and nothing else."""

import threading
import time

from structlog.testing import capture_logs

from services.kernel.kafka.watchdog import Watchdog


def test_silence_ends_the_process() -> None:
    """When nobody says for too long that something goes on, the process is ended, and it is told where it hung."""
    ended = threading.Event()
    watchdog = Watchdog(0.2, ended.set)
    with capture_logs() as logs:
        watchdog.start()
        assert ended.wait(5)
    watchdog.stop()
    assert [one["event"] for one in logs] == ["watchdog_ends_process"]
    assert "ended.wait(5)" in logs[0]["stack"]


def test_progress_keeps_it_alive() -> None:
    """As long as something goes on it bites nobody, and after it was stopped neither."""
    ended = threading.Event()
    watchdog = Watchdog(0.5, ended.set)
    watchdog.start()
    for _ in range(20):
        time.sleep(0.05)
        watchdog.beat()
    watchdog.stop()
    time.sleep(0.6)
    assert not ended.is_set()

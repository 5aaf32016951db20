"""A process for tests (`python -m tests.stack.child WHAT`): it says where it is, and then does WHAT."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from services.kernel.files import new_id

#: How often it shows that it is alive, in seconds.
BEAT_SECONDS = 0.01


def main() -> None:
    """`die`: ends before it says anything. `stay`: does not end when it is asked to. Else: ends when asked to."""
    what, folder = sys.argv[1:]
    print(f"told to {what}", file=sys.stderr, flush=True)
    if what == "die":
        sys.exit(3)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if what == "stay" else lambda *_: sys.exit(0))
    ours = {name: value for name, value in os.environ.items() if name.startswith("AFTERSALES_")}
    beating = Path(folder, "beat")
    beating.touch()
    print(json.dumps({"url": "http://127.0.0.1:1", "drawn": new_id(), "environment": ours}), flush=True)
    for beat in range(10_000):
        beating.write_text(str(beat))
        time.sleep(BEAT_SECONDS)


if __name__ == "__main__":
    main()

"""Named places where a test may end the process as a power cut would.

Set MASTHEAD_FAIL_POINT to `name:count:marker-file`: the process kills itself the count-th time it comes to that
place, once per marker file. As `frozen/name:count:marker-file` it stops there, until it is sent SIGCONT.
Unset, which is always so outside tests, a fail point costs one comparison.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

_SPEC = os.environ.get("MASTHEAD_FAIL_POINT", "")
_hits = 0


def fail_point(name: str) -> None:
    """Die or stop here, without any clean-up, if that is what MASTHEAD_FAIL_POINT says."""
    if not _SPEC:
        return
    global _hits
    place, count, marker = _SPEC.split(":", 2)
    frozen, _, wanted = place.rpartition("/")
    if name != wanted or Path(marker).exists():
        return
    _hits += 1
    if _hits >= int(count):
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGSTOP if frozen else signal.SIGKILL)
        time.sleep(
            0.5
        )  # another thread may be the one that is told: this one must not get any further meanwhile

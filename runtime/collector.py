"""The garbage collector of a process that serves for long and makes many short-lived values."""

from __future__ import annotations

import gc


def calm_collector() -> None:
    """Take what is loaded by now for what lives as long as the process, and look at the rest less often: at the
    default rhythm all of it is walked over and over (in a chunk of a bill run, a third of the time)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)

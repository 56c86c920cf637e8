"""Memory of a process: the peak that was resident, and what is its own alone.

getrusage is not asked where the kernel tells it better: its figure is inherited from whoever forked the process, so
that a child of a large parent seems large itself.
"""

from __future__ import annotations

import os
from pathlib import Path

import psutil


def peak_rss_mb(pid: int | None = None) -> int:
    """The peak resident memory in MB of process `pid` (this one by default) since it began its program; where the
    kernel keeps no peak, what it holds now."""
    number = os.getpid() if pid is None else pid
    status = Path(f"/proc/{number}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 1024
    return int(psutil.Process(number).memory_info().rss // 2**20)


def private_mb(pid: int) -> int | None:
    """The memory in MB that process `pid` shares with nobody (RssAnon) now; None where the kernel does not tell."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) // 1024
    return None

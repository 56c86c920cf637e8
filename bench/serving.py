"""Servers of a bench: processes on sockets of this machine, with a database and nothing else."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_NO_SECRETS: Mapping[str, str] = {}


@contextmanager
def served(
    command: Sequence[str], home: Path, url: str, secrets: Mapping[str, str] = _NO_SECRETS
) -> Iterator[str]:
    """A server process that is given the number of its listening socket as its last argument; its base URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        listener.set_inheritable(True)
        environment = os.environ | {
            "DATABASE_URL": url,
            "TEMPORAL_ADDRESS": "127.0.0.1:1",
            "MASTHEAD_HOME": str(home),
            **secrets,
        }
        process = subprocess.Popen(  # noqa: S603 (our own programs)
            [*command, str(listener.fileno())],
            env=environment,
            pass_fds=[listener.fileno()],
            cwd=Path(__file__).parents[1],
        )
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.terminate()
            process.wait(20)


def percentiles(waits: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the longest of `waits` (seconds), in milliseconds."""
    ordered = sorted(waits)
    return {
        f"p{percent}": round(1000 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 1)
        for percent in (50, 99)
    } | {"max": round(1000 * ordered[-1], 1)}

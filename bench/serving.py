"""Server processes for benches: the API and a bare application, on sockets of this machine; and a Temporal server that
can be stopped and started again."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from runtime.stack import launch, ports
from runtime.stack.temporal_server import server_command, server_environment

NAMESPACE = "bench"
STARTED_WITHIN_SECONDS = 60.0


@contextmanager
def served(
    command: Sequence[str], home: Path, url: str, environment: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A server process over the database `url` that takes the number of its listening socket as last argument; its base
    URL. Temporal is nowhere unless `environment` says so."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        listener.set_inheritable(True)
        own = {"DATABASE_URL": url, "TEMPORAL_ADDRESS": "127.0.0.1:1", "MASTHEAD_HOME": str(home)}
        process = subprocess.Popen(  # noqa: S603 (our own programs)
            [*command, str(listener.fileno())],
            env=os.environ | own | dict(environment or {}),
            pass_fds=[listener.fileno()],
            cwd=Path(__file__).parents[1],
        )
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.terminate()
            process.wait(20)


class TemporalServer:
    """The embedded server over a file in `folder`, on one port through all stops and starts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = ports.choose_port(0)
        self._ui_port = ports.choose_port(0, frozenset({self._port}))
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it and wait until its namespace can be used. Raises RuntimeError when it does not come."""
        command = server_command(
            self._folder / "temporal.db", port=self._port, ui_port=self._ui_port, namespace=NAMESPACE
        )
        with (self._folder / "temporal.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=server_environment(), stdout=log, stderr=log)  # noqa: S603
        deadline = time.monotonic() + STARTED_WITHIN_SECONDS
        while not ports.answers(self._port):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the Temporal server did not start: see {self._folder}/temporal.log")
            time.sleep(0.05)
        launch.prepare_temporal(self.address, NAMESPACE, 1, STARTED_WITHIN_SECONDS)

    def stop(self) -> None:
        """Stop it, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None


def percentiles(waits: Sequence[float]) -> dict[str, float]:
    """p50, p99 and max (nearest rank) of seconds, in milliseconds."""
    ordered = sorted(waits)
    return {
        f"p{percent}": round(1000 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 1)
        for percent in (50, 99)
    } | {"max": round(1000 * ordered[-1], 1)}

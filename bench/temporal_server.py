"""A Temporal server of a bench's own, which can be stopped and started again."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from runtime.stack import launch, ports
from runtime.stack.temporal_server import server_command, server_environment

NAMESPACE = "bench"
STARTED_WITHIN_SECONDS = 60.0


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

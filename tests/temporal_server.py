"""A Temporal server of a test's own, that can be killed and started again on its file."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from runtime.stack import launch, ports
from runtime.stack.temporal_server import server_command, server_environment
from tests.conftest import wait_until
from tests.names import NAMESPACE


class TemporalServer:
    """One dev server on a port and a file that stay the same through `kill` and `start`, with more `options`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._options = options
        self._folder = folder
        self._port = ports.choose_port(0)
        self._ui_port = ports.choose_port(0, frozenset({self._port}))
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start it and wait until the namespace can be used."""
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        file = self._folder / "temporal.db"
        command = server_command(file, port=self._port, ui_port=self._ui_port, namespace=NAMESPACE)
        command += self._options
        with (self._folder / "temporal.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=server_environment(), stdout=log, stderr=log, start_new_session=True
            )
        wait_until("the Temporal server listens", lambda: ports.answers(self._port))
        launch.prepare_temporal(self.address, NAMESPACE, 30, deadline_seconds=30)

    def kill(self) -> None:
        """Kill it, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

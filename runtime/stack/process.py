"""A child process under supervision: started in its own session, restarted with backoff, stopped in order."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import psutil

from runtime.stack.home import Home
from runtime.stack.state import ProcessRef, wait_gone

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
SETTLED_AFTER_SECONDS = 30.0


class Child:
    """One child of the supervisor. `poll` says whether it died; `due` whether it may be started again."""

    def __init__(
        self,
        home: Home,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        pass_descriptors: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self._home = home
        self._env = dict(env)
        self._descriptors = tuple(pass_descriptors)
        self._process: subprocess.Popen[bytes] | None = None
        self._pause = FIRST_PAUSE_SECONDS
        self._started_at = 0.0
        self._start_again_at = 0.0
        self.ref: ProcessRef | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def due(self) -> bool:
        """Whether the pause after the last death is over."""
        return time.monotonic() >= self._start_again_at

    def start(self) -> None:
        """Start the process with its output appended to its log."""
        log = self._home.open_log(self.name)
        try:
            # Its own session: Ctrl-C in the terminal reaches the supervisor alone, which stops all in order.
            self._process = subprocess.Popen(  # noqa: S603
                self.command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o077,
                pass_fds=self._descriptors,
            )
        finally:
            os.close(log)
        self._started_at = time.monotonic()
        self.ref = ProcessRef.of(self.name, self._process.pid)

    def poll(self) -> int | None:
        """The exit code of a process that died since the last call, once; the next start waits longer each
        time it dies soon after its start."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        if time.monotonic() - self._started_at > SETTLED_AFTER_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS
        self._start_again_at = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        self._process = None
        self.ref = None
        return code

    def ask_to_stop(self) -> None:
        """Send SIGTERM; harmless when it has ended."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.terminate()

    def wait_stopped(self, deadline_seconds: float) -> None:
        """Wait for the end after `ask_to_stop`; kill the whole session when the deadline passes."""
        if self._process is None:
            return
        try:
            self._process.wait(deadline_seconds)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None
        self.ref = None


def exit_words(code: int) -> str:
    """An exit code in words: 'exit code 1' or 'killed by SIGKILL'."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def stop_leftovers(refs: Sequence[ProcessRef], deadline_seconds: float = 10.0) -> list[ProcessRef]:
    """Stop processes that an earlier supervisor left behind, those whose id and start time both match.
    Returns the ones that were stopped."""
    left = [(ref, process) for ref in refs if (process := ref.process()) is not None]
    for ref, process in left:
        with suppress(psutil.Error):
            # To a postmaster SIGINT is the fast stop; SIGTERM would wait for its clients to leave.
            process.send_signal(signal.SIGINT if ref.name == "postgres" else signal.SIGTERM)
    if not wait_gone(refs, deadline_seconds):
        for ref in refs:
            if (process := ref.process()) is not None:
                with suppress(psutil.Error):
                    process.kill()
        wait_gone(refs, 5)
    return [ref for ref, _ in left]

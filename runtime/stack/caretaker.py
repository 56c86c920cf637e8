"""The caretaker: a small process that outlives a killed supervisor just long enough to stop what that one had started.

It reads the names of processes from a pipe whose other end only the supervisor holds. When the pipe ends without a
farewell the supervisor is gone, by kill -9 or for want of memory, and nobody would bring back or stop its children.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from runtime.stack.home import Home
from runtime.stack.process import stop_leftovers
from runtime.stack.state import ProcessRef

FAREWELL = "farewell"
# Those that use the servers before the servers, as in an orderly stop.
GROUPS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("api", "worker-"), 12.0),
    (("temporal",), 10.0),
    (("postgres",), 30.0),
)


class Caretaker:
    """The supervisor's side: it tells of every child, and says farewell when it has stopped them itself."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self._told: set[tuple[int, float]] = set()

    def watch(self, refs: Iterable[ProcessRef]) -> None:
        """Tell of `refs`; what was told before is not repeated, unless the caretaker itself had to be started anew."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        for ref in refs:
            key = (ref.pid, ref.create_time)
            if key not in self._told:
                self._told.add(key)
                self._say(ref.model_dump_json())

    def dismiss(self, deadline_seconds: float = 5.0) -> None:
        """Let it go: nothing is left to be stopped."""
        if self._process is None:
            return
        self._say(FAREWELL)
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(deadline_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _start(self) -> None:
        from runtime.stack.launch import search_path  # brings in more than the process itself should carry

        self._told.clear()
        log = self._home.open_log("stack")
        try:
            # Its own session: neither Ctrl-C nor the end of the terminal reaches it before it has done its work.
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "runtime.stack.caretaker", str(self._home.root)],
                cwd=self._home.root,
                env=os.environ | {"PYTHONPATH": search_path()},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                bufsize=0,
                start_new_session=True,
            )
        finally:
            os.close(log)

    def _say(self, line: str) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            with suppress(OSError):  # it has died: the next `watch` starts another
                process.stdin.write(line.encode() + b"\n")


def take_care(home: Home, refs: Sequence[ProcessRef]) -> list[ProcessRef]:
    """Stop those of `refs` that still run, group by group, and log it. Returns the ones that were stopped."""
    stopped: list[ProcessRef] = []
    for names, seconds in GROUPS:
        stopped += stop_leftovers([ref for ref in refs if ref.name.startswith(names)], seconds)
    if stopped:
        home.note(
            "orphans stopped",
            "the supervisor was killed; its caretaker stopped " + ", ".join(ref.name for ref in stopped),
        )
    return stopped


def main() -> int:
    """Read until the pipe ends, then stop what is left."""
    home = Home(Path(sys.argv[1]))
    refs: list[ProcessRef] = []
    for line in sys.stdin:
        if line.strip() == FAREWELL:
            return 0
        refs.append(ProcessRef.model_validate_json(line))
    take_care(home, refs)
    return 0


if __name__ == "__main__":
    sys.exit(main())

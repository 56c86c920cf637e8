"""How a command gets a running stack: it joins the one that is there, or starts one for its own time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runtime.settings import Settings
from runtime.stack.errors import StackError
from runtime.stack.home import Home
from runtime.stack.launch import search_path
from runtime.stack.locks import FileLock
from runtime.stack.state import Phase, StackState, read_state

LOOK_SECONDS = 0.05
READY_WITHIN_SECONDS = 180.0
STOPPED_WITHIN_SECONDS = 90.0


@dataclass(frozen=True)
class Stack:
    """Where the parts of a usable stack are. `api_url` is None when no API was asked for, `temporal_ui`
    when Temporal is external."""

    home: Path
    database_url: str
    temporal_address: str
    namespace: str
    temporal_ui: str | None
    api_url: str | None


@contextmanager
def ensure_stack(settings: Settings, *, workers: bool = True) -> Iterator[Stack]:
    """A stack for the time of the `with` block: the running one, else one started for it.

    `workers=False` is for commands that only need Postgres and Temporal, which start faster. What was
    started ends when the last command that uses it has left, also when that was killed; the one that
    started it waits for that end unless others go on using it. Progress goes to stderr.
    Raises StackError when the stack cannot be made ready.
    """
    external = _wholly_external(settings)
    if external is not None and (not workers or settings.workers == 0):
        yield external
        return
    home = Home(settings.home)
    try:
        home.prepare()
    except OSError as error:
        raise StackError(f"MASTHEAD_HOME {home.root} cannot be used: {error}") from error
    joining = _Joining(settings, home, workers)
    with FileLock(home.users_lock) as users, FileLock(home.workers_lock) as wanted:
        users.shared()
        if workers:
            wanted.shared()
        try:
            try:
                state = joining.wait_ready()
            finally:
                joining.progress.clear()
            yield _stack(home, state)
        finally:
            wanted.release()
            users.release()
            joining.wait_ended()


def running_stack(settings: Settings) -> StackState | None:
    """The state of the live stack in the home, whoever started it; None when there is none."""
    state = read_state(Home(settings.home))
    return state if state is not None and state.alive else None


def _wholly_external(settings: Settings) -> Stack | None:
    if settings.database_url is None or settings.temporal_address is None:
        return None
    return Stack(
        home=settings.home,
        database_url=settings.database_url,
        temporal_address=settings.temporal_address,
        namespace=settings.temporal_namespace,
        temporal_ui=None,
        api_url=None,
    )


def _stack(home: Home, state: StackState) -> Stack:
    if state.database_url is None or state.temporal_address is None:
        raise StackError(f"{home.state_file} says ready and names no servers; stop that stack and try again")
    return Stack(
        home=home.root,
        database_url=state.database_url,
        temporal_address=state.temporal_address,
        namespace=state.namespace,
        temporal_ui=state.temporal_ui,
        api_url=state.api_url,
    )


class _Progress:
    """One line on stderr, rewritten in a terminal and written once elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._shown = ""

    def show(self, text: str) -> None:
        if text == self._shown or not (self._terminal or not self._shown):
            return
        self._shown = text
        sys.stderr.write(f"\r\x1b[K{text} …" if self._terminal else f"{text} …\n")
        sys.stderr.flush()

    def clear(self) -> None:
        if self._shown and self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        self._shown = ""


class _Joining:
    def __init__(self, settings: Settings, home: Home, workers: bool) -> None:
        self._settings = settings
        self._home = home
        self._workers = workers
        self._started: subprocess.Popen[bytes] | None = None
        self.progress = _Progress()

    def wait_ready(self) -> StackState:
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < deadline:
            state = read_state(self._home)
            if state is not None and state.alive:
                if self._usable(state):
                    return state
                mine = self._started is not None and state.supervisor.pid == self._started.pid
                if state.phase is Phase.FAILED and mine:
                    raise StackError(state.message)
                self.progress.show(state.message or "waiting for the stack")
            elif self._started is None or self._started.poll() is not None:
                self._spawn(state)
            time.sleep(LOOK_SECONDS)
        raise StackError(f"the stack was not ready within {READY_WITHIN_SECONDS:g} s; see {self._home.logs}")

    def wait_ended(self) -> None:
        """Wait for the end of the supervisor that we started, unless another command uses it."""
        if self._started is None:
            return
        deadline = time.monotonic() + STOPPED_WITHIN_SECONDS
        while self._started.poll() is None and time.monotonic() < deadline:
            with FileLock(self._home.users_lock) as probe:
                # Shared fails while the supervisor closes down; exclusive then fails only beside other users.
                closing = not probe.try_shared()
            if not closing:
                with FileLock(self._home.users_lock) as probe:
                    alone = probe.try_exclusive()
                if not alone and not self._closing_now():
                    return
            time.sleep(LOOK_SECONDS)

    def _closing_now(self) -> bool:
        state = read_state(self._home)
        return state is None or state.phase in (Phase.STOPPING, Phase.FAILED)

    def _usable(self, state: StackState) -> bool:
        return state.phase is Phase.READY and (state.workers_ready or not self._workers)

    def _what_is_started(self) -> str:
        settings = self._settings
        parts = [] if settings.database_url else ["Postgres"]
        parts += [] if settings.temporal_address else ["Temporal"]
        if self._workers:
            parts += ["workers"] if settings.workers else []
            parts.append("the API")
        return ", ".join(parts) or "what this command needs"

    def _spawn(self, state: StackState | None) -> None:
        if self._started is not None and self._started.returncode != 0:
            # A supervisor leaves with 0 where another one was faster: then we look again.
            message = state.message if state is not None and state.phase is Phase.FAILED else ""
            raise StackError(message or f"the stack did not start\n{self._home.log_tail('stack')}")
        self.progress.show(f"starting {self._what_is_started()}")
        log = self._home.open_log("stack")
        try:
            self._started = subprocess.Popen(
                [sys.executable, "-m", "runtime.stack.supervisor"],
                cwd=self._home.root,
                env=os.environ | self._settings.environment() | {"PYTHONPATH": search_path()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)

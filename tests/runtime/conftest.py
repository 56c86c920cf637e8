"""Stacks in homes of their own, run as a user runs them: through the command line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from runtime.stack.home import Home
from runtime.stack.locks import is_held
from runtime.stack.ports import choose_port
from runtime.stack.state import Phase, StackState, read_state
from tests.conftest import wait_until

CHECKOUT = Path(__file__).parents[2]
USE_STACK = """
import sys
from runtime.process_exit import leave
from runtime.settings import load_settings
from runtime.stack.client import ensure_stack
with ensure_stack(load_settings(), workers="workers" in sys.argv) as stack:
    print(stack.temporal_address, stack.database_url, flush=True)
    sys.stdin.readline()
leave(0)
"""


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment for a stack in `home`, on ports that no other test and no developer's stack uses."""
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("TEMPORAL_", "MASTHEAD_", "DATABASE_URL"))
    }
    return {
        **inherited,
        "MASTHEAD_HOME": str(home),
        "MASTHEAD_WORKERS": "1",
        "MASTHEAD_API_PORT": str(choose_port(0)),
        "MASTHEAD_TEMPORAL_PORT": str(choose_port(0)),
        "MASTHEAD_TEMPORAL_UI_PORT": str(choose_port(0)),
        "PYTHONPATH": str(CHECKOUT),
        **more,
    }


def masthead(env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = [sys.executable, "-m", "runtime.cli.app", *arguments]
    return subprocess.run(command, env=dict(env), cwd=CHECKOUT, capture_output=True, text=True, timeout=60)


class Up:
    """One `masthead up`."""

    def __init__(self, env: dict[str, str], *, wait: bool = True) -> None:
        self.env = env
        self.home = Home(Path(env["MASTHEAD_HOME"]))
        self.output = self.home.root.with_suffix(".out")
        with self.output.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "runtime.cli.app", "up"],
                env=env,
                cwd=CHECKOUT,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until all parts are ready."""
        wait_until("the stack is up", lambda: self.ready or self.process.poll() is not None, 60)
        assert self.process.poll() is None, self.output.read_text()

    @property
    def state(self) -> StackState:
        state = read_state(self.home)
        assert state is not None
        return state

    @property
    def ready(self) -> bool:
        state = read_state(self.home)
        mine = state is not None and state.supervisor.pid == self.process.pid
        return state is not None and mine and state.phase is Phase.READY and state.workers_ready

    def pid(self, name: str) -> int:
        """The process id of the child called `name`."""
        return next(child.pid for child in self.state.children if child.name == name)

    def health(self) -> tuple[int, dict[str, object]]:
        """Status and body of GET /health."""
        status, body = get(f"{self.state.api_url}/health")
        return status, json.loads(body or "{}")

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal to the supervisor alone and wait for its end; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


def get(url: str, **headers: str) -> tuple[int, str]:
    """GET `url`; status 0 when nobody answers."""
    request = urllib.request.Request(url, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


class Command:
    """A process that uses the stack as a command does, until `finish`."""

    def __init__(self, env: dict[str, str], *arguments: str) -> None:
        self.home = Home(Path(env["MASTHEAD_HOME"]))
        self.process = subprocess.Popen(
            [sys.executable, "-c", USE_STACK, *arguments],
            env=env,
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_ready(self) -> str:
        """What it prints once it has its stack."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            pytest.fail(f"the command got no stack: {self.process.communicate()[1]}")
        return line

    def finish(self) -> int:
        """Let it end; returns the exit code."""
        self.process.communicate("\n", timeout=60)
        return self.process.returncode


def nothing_runs(home: Home) -> bool:
    """Whether neither a supervisor holds the home nor a process names it."""
    return not home.stack_lock.exists() or (not is_held(home.stack_lock) and not processes_of(home))


def processes_of(home: Home) -> list[psutil.Process]:
    """Living processes that have the home in their command line or were started for it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                continue
            if str(home.root) in " ".join(process.cmdline()) or (
                process.environ().get("MASTHEAD_HOME") == str(home.root)
            ):
                found.append(process)
    return found


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running `masthead up` for the tests of one module."""
    running = Up(environment(tmp_path_factory.mktemp("up") / "home"))
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.stop(signal.SIGTERM)

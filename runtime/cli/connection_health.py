"""What `masthead doctor` finds of the connections: the file, the sandbox, and whether each system takes us."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runtime.cli.findings import NOT_UP, Finding
from runtime.settings import Settings
from runtime.stack import ports
from runtime.stack.errors import StackError
from runtime.stack.sandbox import check_connections
from runtime.stack.state import StackState

if TYPE_CHECKING:
    from connectors.sdk.values import Health
    from runtime.connection_source import ConnectionSpec
    from storage.connections import ConnectionState


def connection_findings(settings: Settings, stack: StackState | None) -> Iterator[Finding]:
    """The configuration and, with a database, each enabled connection. Nothing where no connection is configured."""
    if settings.config_file is None:
        return
    sandbox = settings.sandbox_url or (stack.sandbox_url if stack else None)
    try:
        specs = list(check_connections(settings, sandbox).values())
    except StackError as error:
        _, *lines = str(error).splitlines()
        for line in lines:
            yield Finding("Configuration", False, line, "Correct it: workers do not start with it.")
        return
    enabled = [spec for spec in specs if spec.enabled]
    yield Finding("Configuration", True, f"{settings.config_file}, {len(enabled)} connections enabled")
    if any(spec.sandbox for spec in enabled):
        yield _sandbox(sandbox)
    url = settings.database_url or (stack.database_url if stack else None)
    if url is None or not enabled:
        return
    yield from _each(settings.model_copy(update={"database_url": url, "sandbox_url": sandbox}), enabled)


def _sandbox(url: str | None) -> Finding:
    if url is None:
        return Finding("Sandbox", False, "not running", NOT_UP)
    port = url.rstrip("/").rpartition(":")[2]
    answers = port.isdigit() and ports.answers(int(port))
    return Finding("Sandbox", answers, url, "See logs/sandbox.log in MASTHEAD_HOME.")


def _each(settings: Settings, enabled: list[ConnectionSpec]) -> Iterator[Finding]:
    from connectors.sdk.errors import DefinitionError
    from runtime.connections import Connections
    from storage.connections import connection_states
    from storage.database import make_engine, transaction

    async def look() -> dict[str, Health]:
        connections = Connections.of(settings)
        try:
            found = await asyncio.gather(*(connections.health(spec.name) for spec in enabled))
        finally:
            await connections.aclose()
        return {spec.name: health for spec, health in zip(enabled, found, strict=True)}

    try:
        healths = asyncio.run(look())
    except DefinitionError as error:
        yield Finding("Connections", False, str(error), "Correct MASTHEAD_SECRET_KEY.")
        return
    engine = make_engine(settings.database_url or "")
    try:
        with transaction(engine) as connection:
            states = {state.name: state for state in connection_states(connection)}
    finally:
        engine.dispose()
    for spec in enabled:
        yield _finding(spec, healths[spec.name], states.get(spec.name))


def _finding(spec: ConnectionSpec, health: Health, state: ConnectionState | None) -> Finding:
    item = f"Connection {spec.name}"
    where = f"{spec.connector.name}, {'sandbox' if spec.sandbox else spec.mode}"
    if state is not None and state.needs_authorisation is not None:
        return Finding(
            item,
            False,
            f"{where}: {state.needs_authorisation}",
            "A person has to authorise it anew, or to correct its credentials.",
        )
    remedy = f"`masthead connectors check {spec.name}` says more."
    return Finding(item, health.ok, f"{where}: {health.detail}" if health.detail else where, remedy)

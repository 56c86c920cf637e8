"""The connections of one process: read from masthead.yaml, opened as connectors with real surroundings, closed in turn.

A process that cannot use its configuration does not start; it says everything that is wrong at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Engine

from connectors.sdk.capabilities.capability import Capability
from connectors.sdk.config import MissingSecret
from connectors.sdk.connector import SANDBOX_SECRET, Connector
from connectors.sdk.context import Context
from connectors.sdk.errors import ConnectorError, DefinitionError
from connectors.sdk.memory import EnvSecrets, SystemClock
from connectors.sdk.ports import Secrets
from connectors.sdk.values import Health
from runtime.connection_source import ConnectionSpec, Flows, Surroundings, read_connections
from runtime.connection_words import close_to
from runtime.settings import Settings
from runtime.stack.client import running_stack
from runtime.stack.sandbox import SandboxAddresses
from runtime.telemetry.requests import ObservedRequests
from storage.connections import ConnectionRow, note_connections, note_health
from storage.database import transaction
from storage.encryption import Encryption
from storage.pool import Pool
from storage.rate_budget import PostgresRateBudget
from storage.request_log import PostgresRequestLog
from storage.tokens import PostgresTokens

HEALTH_WITHIN_SECONDS = 15.0
_OPEN_TO_ALL = "sk_test_sandbox"  # stand-ins take anything that could be a key for tests


def configured(
    settings: Settings, *, flows: Flows | None = None, secrets: Secrets | None = None
) -> dict[str, ConnectionSpec]:
    """The connections of MASTHEAD_CONFIG by name, in the order of the file; none where there is no file.

    The sandbox is that of MASTHEAD_SANDBOX_URL, else that of the stack which runs in MASTHEAD_HOME.
    Raises DocumentError with every problem found.
    """
    if settings.config_file is None:
        return {}
    if (url := settings.sandbox_url) is None and (stack := running_stack(settings)) is not None:
        url = stack.sandbox_url
    sandbox = SandboxAddresses(url) if url else None
    return read_connections(
        settings.config_file,
        Surroundings(secrets=secrets or secrets_of_this_process(), sandbox=sandbox, flows=flows),
    )


def secrets_of_this_process() -> EnvSecrets:
    """Secrets from environment and files; the one that sandboxes take has a value without being set."""
    return _Secrets()


class _Secrets(EnvSecrets):
    def resolve(self, reference: str) -> str:
        try:
            return super().resolve(reference)
        except MissingSecret:
            if reference == SANDBOX_SECRET:
                return _OPEN_TO_ALL
            raise


class Connections:
    """The connections of this process and event loop. An opened connector is shared by all who open it, and closed by
    `aclose` only."""

    def __init__(
        self,
        specs: Mapping[str, ConnectionSpec],
        *,
        database_url: str,
        encryption: Encryption,
        secrets: Secrets | None = None,
    ) -> None:
        self._specs = dict(specs)
        self._pool = Pool(database_url)
        self.tokens = PostgresTokens(self._pool, encryption)
        self.budget = PostgresRateBudget(self._pool)
        self.log = ObservedRequests(PostgresRequestLog(self._pool))
        self._secrets = secrets or secrets_of_this_process()
        self._opened: dict[str, Connector[Any]] = {}

    @classmethod
    def of(cls, settings: Settings, *, flows: Flows | None = None) -> Connections:
        """Those of the settings. Raises DocumentError with all that is wrong in the file, SecretKeyError for a wrong
        MASTHEAD_SECRET_KEY, ValueError without a database."""
        if settings.database_url is None:
            raise ValueError("DATABASE_URL is not set")
        encryption = Encryption.of(settings.secret_key)
        return cls(
            configured(settings, flows=flows), database_url=settings.database_url, encryption=encryption
        )

    def __iter__(self) -> Iterator[ConnectionSpec]:
        return iter(self._specs.values())

    def get(self, name: str) -> ConnectionSpec:
        """The connection called `name`. Raises DefinitionError with the nearest name, or all there are."""
        spec = self._specs.get(name)
        if spec is None:
            raise DefinitionError(
                f"no connection is called {name!r} in the configuration; {close_to(name, self._specs, 'there are')}"
            )
        return spec

    def of_capability(self, capability: type[Capability]) -> list[ConnectionSpec]:
        """The enabled connections whose connector has a capability."""
        return [spec for spec in self if spec.enabled and issubclass(spec.connector, capability)]

    async def open(self, name: str) -> Connector[Any]:
        """The connector of a connection, made at its first use. Its `aclose` does nothing: others use it, too.

        Raises DefinitionError where it is not configured, disabled, cannot be made, or its sandbox does not run.
        """
        if (opened := self._opened.get(name)) is not None:
            return opened
        spec = self.get(name)
        if not spec.enabled:
            raise DefinitionError(f"connection {name} is disabled; take enabled: false away to use it")
        if spec.config is None:
            raise DefinitionError(
                f"connection {name} points to the sandbox, which does not run: start it with `masthead up`, "
                "or set MASTHEAD_SANDBOX_URL to one that runs"
            )
        connector = spec.connector(spec.config, self._context(spec))
        setattr(connector, "aclose", _stay_open)  # noqa: B010 - mypy knows it as a method
        self._opened[name] = connector
        return connector

    async def health(self, name: str) -> Health:
        """Whether the connection's system answers and takes our credentials. Never raises for what it finds."""
        try:
            connector = await self.open(name)
            async with asyncio.timeout(HEALTH_WITHIN_SECONDS):
                return await connector.health()
        except TimeoutError:
            return Health(ok=False, detail=f"no answer within {HEALTH_WITHIN_SECONDS:g} s")
        except ConnectorError as error:
            return Health(ok=False, detail=error.message)
        except (DefinitionError, MissingSecret) as error:
            return Health(ok=False, detail=str(error))

    def note_started(self, engine: Engine) -> None:
        """Note in the database which connections there are and how they are configured."""
        rows = [
            ConnectionRow(spec.name, spec.connector.name, spec.mode, spec.enabled, spec.fingerprint)
            for spec in self
        ]
        with transaction(engine) as connection:
            note_connections(connection, rows)

    async def aclose(self) -> None:
        """Close connectors, the last opened first, then the database connections."""
        while self._opened:
            _, connector = self._opened.popitem()
            await type(connector).aclose(connector)
        await self._pool.aclose()

    def _context(self, spec: ConnectionSpec) -> Context:
        return Context(
            connection=spec.name,
            mode=spec.mode,
            secrets=self._secrets,
            tokens=self.tokens,
            budget=self.budget,
            log=self.log,
            clock=SystemClock(),
            allow_loopback=spec.allow_loopback,
            rate=spec.rate,
            timeout=spec.timeout,
        )


async def checked(connections: Connections, engine: Engine) -> dict[str, Health]:
    """The health of every enabled connection, looked at side by side and noted in the database."""
    names = [spec.name for spec in connections if spec.enabled]
    found = await asyncio.gather(*(connections.health(name) for name in names))
    healths = dict(zip(names, found, strict=True))
    with transaction(engine) as connection:
        for name, health in healths.items():
            note_health(connection, name, healthy=health.ok, detail=health.detail)
    return healths


async def _stay_open() -> None:
    """Closing is left to Connections."""

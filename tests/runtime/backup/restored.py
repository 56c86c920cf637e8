"""A shop that is backed up, and the same shop restored into a home of its own, beside the gateway that went on."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from connectors.sdk.config import Secret
from connectors.sdk.memory import EnvSecrets
from connectors.stripe.config import StripeConfig
from connectors.stripe.connector import Stripe
from runtime.backup.reconciling import Reconciled, reconcile
from runtime.connection_source import ConnectionSpec
from runtime.connections import Connections
from runtime.settings import Settings, load_settings
from runtime.stack import ports
from runtime.stack.home import Home
from runtime.stack.postgres import EmbeddedPostgres
from runtime.stack.temporal_server import server_command, server_environment
from runtime.temporal import connect
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import make_engine
from storage.encryption import Encryption
from tests.conftest import wait_until
from tests.names import NAMESPACE
from tests.workflows.selling import GATEWAY, Shop


class TemporalOver:
    """A Temporal server over the file of a home."""

    def __init__(self, file: Path) -> None:
        port = ports.choose_port(0)
        ui_port = ports.choose_port(0, frozenset({port}))
        self.address = f"127.0.0.1:{port}"
        with (file.parent / "temporal.log").open("ab") as log:
            self._process = subprocess.Popen(
                server_command(file, port=port, ui_port=ui_port, namespace=NAMESPACE),
                env=server_environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until("the Temporal server listens", lambda: ports.answers(port))

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()


@asynccontextmanager
async def brought_back(home: Path, gateway: StripeStandIn) -> AsyncIterator[Shop]:
    """The shop whose rows and workflows lie in `home`, without workers."""
    server, place = EmbeddedPostgres(Home(home).postgres), Home(home)
    url = await asyncio.to_thread(server.start)
    temporal = await asyncio.to_thread(TemporalOver, place.temporal_file)
    engine = make_engine(url)
    try:
        yield Shop(engine, await connect(temporal.address, NAMESPACE), gateway)
    finally:
        engine.dispose()
        temporal.kill()
        await asyncio.to_thread(server.stop)


def settings_of(home: Path) -> Settings:
    """Those of an embedded stack in `home`."""
    return load_settings(home=home, database_url=None, temporal_address=None, temporal_namespace=NAMESPACE)


@asynccontextmanager
async def connected(engine: Engine, gateway: StripeStandIn) -> AsyncIterator[Connections]:
    """The connections of a process that has the stand-in as its one gateway."""
    config = StripeConfig(api_key=Secret("env:STRIPE_KEY"), base_url=gateway.url)
    connections = Connections(
        {GATEWAY: ConnectionSpec(GATEWAY, Stripe, "test", config)},
        database_url=engine.url.render_as_string(hide_password=False),
        encryption=Encryption.of(None),
        secrets=EnvSecrets({"STRIPE_KEY": "sk_test_x"}),
    )
    try:
        yield connections
    finally:
        await connections.aclose()


async def asked(engine: Engine, gateway: StripeStandIn, now: datetime | None = None) -> Reconciled:
    """What `masthead reconcile` does."""
    async with connected(engine, gateway) as connections:
        return await reconcile(engine, connections, actor="ops", now=now or datetime.now(UTC))

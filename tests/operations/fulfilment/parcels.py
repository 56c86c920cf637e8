"""A publisher whose licences and parcels are asked of the reference stand-in over real sockets, without workflows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine
from temporalio.testing import ActivityEnvironment

from activities.connectors import ConnectorActivities
from connectors.sdk.connector import Connector
from connectors.sdk.memory import memory_context
from connectors.sdk.methods import method
from contracts.connector_call import CallOutcome, CallRef
from domain.account.days import bill_only
from domain.simulation.scenario import Scenario
from operations.accounts.commands import AccountCommands
from operations.accounts.unit import changing
from operations.fulfilment import looking, sending, settling
from operations.tariffs import Tariffs
from runtime.connector_source import read_connector
from sandbox.reference.stand_in import ReferenceStandIn
from storage.database import transaction

EXAMPLES = Path(__file__).parents[3] / "examples" / "connectors"
SERVICES = {
    "licences": read_connector(EXAMPLES / "licence-service.yaml"),
    "parcels": read_connector(EXAMPLES / "parcel-service.yaml"),
}
CONNECTED = {"provisioning": None, "drm": "licences", "shipping": "parcels"}


class Fulfilment:
    """What the keeper does, round by round, with the calls made in between."""

    def __init__(self, engine: Engine, stand_in: ReferenceStandIn) -> None:
        self.engine = engine
        self.stand_in = stand_in
        self.connected: Mapping[str, str | None] = CONNECTED
        self.tariffs = Tariffs(engine)
        self._calls = ConnectorActivities(engine, self.open)

    async def open(self, name: str, /) -> Connector[Any]:
        """The connection to the licence or the parcel service."""
        kind = SERVICES[name]
        config = kind.Config.model_validate(kind.sandbox_config(self.stand_in.url))
        return kind(config, memory_context(name, secrets={"SANDBOX_SECRET": "sandbox"}, timeout=2.0))

    async def round(self, now: datetime) -> list[CallOutcome]:
        """One round of the keeper at `now`, its calls made, and what they came to written down."""
        looking.look_anew(self.engine, self.tariffs.current(), now)
        with transaction(self.engine) as connection:
            calls = sending.ask(connection, lambda _: self.connected, now)
        outcomes = [await self.call(each) for each in calls]
        with transaction(self.engine) as connection:
            settling.take_note(connection, now)
        return outcomes

    async def call(self, ref: CallRef) -> CallOutcome:
        """Make one call, as its activity does."""
        return await ActivityEnvironment().run(self._calls.perform, method(ref.method), ref)

    def act(self, account_id: str, at: datetime, verb: str, **fields: Any) -> None:
        """Carry a command out on the account at `at`."""
        step = Scenario.model_validate(
            {
                "account": {"currency": "USD"},
                "catalog": "-",
                "steps": [{"at": at.isoformat(), "do": verb, **fields}],
            }
        ).steps[0]
        AccountCommands(self.engine).carry_out(account_id, str(uuid4()), step, at)

    def bill(self, account_id: str, at: datetime) -> None:
        """Bill what is due at `at`."""
        with (
            transaction(self.engine) as connection,
            changing(connection, self.tariffs.current(), account_id, at) as unit,
        ):
            assert bill_only(unit.account) is not None

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows of one query."""
        with transaction(self.engine) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def stands(self, capability: str) -> list[tuple[Any, ...]]:
        """How its entries stand: (item, number, wish, told, outcome)."""
        return self.rows(
            "select item, number, wish, told, outcome from fulfilment where capability = %s order by item, number",
            capability,
        )

"""A connection to the reference stand-in over a real socket, and flows to keep it in step with: for tests of syncs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import uuid_utils
from sqlalchemy import Engine

from activities.sync_flow import ConnectionFlows, Flow
from activities.sync_single import CallStarter
from activities.sync_turn import Turn
from connectors.sdk.connector import Connector
from connectors.sdk.memory import memory_context
from contracts.connector_call import CallRef
from contracts.sync import TurnInput, TurnOutput
from runtime.connector_source import read_connector
from runtime.flow_source import SHIPPED, read_flow
from sandbox.reference.stand_in import ReferenceStandIn
from storage.database import PgConnection
from storage.events import NewEvent, append_events

EXAMPLES = Path(__file__).parents[1] / "examples" / "connectors"
CRM = read_connector(EXAMPLES / "crm-service.yaml")
NAME = "crm"

# As many fields as a test looks at; the shipped flow has more.
CONTACTS = """
format: masthead.flow/1
name: contacts
on: [account.*, subscription.*]
state: account
to: crm.upsert
map:
  kind: {const: contact}
  key: key
  version: version
  fields: {email: person.email, name: person.name, status: status}
"""


def flow_of(folder: Path, text: str = CONTACTS, **changes: str) -> Flow:
    """The flow that `text` describes, with lines put in the place of those that begin with the same word."""
    lines = text.strip().splitlines()
    for word, line in changes.items():
        at = next((no for no, each in enumerate(lines) if each.startswith(f"{word}:")), None)
        lines[2 if at is None else at : 2 if at is None else at + 1] = [line]
    file = folder / f"flow-{uuid_utils.uuid4()}.yaml"
    file.write_text("\n".join(lines) + "\n")
    return read_flow(file)


def shipped(name: str) -> Flow:
    """A flow of the house."""
    return read_flow(SHIPPED / f"{name}.yaml")


def opener(stand_in: ReferenceStandIn, connector: type[Connector[Any]] = CRM) -> Any:
    """What opens a connection to the stand-in."""

    async def open_connector(name: str) -> Connector[Any]:
        config = connector.Config.model_validate(connector.sandbox_config(stand_in.url))
        return connector(config, memory_context(name, secrets={"SANDBOX_SECRET": "sandbox"}))

    return open_connector


class Synced:
    """A connection with its flows, turned by hand: `await synced.turn()` tells all that there is to tell by now."""

    def __init__(self, engine: Engine, stand_in: ReferenceStandIn, flows: Sequence[Flow]) -> None:
        self.engine = engine
        self.stand_in = stand_in
        self.flows: ConnectionFlows | None = ConnectionFlows(NAME, "live", tuple(flows))
        self.calls: list[CallRef] = []
        self.open = opener(stand_in)
        self.start: CallStarter = self.note

    def made(self, seconds: float = 30.0) -> Turn:
        """A turn that has not begun."""
        order = TurnInput(connection=NAME, turn_seconds=seconds, report_seconds=seconds)
        return Turn(self.engine, order, self.open, lambda _: self.flows, self.start)

    async def turn(self, until: Callable[[], bool] | None = None) -> TurnOutput:
        """One turn: until `until` holds, or nothing is left to do."""
        turn = self.made()
        quiet = _Quiet(turn)
        async with asyncio.timeout(30):
            return await turn.run(until or quiet)

    async def note(self, ref: CallRef) -> None:
        """Take a call that shall be started."""
        self.calls.append(ref)

    def records(self) -> dict[str, dict[str, Any]]:
        """What the other system has, by our key."""
        rows = self.stand_in.memory.rows.get("record", {}).values()
        return {str(row["key"]): dict(row["fields"]) for row in rows}

    def writes(self) -> int:
        """How many records were written there, by the other system's own count."""
        return self.stand_in.count("upsert")


class _Quiet:
    """True once a whole round found nothing to do."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn

    def __call__(self) -> bool:
        return self._turn.idle_rounds > 0


def add_account(connection: PgConnection, key: str, *, mode: str = "live", email: str | None = None) -> str:
    """An account with a person and one active subscription, told of as an import does. Answers the account's id."""
    account, subscription = str(uuid_utils.uuid7()), str(uuid_utils.uuid7())
    connection.execute(
        "insert into account (id, mode, external_key, currency, time_zone, locale)"
        " values (%s, %s, %s, 'EUR', 'Europe/Paris', 'fr')",
        (account, mode, key),
    )
    connection.execute(
        "insert into person (account_id, name, email) values (%s, %s, %s)",
        (account, f"Reader {key}", email or f"{key}@example.com"),
    )
    connection.execute(
        "insert into subscription (id, mode, account_id, external_key, status, starts_on, anchor_on, anchor_day,"
        " interval_unit, interval_count, opening_on, charged_through, arrears_through)"
        " values (%s, %s, %s, %s, 'active', '2026-01-01', '2026-01-01', 1, 'month', 1, '2026-01-01', '2026-01-01',"
        " '2026-01-01')",
        (subscription, mode, account, f"{key}-1"),
    )
    append_events(connection, [NewEvent("subscription.imported", account, subscription, 1)])
    return account


def set_status(connection: PgConnection, account: str, status: str) -> None:
    """Change the status of the account's subscriptions, as a command does."""
    rows = connection.execute(
        "update subscription set status = %s, version = version + 1 where account_id = %s"
        " returning id::text, version",
        (status, account),
    ).fetchall()
    append_events(connection, [NewEvent("subscription.changed", account, row[0], row[1]) for row in rows])


def set_name(connection: PgConnection, account: str, name: str) -> None:
    """Change a person's name, as a command does."""
    connection.execute("update person set name = %s where account_id = %s", (name, account))
    row = connection.execute(
        "update account set version = version + 1 where id = %s returning version", (account,)
    ).fetchone()
    assert row is not None
    append_events(connection, [NewEvent("account.changed", account, account, row[0])])


def parks(url: str) -> list[tuple[Any, ...]]:
    """What is parked and open: (trace key, kind of error, code)."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select trace_key, error_kind, error_code from parked where resolved_at is null order by trace_key"
        ).fetchall()


async def until(true: Callable[[], object], seconds: float = 20) -> None:
    """Wait until `true()` holds."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 (what is waited for happens in another system)
            await asyncio.sleep(0.02)

"""`masthead connectors authorise`: a person has authorised a connection again; what waited for it goes on."""

from __future__ import annotations

import asyncio
import getpass
from datetime import UTC, datetime
from typing import Annotated

import typer
from temporalio.service import RPCError

from connectors.sdk.config import MissingSecret, Secret
from connectors.sdk.errors import DefinitionError
from connectors.sdk.ports import Token
from contracts.parked import Decided
from operations.audit import record_action
from operations.parked.authorised import retry_unauthorised
from runtime.cli.connector_calls import opened
from runtime.cli.errors import CommandFailed, UserError
from runtime.connections import secrets_of_this_process
from runtime.settings import Settings, load_settings
from runtime.stack.client import Stack, ensure_stack
from runtime.temporal import TemporalUnavailable, connect
from storage.database import make_engine, transaction
from workflows.call_starts import tell


def authorise(
    connection: Annotated[str, typer.Argument(metavar="CONNECTION", help="A connection of masthead.yaml.")],
    refresh_token: Annotated[
        str,
        typer.Option(
            help="Where the refresh token of a new authorisation is: env:NAME or file:/path. Not needed where the "
            "credentials stand in masthead.yaml, which are just tried again."
        ),
    ] = "",
    actor: Annotated[str, typer.Option(help="Who; your login name by default.")] = "",
) -> None:
    """Take a connection's mark away once its credentials are good again, and try again all that waited for it.

    A wait that its system had asked for ends, too.

    An OAuth refresh token is stored encrypted. The connection is checked: when its system still refuses us, the work
    stays parked, with exit code 1.
    """
    settings = load_settings()
    with ensure_stack(settings, workers=False) as stack:
        settings = settings.model_copy(update={"database_url": stack.database_url})
        count = asyncio.run(
            _authorised(settings, stack, connection, refresh_token, actor or getpass.getuser())
        )
    print(f"{connection} is authorised; {count} parked calls are tried again")


async def _authorised(settings: Settings, stack: Stack, name: str, refresh_token: str, actor: str) -> int:
    connections = opened(settings)
    try:
        connections.get(name)
        await connections.tokens.authorise(name, _token(refresh_token))
        # A long wait that its system once asked for would else outlast the repair.
        await connections.budget.release(name)
        health = await connections.health(name)
    except (DefinitionError, MissingSecret, ValueError) as error:
        raise UserError(str(error), remedy="Nothing was changed.") from None
    finally:
        await connections.aclose()
    if not health.ok:
        raise CommandFailed(
            f"{name} is still refused: {health.detail}", remedy="Correct its credentials, then repeat."
        )
    engine = make_engine(settings.database_url or "")
    try:
        record_action(
            engine,
            key=f"connection/{name}/{datetime.now(UTC).isoformat()}",
            actor=actor,
            action="connection.authorise",
            subject=name,
            reason="authorised by a person",
        )
        with transaction(engine) as database:
            decided = retry_unauthorised(database, name, actor=actor)
    finally:
        engine.dispose()
    await _tell_all(stack, decided)
    return len(decided)


def _token(reference: str) -> Token | None:
    if not reference:
        return None
    value = secrets_of_this_process().resolve(Secret(reference).reference)
    # Of no use by itself and over already: the first call fetches the next.
    return Token(access="", refresh=value, expires_at=datetime.now(UTC))


async def _tell_all(stack: Stack, decided: list[Decided]) -> None:
    """Those who wait are told; while Temporal is away they look by themselves."""
    try:
        client = await connect(stack.temporal_address, stack.namespace, deadline_seconds=10)
        for each in decided:
            await tell(client, each)
    except (TemporalUnavailable, RPCError):
        return

"""The mails of one process, turned by hand or run as a worker runs them, against a mail server on a real socket."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import uuid_utils
from psycopg.types.json import Jsonb
from sqlalchemy import Engine

from activities.call_attempt import Patience
from connectors.sdk.context import Context, Mode
from connectors.smtp.config import SmtpConfig
from connectors.smtp.connector import Smtp
from documents.shelf import Shelf
from operations.mails.compose import Composer
from operations.mails.record import record_next
from operations.mails.sending import take_decisions
from runtime.connection_source import ConnectionSpec
from runtime.connections import Connections
from runtime.mails import MailConnections, MailSender, running_mails
from storage.database import PgConnection, make_engine, transaction
from storage.encryption import Encryption
from storage.events import NewEvent, append_events

PATIENCE = Patience(send=timedelta(seconds=1))
SENDER = "The Harbor Courier <service@harbor.example>"
PUBLISHER = {
    "name": "The Harbor Courier",
    "address": ["1 Pier Street", "Port Alder"],
    "mails": {
        "sender": SENDER,
        "account_url": "https://harbor.example/me",
        "unsubscribe_url": "https://hub.harbor.example",
    },
}


class Anywhere(Connections):
    """Connections that may lead to this machine, the live ones too."""

    def _context(self, spec: ConnectionSpec) -> Context:
        return replace(super()._context(spec), allow_loopback=True)


def connections_to(url: str, servers: Mapping[str, str]) -> Anywhere:
    """A mail connection `post-MODE` for each mode, to a server at smtp://host:port."""
    specs = {f"post-{mode}": _spec(f"post-{mode}", mode, address) for mode, address in servers.items()}
    return Anywhere(specs, database_url=url, encryption=Encryption.of(None))


def _spec(name: str, mode: Any, address: str) -> ConnectionSpec:
    chosen: Mode = mode
    config = SmtpConfig.model_validate(Smtp.sandbox_config(address))
    return ConnectionSpec(name=name, connector=Smtp, mode=chosen, config=config)


class Office:
    """Mails turned by hand: `await office.turn()` records all that there is to record and sends all that is due."""

    def __init__(
        self,
        engine: Engine,
        url: str,
        servers: Mapping[str, str],
        *,
        templates: Path | None = None,
        patience: Patience = PATIENCE,
    ) -> None:
        self.engine = engine
        self.connections = connections_to(url, servers)
        self.sender = MailSender(engine, self.connections, Composer(Shelf(templates)), patience)

    def record(self) -> None:
        """Record the mails of all events."""
        unsent = MailConnections(self.connections).unsent
        while True:
            with transaction(self.engine) as connection:
                if not record_next(connection, unsent).moved:
                    return

    async def turn(self) -> None:
        """Record, take over decisions, and send until nothing is due any more."""
        self.record()
        with transaction(self.engine) as connection:
            take_decisions(connection, timedelta())
        async with asyncio.timeout(60):
            while await self.sender.send_due():
                pass

    async def aclose(self) -> None:
        """Close the connections."""
        await self.connections.aclose()


def add_reader(
    connection: PgConnection,
    key: str,
    *,
    mode: str = "live",
    locale: str = "en-US",
    currency: str = "USD",
    email: str | None = "",
    consent: bool | None = None,
) -> str:
    """An account with a person; email None: one without an address. Answers its id."""
    account = str(uuid_utils.uuid7())
    connection.execute(
        "insert into account (id, mode, external_key, currency, time_zone, locale)"
        " values (%s, %s, %s, %s, 'UTC', %s)",
        (account, mode, key, currency, locale),
    )
    address = f"{key.lower()}@reader.example" if email == "" else email
    connection.execute(
        "insert into person (account_id, name, email, consent) values (%s, %s, %s, %s)",
        (account, f"Reader {key}", address, consent),
    )
    return account


def add_publisher(connection: PgConnection, **changes: Any) -> None:
    """A rule book with the publisher, as its newest version."""
    publisher = PUBLISHER | changes
    connection.execute(
        "insert into rule_book (name, version, definition) values ('default',"
        " (select coalesce(max(version), 0) + 1 from rule_book where name = 'default'), %s)",
        (Jsonb({"publisher": publisher}),),
    )


def add_payment(
    connection: PgConnection,
    account: str,
    *,
    status: str = "succeeded",
    amount: int = 1290,
    told: bool = True,
) -> str:
    """A payment with its event, in one transaction. Answers its id."""
    payment = str(uuid_utils.uuid7())
    with connection.transaction():
        connection.execute(
            "insert into payment (id, mode, account_id, no, made_on, currency, amount, status, code)"
            " select %s, mode, id, (select count(*) + 1 from payment p where p.account_id = a.id), %s, currency, %s,"
            " %s, 'insufficient_funds' from account a where id = %s",
            (payment, date(2026, 12, 1), amount, status, account),
        )
        if told:
            append_events(connection, [NewEvent(f"payment.{status}", account, payment, 1)])
    return payment


def notice(connection: PgConnection, account: str, name: str, version: int = 1) -> None:
    """An event that sends the template `name` to the account."""
    append_events(connection, [NewEvent(f"notice.{name}", account, account, version)])


def mails(connection: PgConnection) -> list[tuple[Any, ...]]:
    """(account, template, status, reason) of all mails, by account and template."""
    return connection.execute(
        "select a.external_key, m.template, m.status, m.reason from mail m join account a on a.id = m.account_id"
        " order by 1, 2, m.event_key"
    ).fetchall()


async def _work(url: str, live: str) -> None:
    engine = make_engine(url)
    connections = connections_to(url, {"live": live})
    async with running_mails(engine, connections, Shelf(), PATIENCE):
        sys.stdout.write("working\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":  # a worker's mails in a process of their own, to be killed
    asyncio.run(_work(*sys.argv[1:]))

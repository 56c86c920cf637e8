"""The tokens of connections on Postgres: many workers refresh once, and a refresh that was cut off is known as such.

A refresh is begun by one UPDATE that takes a lease, and ended by one that stores its outcome, which is committed when
it returns. In between nothing is held: the vendor is asked without a database connection.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from connectors.sdk.ports import StoredToken, Token, Turn
from storage.encryption import Encryption, Sealed
from storage.pool import AsyncPgConnection, Pool
from storage.port_away import told_as_transient


class PostgresTokens:
    """The port TokenStore. A process has one; its lease is told from those of others by the process and a number.

    What the port has raises Transient while the database is away.
    """

    def __init__(self, pool: Pool, encryption: Encryption) -> None:
        self._pool = pool
        self._encryption = encryption
        self._leases: dict[str, str] = {}

    async def read(self, connection: str) -> StoredToken:
        """The token as stored. Raises SecretKeyError when it cannot be opened."""
        async with self._lent(connection) as database:
            return await self._read(database, connection)

    async def begin_refresh(self, connection: str, version: int, lease: timedelta) -> Turn:
        """Ask to refresh what has `version`. Raises SecretKeyError before anybody is asked for a token that could not
        be stored."""
        self._encryption.require()
        holder = f"{os.getpid()}/{uuid.uuid4()}"
        async with self._lent(connection) as database:
            if version == 0:
                await database.execute(
                    "insert into connection_token (connection) values (%s) on conflict do nothing",
                    (connection,),
                )
            # `interrupted` outlives a turn that was given up: what the one before did is still not known.
            taken = await database.execute(
                """
                update connection_token
                set interrupted = interrupted or lease_until is not null,
                    lease_until = clock_timestamp() + %s, lease_holder = %s, updated_at = clock_timestamp()
                where connection = %s and version = %s and marked_reason is null
                  and (lease_until is null or lease_until <= clock_timestamp())
                returning interrupted
                """,
                (lease, holder, connection, version),
            )
            if (row := await taken.fetchone()) is not None:
                self._leases[connection] = holder
                return Turn.INTERRUPTED if row[0] else Turn.MINE
            found = await database.execute(
                "select version, marked_reason from connection_token where connection = %s", (connection,)
            )
            row = await found.fetchone()
        if row is not None and row[1] is not None:
            return Turn.MARKED
        return Turn.BUSY if row is not None and row[0] == version else Turn.DONE

    async def finish_refresh(self, connection: str, version: int, token: Token) -> StoredToken:
        """Store what the vendor answered, committed on return. Where `version` has moved, another's token is there
        already and stays; it is answered. A good token also ends a mark."""
        sealed = self._sealed(connection, token)
        async with self._lent(connection) as database:
            stored = await database.execute(
                """
                with stored as (
                    update connection_token
                    set ciphertext = %(ciphertext)s, key_id = %(key_id)s, version = version + 1,
                        expires_at = %(expires_at)s, lease_until = null, lease_holder = null, interrupted = false,
                        marked_reason = null, updated_at = clock_timestamp()
                    where connection = %(connection)s and version = %(version)s
                    returning version),
                cleared as (
                    update connection set needs_authorisation = null
                    where name = %(connection)s and needs_authorisation is not null and exists (select from stored))
                select version from stored
                """,
                {
                    "ciphertext": sealed.ciphertext,
                    "key_id": sealed.key_id,
                    "expires_at": token.expires_at,
                    "connection": connection,
                    "version": version,
                },
            )
            self._leases.pop(connection, None)
            if (row := await stored.fetchone()) is not None:
                return StoredToken(token, row[0])
            return await self._read(database, connection)

    async def give_up(self, connection: str, version: int) -> None:
        """End a refresh that surely never reached the vendor; the next may try."""
        async with self._lent(connection) as database:
            await database.execute(
                """
                update connection_token set lease_until = null, lease_holder = null, updated_at = clock_timestamp()
                where connection = %s and version = %s and lease_holder = %s
                """,
                (connection, version, self._leases.pop(connection, "")),
            )

    async def mark(self, connection: str, version: int, reason: str) -> None:
        """The credentials are refused: nobody tries again until a person has authorised anew. Nothing happens where
        `version` has moved, for then others were accepted since; and the first reason stays."""
        async with self._lent(connection) as database:
            if version == 0:
                await database.execute(
                    "insert into connection_token (connection) values (%s) on conflict do nothing",
                    (connection,),
                )
            await database.execute(
                """
                with marked as (
                    update connection_token
                    set marked_reason = %(reason)s, lease_until = null, lease_holder = null,
                        updated_at = clock_timestamp()
                    where connection = %(connection)s and version = %(version)s and marked_reason is null
                    returning connection)
                update connection set needs_authorisation = %(reason)s
                where name = %(connection)s and exists (select from marked)
                """,
                {"reason": reason, "connection": connection, "version": version},
            )
        self._leases.pop(connection, None)

    async def authorise(self, connection: str, token: Token | None = None) -> None:
        """A person has authorised the connection: store `token`, or, for one that fetches its tokens by itself, let it
        try again. Ends the mark and forgets interruptions."""
        sealed = None if token is None else self._sealed(connection, token)
        async with self._pool.connection() as database, database.transaction():
            await database.execute(
                """
                insert into connection_token as t (connection, ciphertext, key_id, version, expires_at)
                values (%(connection)s, %(ciphertext)s, %(key_id)s, 1, %(expires_at)s)
                on conflict (connection) do update
                set ciphertext = coalesce(excluded.ciphertext, t.ciphertext),
                    key_id = coalesce(excluded.key_id, t.key_id),
                    expires_at = case when excluded.key_id is null then t.expires_at else excluded.expires_at end,
                    version = t.version + 1, lease_until = null, lease_holder = null, interrupted = false,
                    marked_reason = null, updated_at = clock_timestamp()
                """,
                {
                    "connection": connection,
                    "ciphertext": sealed.ciphertext if sealed else None,
                    "key_id": sealed.key_id if sealed else None,
                    "expires_at": token.expires_at if token else None,
                },
            )
            await database.execute(
                "update connection set needs_authorisation = null where name = %s", (connection,)
            )

    async def reseal(self) -> int:
        """Encrypt with the first key what is stored with an older one; answers how many there were. Once none is left
        the older keys can go."""
        self._encryption.require()
        changed = 0
        async with self._pool.connection() as database, database.transaction():
            found = await database.execute(
                "select connection, ciphertext, key_id from connection_token"
                " where key_id is not null and key_id <> %s for update",
                (self._encryption.key_id,),
            )
            for connection, ciphertext, key_id in await found.fetchall():
                text = self._encryption.open(Sealed(key_id, bytes(ciphertext)), connection)
                sealed = self._encryption.seal(text, connection)
                await database.execute(
                    "update connection_token set ciphertext = %s, key_id = %s where connection = %s",
                    (sealed.ciphertext, sealed.key_id, connection),
                )
                changed += 1
        return changed

    @asynccontextmanager
    async def _lent(self, connection: str) -> AsyncIterator[AsyncPgConnection]:
        with told_as_transient(connection):
            async with self._pool.connection() as database:
                yield database

    async def _read(self, database: AsyncPgConnection, connection: str) -> StoredToken:
        found = await database.execute(
            "select ciphertext, key_id, version, marked_reason from connection_token where connection = %s",
            (connection,),
        )
        row = await found.fetchone()
        if row is None:
            return StoredToken(None, 0)
        ciphertext, key_id, version, marked = row
        token = None
        if ciphertext is not None:
            token = _unpacked(self._encryption.open(Sealed(key_id, bytes(ciphertext)), connection))
        return StoredToken(token, version, marked)

    def _sealed(self, connection: str, token: Token) -> Sealed:
        return self._encryption.seal(_packed(token), connection)


def _packed(token: Token) -> str:
    expires = token.expires_at.isoformat() if token.expires_at else None
    return json.dumps(
        {"access": token.access, "refresh": token.refresh, "expires_at": expires, "extra": dict(token.extra)}
    )


def _unpacked(text: str) -> Token:
    held = json.loads(text)
    expires = datetime.fromisoformat(held["expires_at"]) if held["expires_at"] else None
    return Token(held["access"], held["refresh"], expires, held["extra"])

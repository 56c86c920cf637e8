"""The API as callers meet it: over a database with an operator's key and a reader's."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import psycopg
from fastapi.testclient import TestClient

from api.app import create_app
from api.security import hash_key
from runtime.settings import Settings
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE

# An id that nothing has; the same in every process, as names of tests must be.
NOBODY = "01a205bd-0000-7000-8000-000000000000"
NOWHERE = "127.0.0.1:1"


def database_with_keys(pg_server: PostgresForTests, name: str, reads: str) -> str:
    """The URL of a fresh database in which `mh_operator` may do everything and `mh_reader` what `reads` names."""
    url = pg_server.fresh_database(name)
    with psycopg.connect(url) as connection:
        for key, scope in (("operator", "*"), ("reader", reads)):
            connection.execute(
                "insert into api_key (id, name, key_hash, scopes) values (%s, %s, %s, %s)",
                (str(uuid4()), key, hash_key(f"mh_{key}"), [scope]),
            )
    return url


def client_for(url: str, home: Path, *, temporal: str = NOWHERE, **settings: str) -> TestClient:
    """A client with the operator's key. Without `temporal` that is away all the time."""
    chosen = Settings(
        MASTHEAD_HOME=home,
        DATABASE_URL=url,
        TEMPORAL_ADDRESS=temporal,
        TEMPORAL_NAMESPACE=NAMESPACE,
        **settings,
    )
    return TestClient(create_app(chosen), headers={"Authorization": "Bearer mh_operator"})

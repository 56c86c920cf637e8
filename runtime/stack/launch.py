"""How each part of the stack is prepared, started and asked for its health."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
import secrets
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from runtime.settings import Settings
from runtime.stack.errors import StackError
from runtime.stack.home import Home, write_private
from runtime.stack.slow_imports import in_turn
from runtime.stack.state import StackState

CHECKOUT = Path(__file__).resolve().parents[2]
ALL_SCOPES = ["*"]


def search_path() -> str:
    """PYTHONPATH for children, which may run in another folder than the checkout."""
    return os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])])


def worker_command() -> list[str]:
    """One worker process."""
    return [sys.executable, str(CHECKOUT / "worker.py")]


def api_command(descriptor: int) -> list[str]:
    """The API on a listening socket that it inherits under `descriptor`."""
    return [sys.executable, "-m", "runtime.serve_api", "--fd", str(descriptor)]


def child_environment(settings: Settings, state: StackState) -> dict[str, str]:
    """The environment of workers and API, which names the stack that they belong to."""
    embedded = settings.temporal_address is None
    # Credentials for another Temporal service must not be used on the embedded one.
    env = {k: v for k, v in os.environ.items() if not (embedded and k.startswith("TEMPORAL_"))}
    if embedded:
        env["TEMPORAL_CONFIG_FILE"] = os.devnull
    return env | {
        "MASTHEAD_HOME": str(settings.home),
        "MASTHEAD_WORKER_ACTIVITIES": str(settings.worker_activities),
        "DATABASE_URL": state.database_url or "",
        "TEMPORAL_ADDRESS": state.temporal_address or "",
        "TEMPORAL_NAMESPACE": state.namespace,
        "MASTHEAD_TEMPORAL_UI": state.temporal_ui or "",
        "MASTHEAD_CONFIG": str(settings.config_file or ""),
        "MASTHEAD_SANDBOX_URL": state.sandbox_url or "",
        "PYTHONPATH": search_path(),
        "PYTHONUNBUFFERED": "1",
    }


def check_external_database(url: str) -> None:
    """Raise StackError when the database of DATABASE_URL does not answer. The URL, which may hold a
    password, is not shown."""
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            connection.execute("select 1")
    except psycopg.Error as error:
        raise StackError(f"the database in DATABASE_URL does not answer: {str(error).strip()}") from error


def migrate(url: str) -> None:
    """Bring the database to the schema of this code."""
    with in_turn:
        from storage.migrate import upgrade  # alembic is slow to import and needed only here

    try:
        upgrade(url)
    except Exception as error:
        raise StackError(f"the database schema could not be migrated: {error}") from error


def ensure_bootstrap_key(url: str, home: Home) -> None:
    """Make sure that the key in secrets/api.key opens the API: made at the first start, and made known
    to the database again when that is a new one."""
    file = home.api_key_file
    if file.exists() and (key := file.read_text().strip()):
        file.chmod(0o600)
    else:
        key = "mh_" + secrets.token_urlsafe(32)
        write_private(file, key + "\n")
    with in_turn:
        import uuid_utils

    with psycopg.connect(url, connect_timeout=10) as connection:
        # A secret that was rotated out must not come back as a key.
        connection.execute(
            "insert into api_key (id, name, key_hash, scopes) select %(id)s, 'bootstrap', %(hash)s, %(scopes)s"
            " where not exists (select from api_key_retired where key_hash = %(hash)s)"
            " on conflict (key_hash) do nothing",
            {
                "id": str(uuid_utils.uuid7()),
                "hash": hashlib.sha256(key.encode()).digest(),
                "scopes": ALL_SCOPES,
            },
        )


def prepare_temporal(address: str, namespace: str, retention_days: int, deadline_seconds: float) -> None:
    """Namespace and search attributes, created or brought up to date."""
    with in_turn:
        from runtime import temporal  # half a second of imports, paid beside Postgres' start

    async def prepare() -> None:
        await temporal.ensure_namespace(address, namespace, retention_days, deadline_seconds=deadline_seconds)
        client = await temporal.connect(address, namespace, deadline_seconds=deadline_seconds)
        await temporal.ensure_search_attributes(client, deadline_seconds=deadline_seconds)

    try:
        asyncio.run(prepare())
    except temporal.TemporalUnavailable as error:
        raise StackError(str(error)) from error


def api_health(url: str, timeout_seconds: float = 2.0) -> tuple[bool, str]:
    """Whether GET /health says ok, and what it said."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_seconds)
    try:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        return answer.status == 200, answer.read(2000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return False, str(error) or type(error).__name__
    finally:
        connection.close()

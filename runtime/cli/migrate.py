"""`masthead migrate`: what servers of one's own need before workers and API start, and after each upgrade."""

from __future__ import annotations

from typing import Annotated

import typer

from runtime.cli.errors import UserError
from runtime.settings import Settings, load_settings
from runtime.stack import launch
from runtime.stack.home import Home

TEMPORAL_WITHIN_SECONDS = 120.0


def migrate(
    database_only: Annotated[
        bool,
        typer.Option("--database-only", help="Leave Temporal alone; TEMPORAL_ADDRESS is then not needed."),
    ] = False,
) -> None:
    """Prepare the servers of DATABASE_URL and TEMPORAL_ADDRESS. Repeat it as you like: it changes what is missing.

    The database gets the schema of this code, the API its first key (`secrets/api.key` in MASTHEAD_HOME, kept when it
    is there), Temporal its namespace, with MASTHEAD_RETENTION_DAYS, and search attributes.

    The embedded stack does this at its start by itself.
    """
    settings = load_settings()
    url, address = _servers(settings, database_only)
    home = Home(settings.home)
    try:
        home.prepare()
    except OSError as error:
        raise UserError(
            f"MASTHEAD_HOME {home.root} cannot be used: {error}", remedy="Name a folder that may be written."
        ) from None
    launch.check_external_database(url)
    launch.migrate(url)
    print(f"database  at the schema of this code, {_head()}")
    launch.ensure_bootstrap_key(url, home)
    print(f"API key   in {home.api_key_file}")
    if address is not None:
        launch.prepare_temporal(
            address,
            settings.temporal_namespace,
            settings.retention_days,
            deadline_seconds=TEMPORAL_WITHIN_SECONDS,
        )
        print(f"Temporal  namespace {settings.temporal_namespace} has its search attributes")


def _servers(settings: Settings, database_only: bool) -> tuple[str, str | None]:
    """The database's URL and Temporal's address, None where it is left alone. Raises UserError when one is missing."""
    address = None if database_only else settings.temporal_address
    missing = [] if settings.database_url else ["DATABASE_URL"]
    if address is None and not database_only:
        missing.append("TEMPORAL_ADDRESS")
    if settings.database_url is None or missing:
        raise UserError(
            f"{' and '.join(missing)} must be set: this prepares servers of your own",
            remedy="The embedded stack prepares its own at its start: `masthead up`.",
        )
    return settings.database_url, address


def _head() -> str:
    from storage.migrate import head  # alembic is slow to import and needed only here

    return head()

"""Bringing a database to the schema of this code. Safe to call by several processes at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from storage.database import sqlalchemy_url

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6D617374  # any number will do, as long as every process takes the same


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, made in code so that no file has to be found."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The revision that this code works with."""
    revision = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if revision is None:
        raise RuntimeError(f"no migrations found in {MIGRATIONS}")
    return revision


def knows(revision: str) -> bool:
    """Whether this code can work on from a database at `revision`."""
    script = ScriptDirectory.from_config(alembic_config())
    return revision in {each.revision for each in script.walk_revisions()}


def current(connection: Connection) -> str | None:
    """The revision that the database has, or None where nothing was ever migrated."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(url: str) -> None:
    """Migrate the database at `url` to `head()`, one process at a time (advisory lock)."""
    engine = create_engine(sqlalchemy_url(url))
    try:
        with engine.begin() as connection:
            connection.execute(text("set local transaction_timeout = 0"))  # tables may be large
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            command.upgrade(alembic_config(connection), "head")
    finally:
        engine.dispose()

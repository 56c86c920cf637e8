"""Alembic's entry: migrations run on the connection that storage.migrate hands in."""

from __future__ import annotations

from alembic import context

from storage.tables import metadata

connection = context.config.attributes["connection"]
if connection is None:
    raise RuntimeError("call storage.migrate.upgrade(url); the alembic command alone has no connection")
context.configure(connection=connection, target_metadata=metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()

"""The event log, and where its readers stand."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    SmallInteger,
    Table,
    Text,
    text,
)

from storage.tables.schema import (
    Xid8,
    epoch_column,
    metadata,
    now_column,
    uuid_type,
)

event_log = Table(
    "event_log",
    metadata,
    Column("xid", Xid8(), primary_key=True, server_default=text("pg_current_xact_id()")),
    Column("id", BigInteger, sa.Identity(always=True, cache=100), primary_key=True),
    epoch_column(),
    now_column("at"),
    Column("kind", Text, nullable=False),
    Column("account_id", uuid_type()),
    Column("subject_id", uuid_type(), nullable=False),
    Column("version", Integer, nullable=False),
)

event_cursor = Table(
    "event_cursor",
    metadata,
    Column("name", Text, primary_key=True),
    Column("epoch", SmallInteger, nullable=False),
    Column("xid", Xid8(), nullable=False),
    Column("id", BigInteger, nullable=False),
    now_column("moved_at"),
)

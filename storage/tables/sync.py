"""What the other systems were last brought to, record by record."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Index, LargeBinary, SmallInteger, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables.schema import metadata, uuid_type

# No foreign keys: a subject is an account, a subscription, an invoice or a plan's code, and flows come and go.
synced_record = Table(
    "synced_record",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("flow", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("account_id", uuid_type()),
    Column(
        "fingerprint", LargeBinary, comment="of what was last written; null until then, or to write it again"
    ),
    Column("version", BigInteger, nullable=False, server_default=text("0")),
    Column("vendor_id", Text),
    Column("synced_at", DateTime(timezone=True)),
    Column(
        "due_at", DateTime(timezone=True), comment="when to look at it again, whatever the event log says"
    ),
    Column("tries", SmallInteger, nullable=False, server_default=text("0")),
    Column("payload", JSONB, comment="what a person wants sent instead of what the map makes, once"),
    Index(
        "synced_record_due_idx", "connection", "flow", "due_at", postgresql_where=text("due_at is not null")
    ),
    Index("synced_record_account_idx", "account_id", postgresql_where=text("account_id is not null")),
)

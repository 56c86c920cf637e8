"""Operators: API keys, the audit trail, parked work."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from storage.tables.schema import (
    MODE_CHECK,
    id_column,
    metadata,
    mode_column,
    now_column,
    uuid_type,
)

api_key = Table(
    "api_key",
    metadata,
    id_column(),
    Column("name", Text, nullable=False),
    Column("key_hash", LargeBinary, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    now_column("created_at"),
    Column("expires_at", DateTime(timezone=True)),
    Column("mode", Text, comment="the accounts it sees are of this mode; null: of either"),
    Column("account_id", uuid_type(), ForeignKey("account.id"), comment="the one account it sees"),
    Column("rotated_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True), comment="to the hour"),
    CheckConstraint(MODE_CHECK, name="mode"),
)

audit = Table(
    "audit",
    metadata,
    id_column(),
    now_column("at"),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", JSONB),
)

parked = Table(
    "parked",
    metadata,
    id_column(),
    mode_column(),
    Column("kind", Text, nullable=False),
    Column("trace_key", Text, nullable=False),
    Column("account_id", uuid_type(), ForeignKey("account.id")),
    Column("bill_run_id", uuid_type()),
    Column("error_kind", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("times", Integer, nullable=False, server_default=text("1")),
    now_column("opened_at"),
    now_column("last_seen_at"),
    Column("resolved_at", DateTime(timezone=True)),
    Column("resolution", Text),
    Column("connection", Text),
    Column("call_id", uuid_type()),
    Column("method", Text),
    Column("payload", JSONB, comment="what was sent, to be edited; null once it is erased"),
    Column("fields", JSONB, comment="field to what is wrong with it"),
    Column("error_code", Text),
    Column("workflow_id", Text),
    Column("next_retry_at", DateTime(timezone=True)),
    Index("parked_call_idx", "call_id", postgresql_where=text("call_id is not null")),
    Index(
        "parked_group_idx",
        "connection",
        "error_code",
        "trace_key",
        postgresql_where=text("resolved_at is null and connection is not null"),
    ),
    Index(
        "parked_open_key",
        "mode",
        "kind",
        "trace_key",
        unique=True,
        postgresql_where=text("resolved_at is null"),
    ),
)

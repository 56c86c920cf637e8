"""Connections to other systems: their state, tokens, budgets, requests, and what was asked of them.

What a connection is configured with stands in masthead.yaml; here is what was learnt in running it. There is no
foreign key to `connection`: a connection may be renamed or taken out of the file, and its history stays.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables.schema import MODE_CHECK, Xid8, id_column, metadata, now_column, uuid_type

connection = Table(
    "connection",
    metadata,
    Column("name", Text, primary_key=True),
    Column("connector", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("config_fingerprint", Text, nullable=False),
    Column("needs_authorisation", Text, comment="why a person has to authorise it anew"),
    now_column("first_seen_at"),
    now_column("last_seen_at"),
    Column("last_health", JSONB),
    Column("last_health_at", DateTime(timezone=True)),
    CheckConstraint(MODE_CHECK, name="mode"),
)

connection_token = Table(
    "connection_token",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("ciphertext", LargeBinary, comment="null until the first token is stored"),
    Column("key_id", Text, comment="which key of MASTHEAD_SECRET_KEY it is encrypted with"),
    Column("version", Integer, nullable=False, server_default=text("0")),
    Column("expires_at", DateTime(timezone=True)),
    Column("lease_until", DateTime(timezone=True), comment="somebody refreshes, at the latest until then"),
    Column("lease_holder", Text),
    Column(
        "interrupted",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="a refresh began and never told how it ended",
    ),
    Column("marked_reason", Text),
    now_column("updated_at"),
    CheckConstraint("(ciphertext is null) = (key_id is null)", name="sealed"),
    CheckConstraint("(lease_until is null) = (lease_holder is null)", name="lease"),
)

rate_bucket = Table(
    "rate_bucket",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("next_at", DateTime(timezone=True), nullable=False, comment="when the next call is due"),
    Column("held_until", DateTime(timezone=True)),
    postgresql_with={"fillfactor": "50"},
)

request_log = Table(
    "request_log",
    metadata,
    Column("id", BigInteger, sa.Identity(always=True), primary_key=True),
    Column("connection", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("method", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("ms", Integer, nullable=False),
    Column("tries", SmallInteger, nullable=False, server_default=text("1")),
    Column("trace", Text),
    Column("request", Text),
    Column("answer", Text),
    Index("request_log_connection_idx", "connection", "id"),
    Index("request_log_at_idx", "at"),
    Index("request_log_trace_idx", "trace", postgresql_where=text("trace is not null")),
)

connector_call = Table(
    "connector_call",
    metadata,
    id_column(),
    Column("connection", Text, nullable=False),
    Column("capability", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("account_id", uuid_type()),
    Column("trace_key", Text, comment="what a newer success of settles older parks; null: only itself"),
    Column("request", JSONB, comment="null once it is erased"),
    Column("request_version", Integer, nullable=False, server_default=text("1")),
    Column("status", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("first_sent_at", DateTime(timezone=True)),
    Column("last_sent_at", DateTime(timezone=True)),
    Column("answer", JSONB),
    Column("error_kind", Text),
    Column("error_code", Text),
    Column("message", Text),
    Column("workflow_id", Text),
    now_column("created_at"),
    Column("ended_at", DateTime(timezone=True)),
    UniqueConstraint("mode", "connection", "method", "key"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint(
        "status in ('intent', 'sent', 'succeeded', 'rejected', 'unknown', 'parked', 'skipped', 'failed')",
        name="status",
    ),
    Index("connector_call_account_idx", "account_id", postgresql_where=text("account_id is not null")),
    Index(
        "connector_call_unsettled_idx",
        "connection",
        "status",
        postgresql_where=text("status in ('sent', 'unknown', 'parked')"),
    ),
)

sync_lane = Table(
    "sync_lane",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("flow", Text, primary_key=True),
    Column("lane", Text, primary_key=True),
    Column("epoch", SmallInteger, nullable=False, server_default=text("0")),
    Column("xid", Xid8(), nullable=False, server_default=text("'0'::xid8")),
    Column("event_id", BigInteger, nullable=False, server_default=text("0")),
    Column("inbound_cursor", Text),
    Column("state", JSONB),
    Column("requested_reset_at", DateTime(timezone=True)),
    now_column("moved_at"),
    Column("written", BigInteger, nullable=False, server_default=text("0")),
    Column("parked", BigInteger, nullable=False, server_default=text("0")),
    Column("unchanged", BigInteger, nullable=False, server_default=text("0")),
)

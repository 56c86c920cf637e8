"""Webhooks that come in: who may send them, what came, and what is known from them."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import (
    BigInteger,
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
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from storage.tables.schema import MODE_CHECK, id_column, metadata, mode_column, now_column, uuid_type

inbound_endpoint = Table(
    "inbound_endpoint",
    metadata,
    id_column(),
    mode_column(),
    Column("connection", Text, nullable=False),
    Column("recipe", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("secrets", ARRAY(Text), nullable=False),
    Column("public_url", Text, nullable=False),
    now_column("created_at"),
    Column("disabled_at", DateTime(timezone=True)),
    CheckConstraint(MODE_CHECK, name="mode"),
)

# No foreign key to the endpoint: each delivery would lock the endpoint's one row. Endpoints are never removed.
webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("id", BigInteger, sa.Identity(always=True), primary_key=True),
    Column("endpoint_id", uuid_type(), nullable=False),
    Column("delivery_key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("object_key", Text, nullable=False),
    now_column("received_at"),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'new'")),
    Column("effect", Text),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0")),
    Column("retry_at", DateTime(timezone=True)),
    Column("decided_at", DateTime(timezone=True)),
    UniqueConstraint("endpoint_id", "delivery_key"),
    CheckConstraint("status in ('new', 'done', 'parked', 'ignored')", name="status"),
    Index("webhook_delivery_new_idx", "endpoint_id", "id", postgresql_where=text("status = 'new'")),
)

vendor_fact = Table(
    "vendor_fact",
    metadata,
    id_column(),
    mode_column(),
    Column("connection", Text, nullable=False),
    Column("object_key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("delivery_key", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("seen", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    now_column("changed_at"),
    UniqueConstraint("mode", "connection", "object_key"),
    CheckConstraint(MODE_CHECK, name="mode"),
)

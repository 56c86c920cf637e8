"""Clocks for test accounts, and what changes of subscriptions demand outside."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables.schema import MODE_CHECK, id_column, metadata, mode_column, now_column, uuid_type

test_clock = Table(
    "test_clock",
    metadata,
    id_column(),
    Column("name", Text, nullable=False, unique=True),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("frozen_at", DateTime(timezone=True), nullable=False, comment="what time it is for its accounts"),
    Column(
        "target", DateTime(timezone=True), comment="what it is being advanced to, or failed on the way to"
    ),
    Column("status", Text, nullable=False, server_default=text("'ready'")),
    Column("problem", Text),
    now_column("created_at"),
    now_column("changed_at"),
    CheckConstraint("status in ('ready', 'advancing', 'failed', 'ended')", name="status"),
    CheckConstraint("frozen_at >= starts_at and target >= frozen_at", name="forwards"),
    CheckConstraint("(target is not null) = (status in ('advancing', 'failed'))", name="target"),
)

follow_up = Table(
    "follow_up",
    metadata,
    id_column(),
    mode_column(),
    Column("subscription_id", uuid_type(), ForeignKey("subscription.id"), nullable=False),
    Column("account_id", uuid_type(), ForeignKey("account.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False, comment="what it is, once for each subscription"),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("about", JSONB, nullable=False, comment="dates and plans; nothing personal"),
    Column("done_at", DateTime(timezone=True)),
    Column("outcome", Text),
    now_column("created_at"),
    UniqueConstraint("subscription_id", "key"),
    Index("follow_up_due_idx", "due_at", postgresql_where=text("done_at is null")),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("kind in ('provisioning', 'notice', 'shipment')", name="kind"),
    CheckConstraint("(done_at is null) = (outcome is null)", name="done"),
)

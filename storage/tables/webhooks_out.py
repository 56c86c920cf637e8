"""Webhooks going out: who subscribes, what each is told, and each attempt to tell it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from storage.tables.schema import MODE_CHECK, Xid8, id_column, metadata, mode_column, now_column, uuid_type

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    id_column(),
    mode_column(),
    Column("url", Text, nullable=False),
    Column("kinds", ARRAY(Text), nullable=False),
    Column("description", Text, nullable=False, server_default=text("''")),
    Column("status", Text, nullable=False, server_default=text("'enabled'")),
    Column("disabled_reason", Text),
    # Encrypted. The previous secret signs too, until its instant.
    Column("secret", LargeBinary, nullable=False),
    Column("previous_secret", LargeBinary),
    Column("previous_secret_until", DateTime(timezone=True)),
    # What was running when the endpoint came: events from there on are for it.
    Column("from_epoch", SmallInteger, nullable=False),
    Column("from_xid", Xid8(), nullable=False),
    # How it fares: turns in a row that ended with a failure, since when, and until when it is left in peace.
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("failing_since", DateTime(timezone=True)),
    Column("held_until", DateTime(timezone=True)),
    # Its workflow is called whenever these differ, and then the second becomes what the first was.
    Column("calls", BigInteger, nullable=False, server_default=text("0")),
    Column("calls_answered", BigInteger, nullable=False, server_default=text("0")),
    Column("version", Integer, nullable=False, server_default=text("1")),
    now_column("created_at"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("status in ('enabled', 'disabled', 'deleted')", name="status"),
    CheckConstraint("(status = 'disabled') = (disabled_reason is not null)", name="disabled_reason"),
    CheckConstraint("(previous_secret is null) = (previous_secret_until is null)", name="previous_secret"),
    Index(
        "webhook_endpoint_url_key", "mode", "url", unique=True, postgresql_where=text("status <> 'deleted'")
    ),
)

webhook_message = Table(
    "webhook_message",
    metadata,
    id_column(),
    Column("endpoint_id", uuid_type(), ForeignKey("webhook_endpoint.id"), nullable=False),
    Column("event_epoch", SmallInteger, nullable=False),
    Column("event_xid", Xid8(), nullable=False),
    Column("event_id", BigInteger, nullable=False),
    Column("event_at", DateTime(timezone=True), nullable=False),
    Column("kind", Text, nullable=False),
    Column("account_id", uuid_type()),
    Column("subject_id", uuid_type(), nullable=False),
    Column("event_version", Integer, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'pending'")),
    # All attempts, and those since the schedule began (again, after a resend).
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("tries", SmallInteger, nullable=False, server_default=text("0")),
    Column("next_attempt_at", DateTime(timezone=True)),
    Column("error_kind", Text),
    now_column("created_at"),
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint("status in ('pending', 'delivered', 'failed')", name="status"),
    CheckConstraint("(status = 'pending') = (next_attempt_at is not null)", name="next_attempt_at"),
    CheckConstraint("(status = 'pending') = (ended_at is null)", name="ended_at"),
    UniqueConstraint(
        "endpoint_id",
        "event_epoch",
        "event_xid",
        "event_id",
        name="webhook_message_endpoint_event_key",
    ),
    Index(
        "webhook_message_due_idx",
        "endpoint_id",
        "next_attempt_at",
        "id",
        postgresql_where=text("status = 'pending'"),
    ),
    Index("webhook_message_ended_idx", "ended_at", postgresql_where=text("ended_at is not null")),
    Index("webhook_message_endpoint_id_id_idx", "endpoint_id", "id"),
)

webhook_attempt = Table(
    "webhook_attempt",
    metadata,
    Column(
        "message_id",
        uuid_type(),
        ForeignKey("webhook_message.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("no", Integer, primary_key=True),
    now_column("at"),
    Column("status", SmallInteger),
    Column("milliseconds", Integer, nullable=False),
    Column("error_kind", Text),
    Column("response", Text),
)

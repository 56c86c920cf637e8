"""Mails to customers: one row for each fact and template, from the event that told of it to the mail server's word."""

from __future__ import annotations

from sqlalchemy import (
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

from storage.tables.schema import MODE_CHECK, id_column, metadata, mode_column, now_column, uuid_type

mail = Table(
    "mail",
    metadata,
    id_column(),
    mode_column(),
    Column("event_key", Text, nullable=False, comment="what it is known by; see domain.mail_templates"),
    Column("template", Text, nullable=False),
    Column("account_id", uuid_type(), nullable=False, index=True),
    Column("subject_id", uuid_type(), nullable=False),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'waiting'")),
    Column("reason", Text, comment="why it was not sent, or is parked"),
    Column("connection", Text),
    Column("call_id", uuid_type(), comment="the call that sends it; its request is erased once it is sent"),
    Column("locale", Text, comment="the language that it was written in"),
    Column("message_id", Text),
    Column("unsubscribe_hash", LargeBinary, comment="of the token in the link by which marketing is ended"),
    Column("tries", SmallInteger, nullable=False, server_default=text("0")),
    now_column("next_at"),
    now_column("recorded_at"),
    Column("ended_at", DateTime(timezone=True)),
    UniqueConstraint("mode", "event_key", "template"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint(
        "status in ('waiting', 'sending', 'sent', 'unsent', 'parked', 'skipped', 'failed')", name="status"
    ),
    CheckConstraint("(ended_at is null) = (status in ('waiting', 'sending', 'parked'))", name="ended"),
    Index("mail_due_idx", "next_at", "id", postgresql_where=text("status in ('waiting', 'sending')")),
    Index("mail_parked_idx", "id", postgresql_where=text("status = 'parked'")),
    Index(
        "mail_unsubscribe_idx",
        "unsubscribe_hash",
        unique=True,
        postgresql_where=text("unsubscribe_hash is not null"),
    ),
)

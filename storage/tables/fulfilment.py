"""Licences and parcels: what shall be, what the other system was told, and the call that is under way."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables.schema import MODE_CHECK, id_column, metadata, mode_column, now_column, uuid_type

fulfilment = Table(
    "fulfilment",
    metadata,
    id_column(),
    mode_column(),
    Column("account_id", uuid_type(), ForeignKey("account.id"), nullable=False),
    Column("source_kind", Text, nullable=False),
    Column("source_id", uuid_type(), nullable=False, comment="the subscription or purchase that gives it"),
    Column("capability", Text, nullable=False),
    Column("item", Text, nullable=False, comment="the DRM system's content, or the warehouse's article"),
    Column(
        "number", Integer, nullable=False, comment="0: the standing order of an edition; an issue: its day's"
    ),
    Column("wish", Text, nullable=False),
    Column("told", Text, nullable=False, server_default=text("'nothing'")),
    Column("terms", JSONB, nullable=False, comment="as the catalog said; nothing personal"),
    Column("until", DateTime(timezone=True), comment="of a licence: its end, as far as is billed"),
    Column("given_until", DateTime(timezone=True)),
    Column("given_id", Text, comment="what the other system calls the licence or label"),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("changeable_until", DateTime(timezone=True), comment="of a parcel: then the carrier has it"),
    Column("connection", Text, comment="the one that does it; null: none was connected yet"),
    Column("attempt", Integer, nullable=False, server_default=text("1"), comment="of sending the parcel"),
    Column("sent_to", Text, comment="digest of the address that was told"),
    Column("step", Text, comment="the method of the call that is under way"),
    Column("call_id", uuid_type()),
    Column("next_at", DateTime(timezone=True), comment="when it is looked at next; null: nothing is to do"),
    Column("outcome", Text, comment="how it stands, for people"),
    now_column("created_at"),
    UniqueConstraint("source_id", "capability", "item", "number"),
    Index("fulfilment_account_id_idx", "account_id"),
    Index("fulfilment_next_idx", "next_at", postgresql_where=text("next_at is not null")),
    Index("fulfilment_call_idx", "call_id", postgresql_where=text("call_id is not null")),
    Index("fulfilment_until_idx", "until", postgresql_where=text("capability = 'drm' and wish = 'given'")),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("source_kind in ('subscription', 'purchase')", name="source_kind"),
    CheckConstraint("capability in ('drm', 'shipping')", name="capability"),
    CheckConstraint("wish in ('given', 'ended')", name="wish"),
    CheckConstraint("told in ('nothing', 'given', 'ended')", name="told"),
    CheckConstraint("(call_id is null) = (step is null)", name="step"),
)

"""Who may use what, and what was used of a metered allowance."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables.schema import MODE_CHECK, metadata, mode_column, uuid_type

feature = Table(
    "feature",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("metering", JSONB, comment="what readers may use of it whose plans do not; null: nothing"),
)

# The key begins with the account, so that its grants lie together; the other index answers the check, which wants one
# subscriber's grants of one feature, and keeps a grant from being there twice. No foreign key: an import writes them
# by the thousand, in the transaction of their account.
entitlement_grant = Table(
    "entitlement_grant",
    metadata,
    Column("account_id", uuid_type(), nullable=False),
    Column("id", uuid_type(), nullable=False),
    mode_column(),
    Column("subscriber", Text, nullable=False),
    Column("feature", Text, nullable=False),
    Column("source_kind", Text, nullable=False),
    Column("source_id", uuid_type(), nullable=False),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True)),
    Column("ends_because", Text),
    Column("allowance_count", Integer),
    Column("allowance_period", Text),
    Column("version", Integer, nullable=False, server_default=text("1")),
    PrimaryKeyConstraint("account_id", "id"),
    Index(
        "entitlement_grant_subscriber_key",
        "subscriber",
        "feature",
        "starts_at",
        "source_id",
        unique=True,
    ),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("ends_at > starts_at", name="span"),
    CheckConstraint("(allowance_count is null) = (allowance_period is null)", name="allowance"),
    CheckConstraint("subscriber not like 'visitor:%'", name="subscriber"),
)

# One row a place in an allowance, used again and again: its key is what keeps an allowance from being oversold.
allowance_use = Table(
    "allowance_use",
    metadata,
    mode_column(),
    Column("subscriber", Text, nullable=False),
    Column("feature", Text, nullable=False),
    Column("place", Integer, nullable=False),
    Column("resource", Text, nullable=False),
    Column("counted_on", Date, nullable=False),
    Column("free_on", Date, nullable=False, comment="the first day on which it counts no more"),
    PrimaryKeyConstraint("subscriber", "feature", "mode", "place"),
    Index("allowance_use_free_on_idx", "free_on"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("place > 0", name="place"),
    CheckConstraint("free_on > counted_on", name="span"),
)

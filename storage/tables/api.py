"""What the HTTP API remembers of its callers: secrets that keys had before, and answers to requests that may be
repeated."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables.schema import metadata, now_column, uuid_type

# Kept for good: what once opened the API must never be taken for a new key.
api_key_retired = Table(
    "api_key_retired",
    metadata,
    Column("key_hash", LargeBinary, primary_key=True),
    Column("api_key_id", uuid_type(), ForeignKey("api_key.id"), nullable=False, index=True),
    Column("valid_until", DateTime(timezone=True), nullable=False),
)

idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("api_key_id", uuid_type(), ForeignKey("api_key.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False, comment="of the request: method, path and body"),
    Column("account_id", uuid_type(), comment="whose data the answer holds, to be erased with it"),
    Column("status", SmallInteger, comment="of the answer; null while the work goes on"),
    Column("headers", JSONB),
    Column("body", LargeBinary),
    now_column("created_at"),
    Column(
        "claimed_until", DateTime(timezone=True), comment="somebody works on it, at the latest until then"
    ),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("(status is null) = (claimed_until is not null)", name="claimed"),
    CheckConstraint("(status is null) = (body is null)", name="answered"),
    Index("idempotency_key_expires_at_idx", "expires_at"),
    Index("idempotency_key_account_id_idx", "account_id", postgresql_where=text("account_id is not null")),
)

"""Holds on what leaves the house: while one is open, nothing is changed at other systems (after a restore, until it is
known what happened there since)."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables.schema import id_column, metadata, now_column

write_hold = Table(
    "write_hold",
    metadata,
    id_column(),
    Column("reason", Text, nullable=False),
    Column(
        "since",
        DateTime(timezone=True),
        nullable=False,
        comment="what happened outside from then on is not in these rows",
    ),
    Column(
        "asked",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="what each gateway answered, by connection",
    ),
    now_column("began_at"),
    Column("released_at", DateTime(timezone=True)),
    Column("released_by", Text),
    Column("release_reason", Text),
    CheckConstraint("(released_at is null) = (released_by is null)", name="released"),
    Index(
        "write_hold_open_key",
        text("(released_at is null)"),
        unique=True,
        postgresql_where=text("released_at is null"),
    ),
)

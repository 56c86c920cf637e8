"""Documents at connected tax engines: one for each invoice or credit note that an engine has to know of."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from storage.tables.schema import MODE_CHECK, id_column, metadata, mode_column, now_column, uuid_type

tax_document = Table(
    "tax_document",
    metadata,
    id_column(),
    mode_column(),
    Column("invoice_id", uuid_type(), nullable=False),
    Column("credit_note_id", uuid_type(), comment="set where it gives tax of the invoice back"),
    Column("account_id", uuid_type(), nullable=False),
    Column("connection", Text, nullable=False),
    Column(
        "code", Text, nullable=False, comment="its name at the engine: the invoice's or credit note's number"
    ),
    Column("source", Text, nullable=False, comment="who said how much tax it is"),
    Column("currency", Text, nullable=False),
    Column("total", BigInteger, nullable=False, comment="tax as charged, minor units"),
    Column(
        "untold",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        comment="tax on the invoice that the engine is not told of, minor units",
    ),
    Column("tax_date", Date, nullable=False),
    Column("recorded_total", BigInteger, comment="tax as the engine recorded it, minor units"),
    Column("status", Text, nullable=False, server_default=text("'pending'")),
    Column("step", Text, nullable=False, comment="what call_id asks of the engine"),
    Column("call_id", uuid_type(), nullable=False),
    Column("void_requested_at", DateTime(timezone=True)),
    Column(
        "due_at",
        DateTime(timezone=True),
        nullable=False,
        server_default=text("now()"),
        comment="when to look at it",
    ),
    now_column("created_at"),
    Column("settled_at", DateTime(timezone=True), comment="null while something is left to do"),
    UniqueConstraint("connection", "code"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("source in ('engine', 'fallback')", name="source"),
    CheckConstraint(
        "status in ('pending', 'committed', 'mismatch', 'voided', 'left_out')",
        name="status",
    ),
    CheckConstraint("step in ('commit', 'adjust', 'refund', 'void')", name="step"),
    Index(
        "tax_document_invoice_key",
        "invoice_id",
        unique=True,
        postgresql_where=text("credit_note_id is null"),
    ),
    Index(
        "tax_document_credit_note_key",
        "credit_note_id",
        unique=True,
        postgresql_where=text("credit_note_id is not null"),
    ),
    Index("tax_document_due_idx", "connection", "due_at", postgresql_where=text("settled_at is null")),
)

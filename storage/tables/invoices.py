"""Invoices and their lines: laws I3, I4, I5 and I9 as constraints."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from storage.tables.schema import (
    MODE_CHECK,
    MONEY_LIMIT,
    id_column,
    metadata,
    mode_column,
    now_column,
    uuid_type,
)

number_series = Table(
    "number_series",
    metadata,
    Column("mode", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("last_number", BigInteger, nullable=False),
    Column("last_hash", LargeBinary, nullable=False),
    CheckConstraint(MODE_CHECK, name="mode"),
)

invoice = Table(
    "invoice",
    metadata,
    id_column(),
    mode_column(),
    Column("account_id", uuid_type(), nullable=False, index=True),
    Column("series", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("issued_on", Date, nullable=False),
    Column("due_on", Date, nullable=False),
    Column("status", Text, nullable=False),
    Column("subtotal", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("bill_run_id", uuid_type()),
    Column("chain_hash", LargeBinary, nullable=False),
    now_column("posted_at"),
    UniqueConstraint("number", "series", "mode"),  # the number first: most comparisons end with it
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("status in ('open', 'paid', 'void', 'uncollectible')", name="status"),
    CheckConstraint("total = subtotal + tax", name="total"),
    CheckConstraint(f"abs(total) < {MONEY_LIMIT} and balance <= greatest(total, 0)", name="limits"),
)

invoice_line = Table(
    "invoice_line",
    metadata,
    Column("invoice_id", uuid_type(), primary_key=True),
    Column("no", SmallInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("item_id", uuid_type()),
    Column("price_id", uuid_type()),
    Column("part", Text),
    Column("period_start", Date),
    Column("period_end", Date),
    Column("quantity", Numeric, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("parent_no", SmallInteger),
    Column("reference", Text),
    Column("rate", Numeric),
    Column("charge_key", uuid_type(), nullable=False),
    Column("voided_at", DateTime(timezone=True)),
    Index("invoice_line_charge_key", "charge_key", unique=True, postgresql_where=text("voided_at is null")),
    CheckConstraint(
        "kind in ('recurring', 'usage', 'one_time', 'unused_credit', 'adjustment', 'discount', 'tax', 'minimum',"
        " 'delivery_credit')",
        name="kind",
    ),
    CheckConstraint("period_start < period_end", name="period"),
    CheckConstraint(f"abs(amount) < {MONEY_LIMIT}", name="limits"),
)

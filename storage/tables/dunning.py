"""Who owes and is being dunned, and what payment gateways told of payments.

A dunning case is the row by which lists and timers see what `domain.account` decides: an account has at most one that
is open (`dunning_case_open_key`), and it is written in the transaction of whatever changes the account.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables.schema import MODE_CHECK, id_column, metadata, mode_column, now_column, uuid_type

dunning_case = Table(
    "dunning_case",
    metadata,
    id_column(),
    Column("account_id", uuid_type(), ForeignKey("account.id"), nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("state", Text, nullable=False, comment="of the dunning policy"),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False, comment="at risk: what is open, minor units"),
    Column("invoices", Integer, nullable=False, comment="how many are open"),
    Column("oldest_due_on", Date),
    Column("looked_on", Date, comment="the last local day on which it was dunned"),
    Column("next_at", DateTime(timezone=True), comment="when dunning has something to do again"),
    Column("retry_at", DateTime(timezone=True), comment="when the payment method is to be tried again"),
    Column(
        "holds",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="promise, dispute, pause: until when, by whom, why",
    ),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("closed_at", DateTime(timezone=True)),
    Column("outcome", Text, comment="how it ended"),
    CheckConstraint("opened_by in ('sweep', 'failed_payment')", name="opened_by"),
    CheckConstraint("(closed_at is null) = (outcome is null)", name="outcome"),
    CheckConstraint("amount >= 0 and invoices >= 0", name="amount"),
    Index("dunning_case_open_key", "account_id", unique=True, postgresql_where=text("closed_at is null")),
    Index("dunning_case_account_idx", "account_id", "closed_at"),
    Index("dunning_case_next_idx", "next_at", postgresql_where=text("closed_at is null")),
    Index("dunning_case_retry_idx", "retry_at", postgresql_where=text("retry_at is not null")),
)

payment_fact = Table(
    "payment_fact",
    metadata,
    mode_column(),
    Column("connection", Text, primary_key=True),
    Column("delivery_key", Text, primary_key=True),
    Column("no", SmallInteger, primary_key=True, comment="in its delivery, from 1"),
    Column("payment", Text, nullable=False, comment="what the gateway calls it"),
    Column("reference", Text, nullable=False, comment="ours, of the payment or of its refund"),
    Column("fact", JSONB, nullable=False),
    now_column("received_at"),
    CheckConstraint(MODE_CHECK, name="mode"),
    Index("payment_fact_payment_idx", "connection", "payment"),
)

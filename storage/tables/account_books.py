"""What an account has beside its subscriptions and invoices: corrections, money received, credit in hand, what waits
for the next bill, and the history that its rules look back on."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables.schema import MODE_CHECK, id_column, metadata, mode_column, now_column, uuid_type

rule_book = Table(
    "rule_book",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("definition", JSONB, nullable=False),
    now_column("loaded_at"),
)

subscription_history = Table(
    "subscription_history",
    metadata,
    Column("subscription_id", uuid_type(), ForeignKey("subscription.id"), primary_key=True),
    Column("history", JSONB, nullable=False, comment="pauses, moved time, plans read, holiday stops"),
)

account_history = Table(
    "account_history",
    metadata,
    Column("account_id", uuid_type(), ForeignKey("account.id"), primary_key=True),
    Column(
        "history",
        JSONB,
        nullable=False,
        comment="dunning, collecting, gifts, corrected revenue, freed charges",
    ),
)

invoice_settlement = Table(
    "invoice_settlement",
    metadata,
    Column("invoice_id", uuid_type(), primary_key=True, comment="no row: nothing was settled"),
    Column("paid", BigInteger, nullable=False, server_default=text("0")),
    Column("credited", BigInteger, nullable=False, server_default=text("0")),
    Column("used", BigInteger, nullable=False, server_default=text("0"), comment="of account credit"),
    Column("written_off", BigInteger, nullable=False, server_default=text("0")),
    Column("refunded", BigInteger, nullable=False, server_default=text("0")),
    CheckConstraint("paid >= 0 and credited >= 0 and written_off >= 0", name="not_negative"),
    CheckConstraint("refunded between 0 and paid", name="refunded"),
)

pending_charge = Table(
    "pending_charge",
    metadata,
    Column("account_id", uuid_type(), ForeignKey("account.id"), primary_key=True),
    Column("no", SmallInteger, primary_key=True),
    Column("lines", JSONB, nullable=False, comment="a charge or credit with its discounts and taxes"),
    Column("uncut", JSONB, nullable=False, comment="what it was before it was shortened"),
)

document_series = Table(
    "document_series",
    metadata,
    Column("mode", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("last_number", BigInteger, nullable=False),
    CheckConstraint(MODE_CHECK, name="mode"),
)

credit_note = Table(
    "credit_note",
    metadata,
    id_column(),
    mode_column(),
    Column("account_id", uuid_type(), ForeignKey("account.id"), nullable=False, index=True),
    Column("invoice_id", uuid_type(), nullable=False),
    Column("series", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("issued_on", Date, nullable=False),
    Column("reason", Text, nullable=False),
    Column("subtotal", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False, comment="negative: what the customer gets back"),
    now_column("posted_at"),
    UniqueConstraint("number", "series", "mode"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("total = subtotal + tax and total < 0", name="total"),
)

credit_line = Table(
    "credit_line",
    metadata,
    Column("account_id", uuid_type(), ForeignKey("account.id"), primary_key=True),
    Column("no", Integer, primary_key=True, comment="in the order of giving"),
    Column(
        "credit_note_id", uuid_type(), ForeignKey("credit_note.id"), comment="null: on an invoice, or a void"
    ),
    Column("invoice_id", uuid_type(), nullable=False, comment="the invoice with the line that it corrects"),
    Column("line_no", SmallInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("starts_on", Date),
    Column("ends_on", Date),
    Column("net", BigInteger, nullable=False),
    Column("taxes", JSONB, nullable=False),
    CheckConstraint("starts_on <= ends_on", name="time"),
)

payment = Table(
    "payment",
    metadata,
    id_column(),
    mode_column(),
    Column("account_id", uuid_type(), ForeignKey("account.id"), nullable=False),
    Column("no", Integer, nullable=False, comment="of the account, from 1"),
    Column("made_on", Date, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("refunded", BigInteger, nullable=False, server_default=text("0")),
    Column("code", Text, comment="why it failed, as the gateway said"),
    Column("gateway_id", Text, comment="what the gateway calls it"),
    now_column("created_at"),
    UniqueConstraint("account_id", "no"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("amount > 0 and refunded between 0 and amount", name="amounts"),
    CheckConstraint(
        "status in ('requires_action', 'processing', 'unknown', 'succeeded', 'failed', 'refunded', 'disputed')",
        name="status",
    ),
    Index("payment_gateway_id_idx", "gateway_id", postgresql_where=text("gateway_id is not null")),
)

payment_application = Table(
    "payment_application",
    metadata,
    Column("payment_id", uuid_type(), ForeignKey("payment.id"), primary_key=True),
    Column("invoice_id", uuid_type(), primary_key=True),
    Column("amount", BigInteger, nullable=False),
    CheckConstraint("amount > 0", name="amount"),
)

account_credit_grant = Table(
    "account_credit_grant",
    metadata,
    Column("account_id", uuid_type(), ForeignKey("account.id"), primary_key=True),
    Column("id", Text, primary_key=True, comment="what it was granted for"),
    Column("no", Integer, nullable=False),
    Column("granted_on", Date, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("expires_on", Date),
    CheckConstraint("amount > 0", name="amount"),
)

account_credit_movement = Table(
    "account_credit_movement",
    metadata,
    Column("account_id", uuid_type(), ForeignKey("account.id"), primary_key=True),
    Column("no", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("grant_id", Text, nullable=False),
    Column("moved_on", Date, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("target", Text),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("kind in ('use', 'return', 'expiry')", name="kind"),
)

command = Table(
    "command",
    metadata,
    Column("account_id", uuid_type(), ForeignKey("account.id"), primary_key=True),
    Column("id", Text, primary_key=True, comment="given by whoever asks; the same id is the same command"),
    Column("kind", Text, nullable=False),
    Column("asked", JSONB, nullable=False),
    Column("outcome", JSONB, nullable=False),
    now_column("at"),
)

"""Money that goes back: refunds that were promised, disputes of payers, and money that came in beside the gateways.

A refund is written with its credit notes, before anything is sent; its key at the gateway is a function of payment and
number, so that every try of it is one refund there. What is promised and not paid stands in the ledger as refunds
payable: the sum of the rows whose promise is standing.
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
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables.schema import MODE_CHECK, id_column, metadata, mode_column, now_column, uuid_type

REFUND_STATUSES = ("pending", "processing", "by_hand", "succeeded", "failed")
PROMISES = ("standing", "paid", "credited", "renewed")

refund = Table(
    "refund",
    metadata,
    id_column(),
    mode_column(),
    Column("account_id", uuid_type(), ForeignKey("account.id"), nullable=False, index=True),
    Column("payment_id", uuid_type(), ForeignKey("payment.id"), nullable=False),
    Column("no", SmallInteger, nullable=False, comment="of the payment, from 1; the key is made of both"),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column(
        "promise",
        Text,
        nullable=False,
        server_default=text("'standing'"),
        comment="what became of what is promised; renewed: another refund took it over",
    ),
    Column("parts", JSONB, nullable=False, comment="of which invoices: id and minor units"),
    Column("connection", Text, comment="the gateway's; null: paid by hand"),
    Column("gateway_payment", Text, comment="what the gateway calls the payment"),
    Column("gateway_id", Text, comment="what the gateway calls the refund"),
    Column("call_id", uuid_type()),
    Column("command_id", Text, comment="of the command that asked for it"),
    Column("code", Text, comment="why it failed, as the gateway said"),
    Column("begun_at", DateTime(timezone=True), comment="when its process began"),
    now_column("created_at"),
    Column("ended_at", DateTime(timezone=True)),
    UniqueConstraint("payment_id", "no"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint(f"status in {REFUND_STATUSES}", name="status"),
    CheckConstraint(f"promise in {PROMISES}", name="promise"),
    CheckConstraint("(ended_at is null) = (status in ('pending', 'processing', 'by_hand'))", name="ended"),
    CheckConstraint("(promise = 'paid') = (status = 'succeeded')", name="paid"),
    CheckConstraint("status <> 'by_hand' or connection is null", name="by_hand"),
    Index("refund_standing_idx", "created_at", postgresql_where=text("promise = 'standing'")),
    Index(
        "refund_gateway_id_idx", "connection", "gateway_id", postgresql_where=text("gateway_id is not null")
    ),
)

dispute = Table(
    "dispute",
    metadata,
    id_column(),
    mode_column(),
    Column("connection", Text, nullable=False),
    Column("gateway_id", Text, nullable=False, comment="what the gateway calls the dispute"),
    Column("gateway_payment", Text, nullable=False, comment="what the gateway calls the payment"),
    Column("reference", Text, nullable=False, comment="ours of the payment, where the gateway tells it"),
    Column("account_id", uuid_type(), ForeignKey("account.id")),
    Column("payment_id", uuid_type(), ForeignKey("payment.id"), comment="null: not known here yet"),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False, comment="the most that was told of"),
    Column("stage", Text, nullable=False, comment="the latest that was told of"),
    Column("status", Text, nullable=False, comment="open: the invoice is not dunned"),
    Column("booked_taken", BigInteger, nullable=False, server_default=text("0")),
    Column("booked_lost", BigInteger, nullable=False, server_default=text("0")),
    Column(
        "fee",
        BigInteger,
        nullable=False,
        server_default=text("0"),
        comment="what the gateway keeps for it, by the latest stage",
    ),
    Column("booked_fee", BigInteger, nullable=False, server_default=text("0")),
    Column("evidence", JSONB, nullable=False, server_default=text("'[]'"), comment="notes of people"),
    now_column("opened_at"),
    now_column("changed_at"),
    UniqueConstraint("mode", "connection", "gateway_id"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("amount > 0 and booked_taken >= 0 and booked_lost >= 0", name="amounts"),
    CheckConstraint("fee >= 0 and booked_fee >= 0", name="fees"),
    CheckConstraint("stage in ('announced', 'taken', 'won', 'lost')", name="stage"),
    CheckConstraint("status in ('open', 'won', 'lost')", name="status"),
    Index("dispute_payment_idx", "payment_id", postgresql_where=text("payment_id is not null")),
    Index(
        "dispute_unknown_idx",
        "connection",
        "gateway_payment",
        postgresql_where=text("payment_id is null"),
    ),
)

manual_payment = Table(
    "manual_payment",
    metadata,
    Column("payment_id", uuid_type(), ForeignKey("payment.id"), primary_key=True),
    Column("account_id", uuid_type(), ForeignKey("account.id"), nullable=False),
    Column("reference", Text, comment="of the cheque or the transfer"),
    Column("received_on", Date, nullable=False),
    Column("command_id", Text, nullable=False, comment="the one that recorded it"),
    Column("returned_on", Date, comment="when it bounced"),
    UniqueConstraint("account_id", "reference"),
    UniqueConstraint("account_id", "command_id"),
)

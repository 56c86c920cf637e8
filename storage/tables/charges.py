"""Money in through payment gateways: the methods that accounts pay by, each charge of one, and what it is for.

A charge is written, with its parts, before anything is sent; its key is a function of account and number, so that every
try of it is one charge at the gateway. An invoice has at most one charge whose end is not known
(`charge_part_open_key`): while that is so, nobody charges it again and nobody duns for it (law I6).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
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
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from storage.tables.schema import MODE_CHECK, id_column, metadata, mode_column, now_column, uuid_type

OPEN_CHARGES = ("intent", "processing", "requires_action", "unknown")
CLOSED_CHARGES = ("succeeded", "failed", "withdrawn")

payment_method = Table(
    "payment_method",
    metadata,
    id_column(),
    mode_column(),
    Column("account_id", uuid_type(), ForeignKey("account.id"), nullable=False),
    Column("connection", Text, nullable=False, comment="the gateway that knows it"),
    Column("method", Text, nullable=False, comment="the gateway's token; never a card's number"),
    Column("customer", Text, comment="the gateway's token of the payer"),
    Column("kind", Text, nullable=False, server_default=text("'card'")),
    Column("brand", Text),
    Column("last4", Text, comment="the last four digits, which tell cards apart"),
    Column("expires_on", Date, comment="the first day on which it is of no use any more"),
    Column("is_default", Boolean, nullable=False, server_default=text("true")),
    now_column("added_at"),
    Column("told_at", DateTime(timezone=True), comment="the gateway's time of what it told last of it"),
    Column(
        "renewed_at", DateTime(timezone=True), comment="when the gateway last told of a new card behind it"
    ),
    Column("retired_at", DateTime(timezone=True), comment="replaced or removed: never charged again"),
    UniqueConstraint("account_id", "connection", "method"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("kind in ('card', 'direct_debit', 'wallet')", name="kind"),
    CheckConstraint("last4 ~ '^[0-9]{4}$'", name="last4"),
    Index("payment_method_token_idx", "connection", "method"),
    Index(
        "payment_method_default_key",
        "account_id",
        "connection",
        unique=True,
        postgresql_where=text("is_default and retired_at is null"),
    ),
)

charge = Table(
    "charge",
    metadata,
    id_column(),
    mode_column(),
    Column("account_id", uuid_type(), ForeignKey("account.id"), nullable=False),
    Column(
        "no",
        Integer,
        nullable=False,
        comment="of the account, from 1; the key at the gateway is made of both",
    ),
    Column(
        "collection_id",
        uuid_type(),
        nullable=False,
        comment="the charge's own id, or its first try's elsewhere",
    ),
    Column("run_id", uuid_type(), comment="the payment run that made it; null: made for the account alone"),
    Column("made_on", Date, nullable=False, comment="the account's local day"),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("connection", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("customer", Text),
    Column("status", Text, nullable=False, server_default=text("'intent'")),
    Column("gateway_id", Text, comment="what the gateway calls it"),
    Column("code", Text, comment="why it failed, as the gateway said"),
    Column(
        "technical",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="failed, no bank was asked",
    ),
    Column("next_action_url", Text),
    Column(
        "present",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="the customer was there and can be asked by the bank",
    ),
    Column("act_until", DateTime(timezone=True), comment="when what waits for the customer is given up"),
    Column("payment_id", uuid_type(), comment="the payment in the books that it became"),
    Column(
        "looks", SmallInteger, nullable=False, server_default=text("0"), comment="how often it was asked for"
    ),
    Column("next_look_at", DateTime(timezone=True), comment="when the gateway is asked again how it stands"),
    Column("sent_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    now_column("created_at"),
    UniqueConstraint("account_id", "no"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint(f"status in {(*OPEN_CHARGES, *CLOSED_CHARGES)}", name="status"),
    CheckConstraint(f"(ended_at is null) = (status in {OPEN_CHARGES})", name="ended"),
    CheckConstraint("status <> 'succeeded' or payment_id is not null", name="payment"),
    Index("charge_open_idx", "status", "next_look_at", postgresql_where=text("ended_at is null")),
    Index(
        "charge_gateway_id_idx", "connection", "gateway_id", postgresql_where=text("gateway_id is not null")
    ),
    Index("charge_run_idx", "run_id", "status", postgresql_where=text("run_id is not null")),
)

payment_run = Table(
    "payment_run",
    metadata,
    id_column(),
    mode_column(),
    Column("workflow_id", Text, nullable=False),
    Column("workflow_run_id", Text, nullable=False, unique=True),
    Column("scope", Text, nullable=False),
    Column("target_date", Date),
    Column("target_instant", DateTime(timezone=True)),
    Column("status", Text, nullable=False),
    Column("selected", BigInteger, nullable=False, server_default=text("0")),
    Column(
        "unselected",
        JSONB,
        nullable=False,
        server_default=text("'{}'"),
        comment="where it selected nobody: accounts by the reason",
    ),
    now_column("started_at"),
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint(
        "status in ('selecting', 'running', 'paused', 'completed', 'completed_with_parked', 'canceled')",
        name="status",
    ),
    CheckConstraint("(target_date is null) <> (target_instant is null)", name="target"),
    Index("payment_run_started_idx", "started_at"),
)

payment_run_chunk = Table(
    "payment_run_chunk",
    metadata,
    Column("payment_run_id", uuid_type(), ForeignKey("payment_run.id"), primary_key=True),
    Column("no", Integer, primary_key=True),
    Column("accounts", ARRAY(uuid_type()), nullable=False),
    Column("pending", ARRAY(uuid_type()), nullable=False, comment="accounts still without an outcome"),
    Column("canceled", Integer, nullable=False, server_default=text("0")),
)

payment_run_left = Table(
    "payment_run_left",
    metadata,
    Column("payment_run_id", uuid_type(), ForeignKey("payment_run.id"), primary_key=True),
    Column("account_id", uuid_type(), ForeignKey("account.id"), primary_key=True),
    Column(
        "why", Text, nullable=False, comment="why the account was not charged; parked: it could not be read"
    ),
    Column("words", Text, nullable=False, server_default=text("''")),
)

charge_part = Table(
    "charge_part",
    metadata,
    Column("charge_id", uuid_type(), ForeignKey("charge.id"), primary_key=True),
    Column("invoice_id", uuid_type(), primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column(
        "open",
        Boolean,
        nullable=False,
        server_default=text("true"),
        comment="while the charge's end is not known",
    ),
    CheckConstraint("amount > 0", name="amount"),
    Index("charge_part_open_key", "invoice_id", unique=True, postgresql_where=text("open")),
    Index("charge_part_invoice_idx", "invoice_id"),
)

"""Checkouts: what was put into a cart, how far the sale has come, and what it brought.

No foreign key leads to `account`: a checkout knows the id of its account before that is there."""

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
    LargeBinary,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from storage.tables.schema import MODE_CHECK, id_column, metadata, mode_column, now_column, uuid_type

STATUSES = (
    "quoting",
    "authorising",
    "requires_action",
    "posting",
    "capturing",
    "completed",
    "declined",
    "refused",
    "expired",
    "canceled",
)

checkout = Table(
    "checkout",
    metadata,
    id_column(),
    mode_column(),
    Column("key", Text, nullable=False, comment="the client's Idempotency-Key"),
    Column("fingerprint", LargeBinary, nullable=False, comment="of what was asked for under the key"),
    Column("status", Text, nullable=False),
    Column("account_id", uuid_type(), nullable=False),
    Column("opens_account", Boolean, nullable=False),
    Column("cart", JSONB, nullable=False),
    Column("terms", JSONB, comment="of the account that is opened; nothing of a person"),
    Column("payment", JSONB, comment="the gateway's tokens, and how it is charged; null: nothing is given"),
    Column("expected_due", BigInteger, comment="what the shop has shown; another amount is refused"),
    Column("connection", Text, comment="the payment gateway's"),
    Column("as_of", DateTime(timezone=True), comment="the instant that prices and days are counted from"),
    Column("quote", JSONB, comment="what was offered: lines, sums, tax"),
    Column("currency", Text),
    Column("total", BigInteger),
    Column("due", BigInteger, comment="of the total: what is charged now"),
    Column("invoice_id", uuid_type()),
    Column("subscription_ids", ARRAY(uuid_type()), nullable=False, server_default=text("'{}'")),
    Column("gateway_id", Text, comment="what the gateway calls the payment, or the setup"),
    Column("attempt", Integer, nullable=False, server_default=text("1")),
    Column("next_action_url", Text),
    Column("problem_kind", Text),
    Column("problem", Text, comment="safe to be shown"),
    now_column("created_at"),
    Column("ended_at", DateTime(timezone=True)),
    Column("version", Integer, nullable=False, server_default=text("1")),
    UniqueConstraint("mode", "key"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint(f"status in ({', '.join(repr(each) for each in STATUSES)})", name="status"),
    CheckConstraint("due between 0 and total", name="due"),
    CheckConstraint(
        "status not in ('capturing', 'completed') or as_of is not null",
        name="quoted",
    ),
    Index("checkout_account_id_idx", "account_id"),
    Index(
        "checkout_open_idx",
        "created_at",
        postgresql_where=text("ended_at is null"),
    ),
)

checkout_person = Table(
    "checkout_person",
    metadata,
    Column("checkout_id", uuid_type(), ForeignKey("checkout.id"), primary_key=True),
    Column("name", Text),
    Column("email", Text),
    Column("address", JSONB),
    Column("tax", JSONB, comment="a tax engine's answer, which holds the address"),
    comment="what is about a person; removed when the checkout ends",
)

awaiting_payment = Table(
    "awaiting_payment",
    metadata,
    # Checked at the end: it is written with its subscription, before what follows from both is worked out.
    Column(
        "subscription_id",
        uuid_type(),
        ForeignKey("subscription.id", deferrable=True, initially="DEFERRED"),
        primary_key=True,
    ),
    Column("checkout_id", uuid_type(), ForeignKey("checkout.id"), nullable=False, index=True),
    now_column("since"),
    comment="subscriptions whose first payment has not come in: nobody reads by them",
)

purchase = Table(
    "purchase",
    metadata,
    id_column(),
    mode_column(),
    Column("account_id", uuid_type(), ForeignKey("account.id"), nullable=False, index=True),
    Column("checkout_id", uuid_type(), ForeignKey("checkout.id"), nullable=False, index=True),
    Column("plan_code", Text, nullable=False),
    Column("plan_version", Integer, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("bought_on", Date, nullable=False),
    Column("invoice_id", uuid_type(), nullable=False),
    Column("paid_at", DateTime(timezone=True), comment="null: not paid, so nothing is given for it"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("quantity > 0", name="quantity"),
)

fulfilment_request = Table(
    "fulfilment_request",
    metadata,
    id_column(),
    mode_column(),
    Column("checkout_id", uuid_type(), ForeignKey("checkout.id"), nullable=False),
    Column("account_id", uuid_type(), nullable=False),
    Column("subject_id", uuid_type(), nullable=False, comment="the subscription or purchase that it is for"),
    Column("capability", Text, nullable=False),
    Column("connection", Text, comment="null: none is configured, so nothing is called"),
    now_column("requested_at"),
    UniqueConstraint("checkout_id", "subject_id", "capability"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("capability in ('provisioning', 'drm', 'shipping')", name="capability"),
)

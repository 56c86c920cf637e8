"""The tables, as SQLAlchemy Core sees them.

Laws I1, I3, I4, I5 and I9 of the books stand here as constraints.

Conventions: ids are UUIDv7 made by the application; money is bigint minor units beside a currency; billing
days are `date`, instants `timestamptz`; `mode` keeps test-mode rows out of live ones; every row that can be
changed by a command has a `version`.

On hot tables there is no index that a bill run would have to update: `subscription.next_bill_on` has none, so
that moving it is a heap-only update (a run reads the table once, in order; see docs/decisions.md).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "fk": "%(table_name)s_%(column_0_N_name)s_fk",
        "ck": "%(table_name)s_%(constraint_name)s",
    }
)


class Xid8(sa.types.UserDefinedType[str]):
    """Postgres' 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "XID8"


def _uuid() -> sa.Uuid[str]:
    return sa.Uuid(as_uuid=False)


def _id() -> Column[Any]:
    return Column("id", _uuid(), primary_key=True)


def _mode() -> Column[Any]:
    return Column("mode", Text, nullable=False, server_default=text("'live'"))


def _now(name: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=text("now()"))


def _xid() -> Column[Any]:
    return Column("xid", Xid8(), nullable=False, server_default=text("pg_current_xact_id()"))


def _epoch() -> Column[Any]:
    """Raised by a restore (which changes this default), because transaction ids begin anew there."""
    return Column("epoch", SmallInteger, nullable=False, server_default=text("1"))


MODE_CHECK = "mode in ('live', 'test')"
MONEY_LIMIT = 10**13  # minor units; a larger amount is a mistake, not a bill

# --- operators ---

api_key = Table(
    "api_key",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("key_hash", LargeBinary, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    _now("created_at"),
    Column("expires_at", DateTime(timezone=True)),
)

audit = Table(
    "audit",
    metadata,
    _id(),
    _now("at"),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", JSONB),
)

parked = Table(
    "parked",
    metadata,
    _id(),
    _mode(),
    Column("kind", Text, nullable=False),
    Column("trace_key", Text, nullable=False),
    Column("account_id", _uuid(), ForeignKey("account.id")),
    Column("bill_run_id", _uuid()),
    Column("error_kind", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("remedy", Text, nullable=False),
    Column("times", Integer, nullable=False, server_default=text("1")),
    _now("opened_at"),
    _now("last_seen_at"),
    Column("resolved_at", DateTime(timezone=True)),
    Column("resolution", Text),
    Index(
        "parked_open_key",
        "mode",
        "kind",
        "trace_key",
        unique=True,
        postgresql_where=text("resolved_at is null"),
    ),
)

# --- catalog ---

product = Table(
    "product",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("tax_category", Text, nullable=False),
)

meter = Table(
    "meter",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),
)

plan = Table(
    "plan",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("product_code", Text, ForeignKey("product.code"), nullable=False),
)

plan_version = Table(
    "plan_version",
    metadata,
    _id(),
    Column("plan_code", Text, ForeignKey("plan.code"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("effective_on", Date, nullable=False),
    Column("definition", JSONB, nullable=False),
    _now("loaded_at"),
    UniqueConstraint("plan_code", "version"),
)

price = Table(
    "price",
    metadata,
    _id(),
    Column("plan_version_id", _uuid(), ForeignKey("plan_version.id"), nullable=False),
    Column("phase", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("currency", Text, nullable=False),
    UniqueConstraint("plan_version_id", "phase", "code", "currency"),
)

catalog_load = Table(
    "catalog_load",
    metadata,
    _id(),
    _now("loaded_at"),
    Column("changed", JSONB, nullable=False),
)

tax_rate = Table(
    "tax_rate",
    metadata,
    _id(),
    Column("region", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("jurisdiction", Text, nullable=False),
    Column("rate", Numeric, nullable=False),
    Column("starts_on", Date, nullable=False),
    UniqueConstraint("region", "category", "jurisdiction", "starts_on"),
    CheckConstraint("rate >= 0 and rate < 1", name="rate_range"),
)

# --- who pays, and for what ----------------------------------------------------------------------------------

account = Table(
    "account",
    metadata,
    _id(),
    _mode(),
    Column("external_key", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("locale", Text, nullable=False),
    Column("bill_cycle_day", SmallInteger),
    Column("tax_region", Text),
    Column("tax_exempt", Boolean, nullable=False, server_default=text("false")),
    Column("payment_terms_days", SmallInteger, nullable=False, server_default=text("0")),
    Column("payment_method", Text),
    Column("import_job_id", _uuid()),
    Column("import_row", BigInteger),
    Column("version", Integer, nullable=False, server_default=text("1")),
    _now("created_at"),
    UniqueConstraint("mode", "external_key"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("bill_cycle_day between 1 and 31", name="bill_cycle_day"),
)

person = Table(
    "person",
    metadata,
    Column("account_id", _uuid(), ForeignKey("account.id"), primary_key=True),
    Column("name", Text),
    Column("email", Text),
    Column("address", JSONB),
)

subscription = Table(
    "subscription",
    metadata,
    _id(),
    _mode(),
    Column("account_id", _uuid(), ForeignKey("account.id"), nullable=False, index=True),
    Column("external_key", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("starts_on", Date, nullable=False),
    Column("trial_ends_on", Date),
    Column("anchor_on", Date, nullable=False),
    Column("anchor_day", SmallInteger, nullable=False),
    Column("interval_unit", Text, nullable=False),
    Column("interval_count", SmallInteger, nullable=False),
    Column("ends_on", Date),
    Column("opening_on", Date, nullable=False),
    Column("charged_through", Date, nullable=False),
    Column("arrears_through", Date, nullable=False),
    Column("next_bill_on", Date),
    Column("next_due", DateTime(timezone=True)),
    Column("usage_epoch", SmallInteger),
    Column("usage_seen", Xid8()),
    Column("version", Integer, nullable=False, server_default=text("1")),
    _now("created_at"),
    UniqueConstraint("mode", "external_key"),
    Index("subscription_next_due_idx", "next_due", postgresql_where=text("next_due is not null")),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint(
        "status in ('draft', 'trialing', 'active', 'past_due', 'paused', 'canceled', 'expired')",
        name="status",
    ),
    CheckConstraint("interval_unit in ('day', 'week', 'month', 'year')", name="interval_unit"),
    CheckConstraint("interval_count > 0", name="interval_count"),
    CheckConstraint("charged_through >= opening_on and arrears_through >= opening_on", name="covered"),
    postgresql_with={"fillfactor": "45"},
)

subscription_item = Table(
    "subscription_item",
    metadata,
    _id(),
    Column("subscription_id", _uuid(), ForeignKey("subscription.id"), nullable=False, index=True),
    Column("plan_code", Text, nullable=False),
    Column("plan_version", Integer, nullable=False),
    Column("quantity", Numeric, nullable=False, server_default=text("1")),
    Column("price_override", BigInteger),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date),
    ForeignKeyConstraint(["plan_code", "plan_version"], ["plan_version.plan_code", "plan_version.version"]),
    CheckConstraint("quantity >= 0", name="quantity"),
)

subscription_discount = Table(
    "subscription_discount",
    metadata,
    _id(),
    Column("subscription_id", _uuid(), ForeignKey("subscription.id"), nullable=False),
    Column("code", Text, nullable=False),
    Column("percent", Numeric),
    Column("amount", BigInteger),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date),
    UniqueConstraint("subscription_id", "code"),
    CheckConstraint("(percent is null) <> (amount is null)", name="one_value"),
    CheckConstraint("percent > 0 and percent <= 100", name="percent"),
    CheckConstraint("amount > 0", name="amount"),
)

usage_record = Table(
    "usage_record",
    metadata,
    _id(),
    Column("item_id", _uuid(), ForeignKey("subscription_item.id"), nullable=False),
    Column("meter_code", Text, ForeignKey("meter.code"), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("key", Text, nullable=False),
    _epoch(),
    _xid(),
    UniqueConstraint("item_id", "key"),
    Index("usage_record_item_idx", "item_id", "meter_code", "at"),
)

import_job = Table(
    "import_job",
    metadata,
    _id(),
    Column("fingerprint", LargeBinary, nullable=False, unique=True),
    Column("file_name", Text, nullable=False),
    Column("as_of", Date, nullable=False),
    Column("rows_done", BigInteger, nullable=False, server_default=text("0")),
    Column("imported", BigInteger, nullable=False, server_default=text("0")),
    Column("existing", BigInteger, nullable=False, server_default=text("0")),
    Column("rejected", BigInteger, nullable=False, server_default=text("0")),
    _now("started_at"),
    Column("finished_at", DateTime(timezone=True)),
)

import_rejection = Table(
    "import_rejection",
    metadata,
    Column("import_job_id", _uuid(), ForeignKey("import_job.id"), primary_key=True),
    Column("row", BigInteger, primary_key=True),
    Column("line", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("cells", ARRAY(Text), nullable=False),
)

# --- invoices ---

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
    _id(),
    _mode(),
    Column("account_id", _uuid(), nullable=False, index=True),
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
    Column("bill_run_id", _uuid()),
    Column("chain_hash", LargeBinary, nullable=False),
    _now("posted_at"),
    UniqueConstraint("mode", "series", "number"),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("status in ('open', 'paid', 'void', 'uncollectible')", name="status"),
    CheckConstraint("total = subtotal + tax", name="total"),
    CheckConstraint(f"abs(total) < {MONEY_LIMIT} and balance <= greatest(total, 0)", name="limits"),
)

invoice_line = Table(
    "invoice_line",
    metadata,
    Column("invoice_id", _uuid(), primary_key=True),
    Column("no", SmallInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("item_id", _uuid()),
    Column("price_id", _uuid()),
    Column("part", Text),
    Column("period_start", Date),
    Column("period_end", Date),
    Column("quantity", Numeric, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("parent_no", SmallInteger),
    Column("reference", Text),
    Column("rate", Numeric),
    Column("charge_key", _uuid(), nullable=False),
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

# --- ledger ---

ledger_account = Table(
    "ledger_account",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
)

journal_entry = Table(
    "journal_entry",
    metadata,
    Column("id", _uuid(), primary_key=True, comment="the id of the document or event that made the entry"),
    _mode(),
    Column("kind", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("posted_on", Date, nullable=False),
)

journal_line = Table(
    "journal_line",
    metadata,
    Column("entry_id", _uuid(), primary_key=True),
    Column("no", SmallInteger, primary_key=True),
    Column("ledger_account", Text, nullable=False),
    Column("debit", BigInteger, nullable=False),
    Column("credit", BigInteger, nullable=False),
    CheckConstraint("debit >= 0 and credit >= 0 and (debit = 0) <> (credit = 0)", name="one_side"),
)

# --- events ---

event_log = Table(
    "event_log",
    metadata,
    Column("xid", Xid8(), primary_key=True, server_default=text("pg_current_xact_id()")),
    Column("id", BigInteger, sa.Identity(always=True), primary_key=True),
    _epoch(),
    _now("at"),
    Column("kind", Text, nullable=False),
    Column("account_id", _uuid()),
    Column("subject_id", _uuid(), nullable=False),
    Column("version", Integer, nullable=False),
)

event_cursor = Table(
    "event_cursor",
    metadata,
    Column("name", Text, primary_key=True),
    Column("epoch", SmallInteger, nullable=False),
    Column("xid", Xid8(), nullable=False),
    Column("id", BigInteger, nullable=False),
    _now("moved_at"),
)

# --- bill runs ---

bill_run = Table(
    "bill_run",
    metadata,
    _id(),
    _mode(),
    Column("workflow_id", Text, nullable=False),
    Column("workflow_run_id", Text, nullable=False, unique=True),
    Column("scope", Text, nullable=False),
    Column("target_date", Date),
    Column("target_instant", DateTime(timezone=True)),
    Column("preview", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("selected", BigInteger, nullable=False, server_default=text("0")),
    _now("started_at"),
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint(
        "status in ('selecting', 'running', 'paused', 'completed', 'completed_with_parked', 'canceled')",
        name="status",
    ),
    CheckConstraint("(target_date is null) <> (target_instant is null)", name="target"),
    Index("bill_run_started_idx", "started_at"),
)

bill_run_chunk = Table(
    "bill_run_chunk",
    metadata,
    Column("bill_run_id", _uuid(), ForeignKey("bill_run.id"), primary_key=True),
    Column("no", Integer, primary_key=True),
    Column("selected", Integer, nullable=False),
    Column("pending", ARRAY(_uuid()), nullable=False, comment="accounts still without an outcome"),
    Column("billed", Integer, nullable=False, server_default=text("0")),
    Column("nothing_due", Integer, nullable=False, server_default=text("0")),
    Column("parked", Integer, nullable=False, server_default=text("0")),
    Column("canceled", Integer, nullable=False, server_default=text("0")),
    Column("totals", JSONB, nullable=False, server_default=text("'{}'"), comment="minor units by currency"),
)

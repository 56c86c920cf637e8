"""Who pays, and for what: accounts, people, subscriptions, usage, and the jobs that brought them in."""

from __future__ import annotations

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
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from storage.tables.schema import (
    MODE_CHECK,
    Xid8,
    epoch_column,
    id_column,
    metadata,
    mode_column,
    now_column,
    uuid_type,
    xid_column,
)

account = Table(
    "account",
    metadata,
    id_column(),
    mode_column(),
    Column("external_key", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("locale", Text, nullable=False),
    Column("bill_cycle_day", SmallInteger),
    Column("tax_region", Text),
    Column("tax_exempt", Boolean, nullable=False, server_default=text("false")),
    Column("payment_terms_days", SmallInteger, nullable=False, server_default=text("0")),
    Column("payment_method", Text),
    Column("import_job_id", uuid_type()),
    Column("import_row", BigInteger),
    Column("version", Integer, nullable=False, server_default=text("1")),
    now_column("created_at"),
    Column("tax_inclusive", Boolean, nullable=False, server_default=text("false")),
    Column("tax_treatment", Text, nullable=False, server_default=text("'taxable'")),
    Column("auto_pay", Boolean, nullable=False, server_default=text("false")),
    Column("rule_book", Text),
    Column("declines", JSONB, comment="test mode: how charges go wrong, by day"),
    Column("recognised_through", Date, comment="revenue is recognised up to this day (exclusive)"),
    Column(
        "settled_on", Date, comment="the last local day whose dated changes are recorded; null: none is dated"
    ),
    Column(
        "known_whole",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="something beside plain bills has happened to it",
    ),
    Column(
        "billed_whole",
        Boolean,
        nullable=False,
        server_default=text("false"),
        comment="its next bill needs all of it, not its subscriptions alone",
    ),
    Column(
        "whole_due_on", Date, comment="when something falls due that no subscription's next_bill_on tells"
    ),
    Column(
        "test_clock_id",
        uuid_type(),
        ForeignKey("test_clock.id"),
        comment="whose time is this clock's, for ever",
    ),
    Column(
        "clock_at",
        DateTime(timezone=True),
        comment="the instant of its clock up to which it has been played",
    ),
    UniqueConstraint("mode", "external_key"),
    Index("account_test_clock_id_idx", "test_clock_id", postgresql_where=text("test_clock_id is not null")),
    Index("account_whole_due_idx", "whole_due_on", postgresql_where=text("whole_due_on is not null")),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint("bill_cycle_day between 1 and 31", name="bill_cycle_day"),
    CheckConstraint("test_clock_id is null or (mode = 'test' and clock_at is not null)", name="clocked"),
    CheckConstraint("tax_treatment in ('taxable', 'exempt', 'reverse_charge')", name="tax_treatment"),
)

person = Table(
    "person",
    metadata,
    Column("account_id", uuid_type(), ForeignKey("account.id"), primary_key=True),
    Column("name", Text),
    Column("email", Text),
    Column("address", JSONB),
    Column(
        "consent", Boolean, comment="to be written to for other reasons than the contract; null: never asked"
    ),
    Column(
        "contact_told_at",
        DateTime(timezone=True),
        comment="when what another system told of it happened there",
    ),
    Column(
        "consent_told_at",
        DateTime(timezone=True),
        comment="when what another system told of it happened there",
    ),
)

subscription = Table(
    "subscription",
    metadata,
    id_column(),
    mode_column(),
    Column("account_id", uuid_type(), ForeignKey("account.id"), nullable=False, index=True),
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
    now_column("created_at"),
    Column("term_end", Date),
    Column("resumes_on", Date),
    Column("later_on", Date),
    Column("later", JSONB, comment="a change of interval that waits for later_on"),
    Column("canceled_on", Date),
    UniqueConstraint("mode", "external_key"),
    Index("subscription_next_due_idx", "next_due", postgresql_where=text("next_due is not null")),
    CheckConstraint(MODE_CHECK, name="mode"),
    CheckConstraint(
        "status in ('draft', 'trialing', 'active', 'past_due', 'paused', 'canceled', 'expired')",
        name="status",
    ),
    CheckConstraint("interval_unit in ('day', 'week', 'month', 'year')", name="interval_unit"),
    CheckConstraint("interval_count > 0", name="interval_count"),
    postgresql_with={"fillfactor": "45"},
)

subscription_item = Table(
    "subscription_item",
    metadata,
    id_column(),
    Column("subscription_id", uuid_type(), ForeignKey("subscription.id"), nullable=False, index=True),
    Column("plan_code", Text, nullable=False),
    Column("plan_version", Integer, nullable=False),
    Column("quantity", Numeric, nullable=False, server_default=text("1")),
    Column("price_override", BigInteger),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date),
    Column("phase_shift", SmallInteger, nullable=False, server_default=text("0")),
    Column("replaces", uuid_type()),
    ForeignKeyConstraint(["plan_code", "plan_version"], ["plan_version.plan_code", "plan_version.version"]),
    CheckConstraint("quantity >= 0", name="quantity"),
)

subscription_discount = Table(
    "subscription_discount",
    metadata,
    id_column(),
    Column("subscription_id", uuid_type(), ForeignKey("subscription.id"), nullable=False),
    Column("code", Text, nullable=False),
    Column("percent", Numeric),
    Column("amount", BigInteger),
    Column("starts_on", Date, nullable=False),
    Column("ends_on", Date),
    Column("position", SmallInteger, nullable=False, server_default=text("0")),
    UniqueConstraint("subscription_id", "code", "starts_on"),
    CheckConstraint("(percent is null) <> (amount is null)", name="one_value"),
    CheckConstraint("percent > 0 and percent <= 100", name="percent"),
    CheckConstraint("amount > 0", name="amount"),
)

usage_record = Table(
    "usage_record",
    metadata,
    id_column(),
    Column("item_id", uuid_type(), ForeignKey("subscription_item.id"), nullable=False),
    Column("meter_code", Text, ForeignKey("meter.code"), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("key", Text, nullable=False),
    epoch_column(),
    xid_column(),
    Column(
        "billed_by",
        uuid_type(),
        comment="the invoice that charges it, or all zeros while its charge waits for one; "
        "null: what is known by the subscription's marks",
    ),
    UniqueConstraint("item_id", "key"),
    Index("usage_record_item_idx", "item_id", "meter_code", "at"),
    Index("usage_record_billed_by_idx", "billed_by", postgresql_where=text("billed_by is not null")),
)

import_job = Table(
    "import_job",
    metadata,
    id_column(),
    Column("fingerprint", LargeBinary, nullable=False, unique=True),
    Column("file_name", Text, nullable=False),
    Column("as_of", Date, nullable=False),
    Column("rows_done", BigInteger, nullable=False, server_default=text("0")),
    Column("imported", BigInteger, nullable=False, server_default=text("0")),
    Column("existing", BigInteger, nullable=False, server_default=text("0")),
    Column("rejected", BigInteger, nullable=False, server_default=text("0")),
    now_column("started_at"),
    Column("finished_at", DateTime(timezone=True)),
)

import_rejection = Table(
    "import_rejection",
    metadata,
    Column("import_job_id", uuid_type(), ForeignKey("import_job.id"), primary_key=True),
    Column("row", BigInteger, primary_key=True),
    Column("line", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("cells", ARRAY(Text), nullable=False),
)

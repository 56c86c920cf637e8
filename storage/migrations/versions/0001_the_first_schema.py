"""the first schema

Revision: 0001, after None.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from storage.tables import Xid8

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "account",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("external_key", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("bill_cycle_day", sa.SmallInteger(), nullable=True),
        sa.Column("tax_region", sa.Text(), nullable=True),
        sa.Column("tax_exempt", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("payment_terms_days", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("payment_method", sa.Text(), nullable=True),
        sa.Column("import_job_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("import_row", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("account_mode")),
        sa.CheckConstraint("bill_cycle_day between 1 and 31", name=op.f("account_bill_cycle_day")),
        sa.PrimaryKeyConstraint("id", name=op.f("account_pk")),
        sa.UniqueConstraint("mode", "external_key", name=op.f("account_mode_external_key_key")),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("api_key_pk")),
        sa.UniqueConstraint("key_hash", name=op.f("api_key_key_hash_key")),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_pk")),
    )
    op.create_table(
        "bill_run",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("workflow_run_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("target_date", sa.Date(), nullable=True),
        sa.Column("target_instant", sa.DateTime(timezone=True), nullable=True),
        sa.Column("preview", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("selected", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status in ('selecting', 'running', 'paused', 'completed', 'completed_with_parked', 'canceled')",
            name=op.f("bill_run_status"),
        ),
        sa.CheckConstraint("(target_date is null) <> (target_instant is null)", name=op.f("bill_run_target")),
        sa.PrimaryKeyConstraint("id", name=op.f("bill_run_pk")),
        sa.UniqueConstraint("workflow_run_id", name=op.f("bill_run_workflow_run_id_key")),
    )
    op.create_index("bill_run_started_idx", "bill_run", ["started_at"], unique=False)
    op.create_table(
        "catalog_load",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("loaded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("changed", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("catalog_load_pk")),
    )
    op.create_table(
        "event_cursor",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("epoch", sa.SmallInteger(), nullable=False),
        sa.Column("xid", Xid8(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("event_cursor_pk")),
    )
    op.create_table(
        "event_log",
        sa.Column("xid", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("epoch", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("subject_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("xid", "id", name=op.f("event_log_pk")),
    )
    op.create_table(
        "import_job",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("rows_done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("imported", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("existing", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("rejected", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("import_job_pk")),
        sa.UniqueConstraint("fingerprint", name=op.f("import_job_fingerprint_key")),
    )
    op.create_table(
        "invoice",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("issued_on", sa.Date(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("subtotal", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("bill_run_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("chain_hash", sa.LargeBinary(), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("invoice_mode")),
        sa.CheckConstraint(
            "status in ('open', 'paid', 'void', 'uncollectible')", name=op.f("invoice_status")
        ),
        sa.CheckConstraint(
            "abs(total) < 10000000000000 and balance <= greatest(total, 0)", name=op.f("invoice_limits")
        ),
        sa.CheckConstraint("total = subtotal + tax", name=op.f("invoice_total")),
        sa.PrimaryKeyConstraint("id", name=op.f("invoice_pk")),
        sa.UniqueConstraint("number", "series", "mode", name=op.f("invoice_number_series_mode_key")),
    )
    op.create_index(op.f("invoice_account_id_idx"), "invoice", ["account_id"], unique=False)
    op.create_table(
        "invoice_line",
        sa.Column("invoice_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("no", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("price_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("part", sa.Text(), nullable=True),
        sa.Column("period_start", sa.Date(), nullable=True),
        sa.Column("period_end", sa.Date(), nullable=True),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("parent_no", sa.SmallInteger(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("rate", sa.Numeric(), nullable=True),
        sa.Column("charge_key", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("voided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind in ('recurring', 'usage', 'one_time', 'unused_credit', 'adjustment', 'discount', 'tax', 'minimum', 'delivery_credit')",
            name=op.f("invoice_line_kind"),
        ),
        sa.CheckConstraint("abs(amount) < 10000000000000", name=op.f("invoice_line_limits")),
        sa.CheckConstraint("period_start < period_end", name=op.f("invoice_line_period")),
        sa.PrimaryKeyConstraint("invoice_id", "no", name=op.f("invoice_line_pk")),
    )
    op.create_index(
        "invoice_line_charge_key",
        "invoice_line",
        ["charge_key"],
        unique=True,
        postgresql_where=sa.text("voided_at is null"),
    )
    op.create_table(
        "journal_entry",
        sa.Column(
            "id",
            sa.Uuid(as_uuid=False),
            nullable=False,
            comment="the id of the document or event that made the entry",
        ),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("posted_on", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("journal_entry_pk")),
    )
    op.create_table(
        "journal_line",
        sa.Column("entry_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("no", sa.SmallInteger(), nullable=False),
        sa.Column("ledger_account", sa.Text(), nullable=False),
        sa.Column("debit", sa.BigInteger(), nullable=False),
        sa.Column("credit", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "debit >= 0 and credit >= 0 and (debit = 0) <> (credit = 0)", name=op.f("journal_line_one_side")
        ),
        sa.PrimaryKeyConstraint("entry_id", "no", name=op.f("journal_line_pk")),
    )
    op.create_table(
        "ledger_account",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("ledger_account_pk")),
    )
    op.create_table(
        "meter",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("meter_pk")),
    )
    op.create_table(
        "number_series",
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("last_number", sa.BigInteger(), nullable=False),
        sa.Column("last_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("number_series_mode")),
        sa.PrimaryKeyConstraint("mode", "code", name=op.f("number_series_pk")),
    )
    op.create_table(
        "product",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tax_category", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("product_pk")),
    )
    op.create_table(
        "tax_rate",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("jurisdiction", sa.Text(), nullable=False),
        sa.Column("rate", sa.Numeric(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.CheckConstraint("rate >= 0 and rate < 1", name=op.f("tax_rate_rate_range")),
        sa.PrimaryKeyConstraint("id", name=op.f("tax_rate_pk")),
        sa.UniqueConstraint(
            "region",
            "category",
            "jurisdiction",
            "starts_on",
            name=op.f("tax_rate_region_category_jurisdiction_starts_on_key"),
        ),
    )
    op.create_table(
        "bill_run_chunk",
        sa.Column("bill_run_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("selected", sa.Integer(), nullable=False),
        sa.Column(
            "pending",
            postgresql.ARRAY(sa.Uuid(as_uuid=False)),
            nullable=False,
            comment="accounts still without an outcome",
        ),
        sa.Column("billed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("nothing_due", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("parked", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("canceled", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "totals",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="minor units by currency",
        ),
        sa.ForeignKeyConstraint(["bill_run_id"], ["bill_run.id"], name=op.f("bill_run_chunk_bill_run_id_fk")),
        sa.PrimaryKeyConstraint("bill_run_id", "no", name=op.f("bill_run_chunk_pk")),
    )
    op.create_table(
        "import_rejection",
        sa.Column("import_job_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("cells", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_job_id"], ["import_job.id"], name=op.f("import_rejection_import_job_id_fk")
        ),
        sa.PrimaryKeyConstraint("import_job_id", "row", name=op.f("import_rejection_pk")),
    )
    op.create_table(
        "parked",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("trace_key", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("bill_run_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("error_kind", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("parked_account_id_fk")),
        sa.PrimaryKeyConstraint("id", name=op.f("parked_pk")),
    )
    op.create_index(
        "parked_open_key",
        "parked",
        ["mode", "kind", "trace_key"],
        unique=True,
        postgresql_where=sa.text("resolved_at is null"),
    )
    op.create_table(
        "person",
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("address", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("person_account_id_fk")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("person_pk")),
    )
    op.create_table(
        "plan",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("product_code", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["product_code"], ["product.code"], name=op.f("plan_product_code_fk")),
        sa.PrimaryKeyConstraint("code", name=op.f("plan_pk")),
    )
    op.create_table(
        "subscription",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("external_key", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("trial_ends_on", sa.Date(), nullable=True),
        sa.Column("anchor_on", sa.Date(), nullable=False),
        sa.Column("anchor_day", sa.SmallInteger(), nullable=False),
        sa.Column("interval_unit", sa.Text(), nullable=False),
        sa.Column("interval_count", sa.SmallInteger(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("opening_on", sa.Date(), nullable=False),
        sa.Column("charged_through", sa.Date(), nullable=False),
        sa.Column("arrears_through", sa.Date(), nullable=False),
        sa.Column("next_bill_on", sa.Date(), nullable=True),
        sa.Column("next_due", sa.DateTime(timezone=True), nullable=True),
        sa.Column("usage_epoch", sa.SmallInteger(), nullable=True),
        sa.Column("usage_seen", Xid8(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "interval_unit in ('day', 'week', 'month', 'year')", name=op.f("subscription_interval_unit")
        ),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("subscription_mode")),
        sa.CheckConstraint(
            "status in ('draft', 'trialing', 'active', 'past_due', 'paused', 'canceled', 'expired')",
            name=op.f("subscription_status"),
        ),
        sa.CheckConstraint(
            "charged_through >= opening_on and arrears_through >= starts_on",
            name=op.f("subscription_covered"),
        ),
        sa.CheckConstraint("interval_count > 0", name=op.f("subscription_interval_count")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("subscription_account_id_fk")),
        sa.PrimaryKeyConstraint("id", name=op.f("subscription_pk")),
        sa.UniqueConstraint("mode", "external_key", name=op.f("subscription_mode_external_key_key")),
        postgresql_with={"fillfactor": "45"},
    )
    op.create_index(op.f("subscription_account_id_idx"), "subscription", ["account_id"], unique=False)
    op.create_index(
        "subscription_next_due_idx",
        "subscription",
        ["next_due"],
        unique=False,
        postgresql_where=sa.text("next_due is not null"),
    )
    op.create_table(
        "plan_version",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("plan_code", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("loaded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["plan_code"], ["plan.code"], name=op.f("plan_version_plan_code_fk")),
        sa.PrimaryKeyConstraint("id", name=op.f("plan_version_pk")),
        sa.UniqueConstraint("plan_code", "version", name=op.f("plan_version_plan_code_version_key")),
    )
    op.create_table(
        "subscription_discount",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("subscription_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("percent", sa.Numeric(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "(percent is null) <> (amount is null)", name=op.f("subscription_discount_one_value")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("subscription_discount_amount")),
        sa.CheckConstraint("percent > 0 and percent <= 100", name=op.f("subscription_discount_percent")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscription.id"], name=op.f("subscription_discount_subscription_id_fk")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("subscription_discount_pk")),
        sa.UniqueConstraint(
            "subscription_id", "code", name=op.f("subscription_discount_subscription_id_code_key")
        ),
    )
    op.create_table(
        "price",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("plan_version_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["plan_version_id"], ["plan_version.id"], name=op.f("price_plan_version_id_fk")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("price_pk")),
        sa.UniqueConstraint(
            "plan_version_id",
            "phase",
            "code",
            "currency",
            name=op.f("price_plan_version_id_phase_code_currency_key"),
        ),
    )
    op.create_table(
        "subscription_item",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("subscription_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("plan_code", sa.Text(), nullable=False),
        sa.Column("plan_version", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.Numeric(), server_default=sa.text("1"), nullable=False),
        sa.Column("price_override", sa.BigInteger(), nullable=True),
        sa.Column("starts_on", sa.Date(), nullable=False),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.CheckConstraint("quantity >= 0", name=op.f("subscription_item_quantity")),
        sa.ForeignKeyConstraint(
            ["plan_code", "plan_version"],
            ["plan_version.plan_code", "plan_version.version"],
            name=op.f("subscription_item_plan_code_plan_version_fk"),
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscription.id"], name=op.f("subscription_item_subscription_id_fk")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("subscription_item_pk")),
    )
    op.create_index(
        op.f("subscription_item_subscription_id_idx"), "subscription_item", ["subscription_id"], unique=False
    )
    op.create_table(
        "usage_record",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("item_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("meter_code", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("epoch", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("xid", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["subscription_item.id"], name=op.f("usage_record_item_id_fk")),
        sa.ForeignKeyConstraint(["meter_code"], ["meter.code"], name=op.f("usage_record_meter_code_fk")),
        sa.PrimaryKeyConstraint("id", name=op.f("usage_record_pk")),
        sa.UniqueConstraint("item_id", "key", name=op.f("usage_record_item_id_key_key")),
    )
    op.create_index("usage_record_item_idx", "usage_record", ["item_id", "meter_code", "at"], unique=False)


def downgrade() -> None:
    raise RuntimeError("there is nothing before the first schema")

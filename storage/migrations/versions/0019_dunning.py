"""Dunning cases, and what gateways told of payments.

Revision: 0019, after 0018.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dunning_case",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="of the dunning policy"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False, comment="at risk: what is open, minor units"),
        sa.Column("invoices", sa.Integer(), nullable=False, comment="how many are open"),
        sa.Column("oldest_due_on", sa.Date(), nullable=True),
        sa.Column("looked_on", sa.Date(), nullable=True, comment="the last local day on which it was dunned"),
        sa.Column(
            "next_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when dunning has something to do again",
        ),
        sa.Column(
            "retry_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the payment method is to be tried again",
        ),
        sa.Column(
            "holds",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="promise, dispute, pause: until when, by whom, why",
        ),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True, comment="how it ended"),
        sa.CheckConstraint("(closed_at is null) = (outcome is null)", name=op.f("dunning_case_outcome")),
        sa.CheckConstraint("amount >= 0 and invoices >= 0", name=op.f("dunning_case_amount")),
        sa.CheckConstraint("opened_by in ('sweep', 'failed_payment')", name=op.f("dunning_case_opened_by")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("dunning_case_account_id_fk")),
        sa.PrimaryKeyConstraint("id", name=op.f("dunning_case_pk")),
    )
    op.create_index("dunning_case_account_idx", "dunning_case", ["account_id", "closed_at"])
    op.create_index(
        "dunning_case_next_idx", "dunning_case", ["next_at"], postgresql_where=sa.text("closed_at is null")
    )
    op.create_index(
        "dunning_case_open_key",
        "dunning_case",
        ["account_id"],
        unique=True,
        postgresql_where=sa.text("closed_at is null"),
    )
    op.create_index(
        "dunning_case_retry_idx",
        "dunning_case",
        ["retry_at"],
        postgresql_where=sa.text("retry_at is not null"),
    )
    op.create_table(
        "payment_fact",
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("delivery_key", sa.Text(), nullable=False),
        sa.Column("no", sa.SmallInteger(), nullable=False, comment="in its delivery, from 1"),
        sa.Column("payment", sa.Text(), nullable=False, comment="what the gateway calls it"),
        sa.Column("reference", sa.Text(), nullable=False, comment="ours, of the payment or of its refund"),
        sa.Column("fact", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("payment_fact_mode")),
        sa.PrimaryKeyConstraint("connection", "delivery_key", "no", name=op.f("payment_fact_pk")),
    )
    op.create_index("payment_fact_payment_idx", "payment_fact", ["connection", "payment"])


def downgrade() -> None:
    op.drop_table("payment_fact")
    op.drop_table("dunning_case")

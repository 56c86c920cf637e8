"""Payment methods, charges at gateways, and what each is for.

Revision: 0017, after 0016.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "payment_method",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False, comment="the gateway that knows it"),
        sa.Column("method", sa.Text(), nullable=False, comment="the gateway's token; never a card's number"),
        sa.Column("customer", sa.Text(), nullable=True, comment="the gateway's token of the payer"),
        sa.Column("kind", sa.Text(), server_default=sa.text("'card'"), nullable=False),
        sa.Column("brand", sa.Text(), nullable=True),
        sa.Column(
            "expires_on", sa.Date(), nullable=True, comment="the first day on which it is of no use any more"
        ),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "retired_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="replaced or removed: never charged again",
        ),
        sa.CheckConstraint("kind in ('card', 'direct_debit', 'wallet')", name=op.f("payment_method_kind")),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("payment_method_mode")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("payment_method_account_id_fk")),
        sa.PrimaryKeyConstraint("id", name=op.f("payment_method_pk")),
        sa.UniqueConstraint(
            "account_id", "connection", "method", name=op.f("payment_method_account_id_connection_method_key")
        ),
    )
    op.create_index(
        "payment_method_default_key",
        "payment_method",
        ["account_id", "connection"],
        unique=True,
        postgresql_where=sa.text("is_default and retired_at is null"),
    )
    op.create_table(
        "charge",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column(
            "no",
            sa.Integer(),
            nullable=False,
            comment="of the account, from 1; the key at the gateway is made of both",
        ),
        sa.Column(
            "collection_id",
            sa.Uuid(as_uuid=False),
            nullable=False,
            comment="the charge's own id, or its first try's elsewhere",
        ),
        sa.Column(
            "run_id",
            sa.Uuid(as_uuid=False),
            nullable=True,
            comment="the payment run that made it; null: made for the account alone",
        ),
        sa.Column("made_on", sa.Date(), nullable=False, comment="the account's local day"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default=sa.text("'intent'"), nullable=False),
        sa.Column("gateway_id", sa.Text(), nullable=True, comment="what the gateway calls it"),
        sa.Column("code", sa.Text(), nullable=True, comment="why it failed, as the gateway said"),
        sa.Column(
            "technical",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="failed, no bank was asked",
        ),
        sa.Column("next_action_url", sa.Text(), nullable=True),
        sa.Column(
            "payment_id",
            sa.Uuid(as_uuid=False),
            nullable=True,
            comment="the payment in the books that it became",
        ),
        sa.Column(
            "looks",
            sa.SmallInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="how often it was asked for",
        ),
        sa.Column(
            "next_look_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the gateway is asked again how it stands",
        ),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(ended_at is null) = (status in ('intent', 'processing', 'requires_action', 'unknown'))",
            name=op.f("charge_ended"),
        ),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("charge_mode")),
        sa.CheckConstraint("status <> 'succeeded' or payment_id is not null", name=op.f("charge_payment")),
        sa.CheckConstraint(
            "status in ('intent', 'processing', 'requires_action', 'unknown', 'succeeded', 'failed', 'withdrawn')",
            name=op.f("charge_status"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("charge_amount")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("charge_account_id_fk")),
        sa.PrimaryKeyConstraint("id", name=op.f("charge_pk")),
        sa.UniqueConstraint("account_id", "no", name=op.f("charge_account_id_no_key")),
    )
    op.create_index(
        "charge_gateway_id_idx",
        "charge",
        ["connection", "gateway_id"],
        unique=False,
        postgresql_where=sa.text("gateway_id is not null"),
    )
    op.create_index(
        "charge_open_idx",
        "charge",
        ["status", "next_look_at"],
        unique=False,
        postgresql_where=sa.text("ended_at is null"),
    )
    op.create_index(
        "charge_run_idx",
        "charge",
        ["run_id", "status"],
        unique=False,
        postgresql_where=sa.text("run_id is not null"),
    )
    op.create_table(
        "charge_part",
        sa.Column("charge_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("invoice_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column(
            "open",
            sa.Boolean(),
            server_default=sa.text("true"),
            nullable=False,
            comment="while the charge's end is not known",
        ),
        sa.CheckConstraint("amount > 0", name=op.f("charge_part_amount")),
        sa.ForeignKeyConstraint(["charge_id"], ["charge.id"], name=op.f("charge_part_charge_id_fk")),
        sa.PrimaryKeyConstraint("charge_id", "invoice_id", name=op.f("charge_part_pk")),
    )
    op.create_index("charge_part_invoice_idx", "charge_part", ["invoice_id"], unique=False)
    op.create_index(
        "charge_part_open_key", "charge_part", ["invoice_id"], unique=True, postgresql_where=sa.text("open")
    )


def downgrade() -> None:
    op.drop_table("charge_part")
    op.drop_table("charge")
    op.drop_table("payment_method")

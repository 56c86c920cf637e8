"""Refunds, disputes, payments that came in by hand, and notices of cards that expire.

Revision: 0020, after 0019.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dispute",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("gateway_id", sa.Text(), nullable=False, comment="what the gateway calls the dispute"),
        sa.Column("gateway_payment", sa.Text(), nullable=False, comment="what the gateway calls the payment"),
        sa.Column(
            "reference", sa.Text(), nullable=False, comment="ours of the payment, where the gateway tells it"
        ),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("payment_id", sa.Uuid(as_uuid=False), nullable=True, comment="null: not known here yet"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False, comment="the most that was told of"),
        sa.Column("stage", sa.Text(), nullable=False, comment="the latest that was told of"),
        sa.Column("status", sa.Text(), nullable=False, comment="open: the invoice is not dunned"),
        sa.Column("booked_taken", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("booked_lost", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "evidence",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'"),
            nullable=False,
            comment="notes of people",
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("dispute_mode")),
        sa.CheckConstraint("stage in ('announced', 'taken', 'won', 'lost')", name=op.f("dispute_stage")),
        sa.CheckConstraint("status in ('open', 'won', 'lost')", name=op.f("dispute_status")),
        sa.CheckConstraint(
            "amount > 0 and booked_taken >= 0 and booked_lost >= 0", name=op.f("dispute_amounts")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("dispute_account_id_fk")),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("dispute_payment_id_fk")),
        sa.PrimaryKeyConstraint("id", name=op.f("dispute_pk")),
        sa.UniqueConstraint(
            "mode", "connection", "gateway_id", name=op.f("dispute_mode_connection_gateway_id_key")
        ),
    )
    op.create_index(
        "dispute_payment_idx",
        "dispute",
        ["payment_id"],
        unique=False,
        postgresql_where=sa.text("payment_id is not null"),
    )
    op.create_index(
        "dispute_unknown_idx",
        "dispute",
        ["connection", "gateway_payment"],
        unique=False,
        postgresql_where=sa.text("payment_id is null"),
    )
    op.create_table(
        "manual_payment",
        sa.Column("payment_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True, comment="of the cheque or the transfer"),
        sa.Column("received_on", sa.Date(), nullable=False),
        sa.Column("command_id", sa.Text(), nullable=False, comment="the one that recorded it"),
        sa.Column("returned_on", sa.Date(), nullable=True, comment="when it bounced"),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("manual_payment_account_id_fk")),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("manual_payment_payment_id_fk")),
        sa.PrimaryKeyConstraint("payment_id", name=op.f("manual_payment_pk")),
        sa.UniqueConstraint(
            "account_id", "command_id", name=op.f("manual_payment_account_id_command_id_key")
        ),
        sa.UniqueConstraint("account_id", "reference", name=op.f("manual_payment_account_id_reference_key")),
    )
    op.create_table(
        "refund",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("payment_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column(
            "no", sa.SmallInteger(), nullable=False, comment="of the payment, from 1; the key is made of both"
        ),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column(
            "promise",
            sa.Text(),
            server_default=sa.text("'standing'"),
            nullable=False,
            comment="what became of what is promised; renewed: another refund took it over",
        ),
        sa.Column(
            "parts",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="of which invoices: id and minor units",
        ),
        sa.Column("connection", sa.Text(), nullable=True, comment="the gateway's; null: paid by hand"),
        sa.Column("gateway_payment", sa.Text(), nullable=True, comment="what the gateway calls the payment"),
        sa.Column("gateway_id", sa.Text(), nullable=True, comment="what the gateway calls the refund"),
        sa.Column("call_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("command_id", sa.Text(), nullable=True, comment="of the command that asked for it"),
        sa.Column("code", sa.Text(), nullable=True, comment="why it failed, as the gateway said"),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True, comment="when its process began"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(ended_at is null) = (status in ('pending', 'processing', 'by_hand'))", name=op.f("refund_ended")
        ),
        sa.CheckConstraint("(promise = 'paid') = (status = 'succeeded')", name=op.f("refund_paid")),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("refund_mode")),
        sa.CheckConstraint(
            "promise in ('standing', 'paid', 'credited', 'renewed')", name=op.f("refund_promise")
        ),
        sa.CheckConstraint("status <> 'by_hand' or connection is null", name=op.f("refund_by_hand")),
        sa.CheckConstraint(
            "status in ('pending', 'processing', 'by_hand', 'succeeded', 'failed')",
            name=op.f("refund_status"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("refund_amount")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("refund_account_id_fk")),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name=op.f("refund_payment_id_fk")),
        sa.PrimaryKeyConstraint("id", name=op.f("refund_pk")),
        sa.UniqueConstraint("payment_id", "no", name=op.f("refund_payment_id_no_key")),
    )
    op.create_index(op.f("refund_account_id_idx"), "refund", ["account_id"], unique=False)
    op.create_index(
        "refund_gateway_id_idx",
        "refund",
        ["connection", "gateway_id"],
        unique=False,
        postgresql_where=sa.text("gateway_id is not null"),
    )
    op.create_index(
        "refund_standing_idx",
        "refund",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("promise = 'standing'"),
    )
    op.create_table(
        "card_notice",
        sa.Column("payment_method_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("expires_on", sa.Date(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["payment_method_id"], ["payment_method.id"], name=op.f("card_notice_payment_method_id_fk")
        ),
        sa.PrimaryKeyConstraint("payment_method_id", "expires_on", name=op.f("card_notice_pk")),
    )
    op.create_index(
        "payment_gateway_id_idx",
        "payment",
        ["gateway_id"],
        postgresql_where=sa.text("gateway_id is not null"),
    )


def downgrade() -> None:
    op.drop_index("payment_gateway_id_idx", table_name="payment")
    op.drop_table("card_notice")
    op.drop_table("refund")
    op.drop_table("manual_payment")
    op.drop_table("dispute")

"""Payment runs: their chunks, and the accounts that they left uncharged.

Revision: 0018, after 0017.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "payment_run",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("workflow_run_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("target_date", sa.Date(), nullable=True),
        sa.Column("target_instant", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("selected", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status in ('selecting', 'running', 'paused', 'completed', 'completed_with_parked', 'canceled')",
            name=op.f("payment_run_status"),
        ),
        sa.CheckConstraint(
            "(target_date is null) <> (target_instant is null)", name=op.f("payment_run_target")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("payment_run_pk")),
        sa.UniqueConstraint("workflow_run_id", name=op.f("payment_run_workflow_run_id_key")),
    )
    op.create_index("payment_run_started_idx", "payment_run", ["started_at"], unique=False)
    op.create_table(
        "payment_run_chunk",
        sa.Column("payment_run_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("accounts", postgresql.ARRAY(sa.Uuid(as_uuid=False)), nullable=False),
        sa.Column(
            "pending",
            postgresql.ARRAY(sa.Uuid(as_uuid=False)),
            nullable=False,
            comment="accounts still without an outcome",
        ),
        sa.Column("canceled", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["payment_run_id"], ["payment_run.id"], name=op.f("payment_run_chunk_payment_run_id_fk")
        ),
        sa.PrimaryKeyConstraint("payment_run_id", "no", name=op.f("payment_run_chunk_pk")),
    )
    op.create_table(
        "payment_run_left",
        sa.Column("payment_run_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column(
            "why",
            sa.Text(),
            nullable=False,
            comment="why the account was not charged; parked: it could not be read",
        ),
        sa.Column("words", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("payment_run_left_account_id_fk")),
        sa.ForeignKeyConstraint(
            ["payment_run_id"], ["payment_run.id"], name=op.f("payment_run_left_payment_run_id_fk")
        ),
        sa.PrimaryKeyConstraint("payment_run_id", "account_id", name=op.f("payment_run_left_pk")),
    )


def downgrade() -> None:
    op.drop_table("payment_run_left")
    op.drop_table("payment_run_chunk")
    op.drop_table("payment_run")

"""Links to a page for paying, charges that wait no longer than they may, cards as gateways tell of them, runs that say
why they selected nobody, fees of disputes.

Revision: 0022, after 0021.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "payment_link",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False, comment="SHA-256 of the token in the link"),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("payment_link_account_id_fk")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("payment_link_pk")),
    )
    op.create_index("payment_link_account_idx", "payment_link", ["account_id"])
    op.add_column(
        "charge",
        sa.Column(
            "present",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="the customer was there and can be asked by the bank",
        ),
    )
    op.add_column(
        "charge",
        sa.Column(
            "act_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when what waits for the customer is given up",
        ),
    )
    op.add_column(
        "dispute",
        sa.Column(
            "fee",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="what the gateway keeps for it, by the latest stage",
        ),
    )
    op.add_column(
        "dispute", sa.Column("booked_fee", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    )
    op.create_check_constraint(op.f("dispute_fees"), "dispute", "fee >= 0 and booked_fee >= 0")
    op.add_column(
        "payment_run",
        sa.Column(
            "unselected",
            postgresql.JSONB(),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="where it selected nobody: accounts by the reason",
        ),
    )
    op.add_column(
        "payment_method",
        sa.Column("last4", sa.Text(), nullable=True, comment="the last four digits, which tell cards apart"),
    )
    op.add_column(
        "payment_method",
        sa.Column(
            "renewed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the gateway last told of a new card behind it",
        ),
    )
    op.add_column(
        "payment_method",
        sa.Column(
            "told_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="the gateway's time of what it told last of it",
        ),
    )
    op.create_index("payment_method_token_idx", "payment_method", ["connection", "method"])
    op.create_check_constraint(op.f("payment_method_last4"), "payment_method", "last4 ~ '^[0-9]{4}$'")

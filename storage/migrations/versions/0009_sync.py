"""What was last written to other systems, record by record; consent, and since when contact data is as it is.

Revision: 0009, after 0008.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "synced_record",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column(
            "fingerprint",
            sa.LargeBinary(),
            nullable=True,
            comment="of what was last written; null until then, or to write it again",
        ),
        sa.Column("version", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("vendor_id", sa.Text(), nullable=True),
        sa.Column("synced_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when to look at it again, whatever the event log says",
        ),
        sa.Column("tries", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "payload",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="what a person wants sent instead of what the map makes, once",
        ),
        sa.PrimaryKeyConstraint("connection", "flow", "subject", name=op.f("synced_record_pk")),
    )
    op.create_index(
        "synced_record_due_idx",
        "synced_record",
        ["connection", "flow", "due_at"],
        postgresql_where=sa.text("due_at is not null"),
    )
    op.create_index(
        "synced_record_account_idx",
        "synced_record",
        ["account_id"],
        postgresql_where=sa.text("account_id is not null"),
    )
    op.add_column(
        "person",
        sa.Column(
            "consent",
            sa.Boolean(),
            nullable=True,
            comment="to be written to for other reasons than the contract; null: never asked",
        ),
    )
    for column in ("contact_told_at", "consent_told_at"):
        op.add_column(
            "person",
            sa.Column(
                column,
                sa.DateTime(timezone=True),
                nullable=True,
                comment="when what another system told of it happened there",
            ),
        )


def downgrade() -> None:
    for column in ("consent_told_at", "contact_told_at", "consent"):
        op.drop_column("person", column)
    op.drop_table("synced_record")

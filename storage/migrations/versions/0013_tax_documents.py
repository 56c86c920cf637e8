"""Documents at connected tax engines.

Revision: 0013, after 0012.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tax_document",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("invoice_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column(
            "credit_note_id",
            sa.Uuid(as_uuid=False),
            nullable=True,
            comment="set where it gives tax of the invoice back",
        ),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column(
            "code",
            sa.Text(),
            nullable=False,
            comment="its name at the engine: the invoice's or credit note's number",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="who said how much tax it is"),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False, comment="tax as charged, minor units"),
        sa.Column(
            "untold",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="tax on the invoice that the engine is not told of, minor units",
        ),
        sa.Column("tax_date", sa.Date(), nullable=False),
        sa.Column(
            "recorded_total",
            sa.BigInteger(),
            nullable=True,
            comment="tax as the engine recorded it, minor units",
        ),
        sa.Column("status", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("step", sa.Text(), nullable=False, comment="what call_id asks of the engine"),
        sa.Column("call_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("void_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="when to look at it",
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "settled_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="null while something is left to do",
        ),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("tax_document_mode")),
        sa.CheckConstraint("source in ('engine', 'fallback')", name=op.f("tax_document_source")),
        sa.CheckConstraint(
            "status in ('pending', 'committed', 'mismatch', 'voided', 'left_out')",
            name=op.f("tax_document_status"),
        ),
        sa.CheckConstraint("step in ('commit', 'adjust', 'refund', 'void')", name=op.f("tax_document_step")),
        sa.PrimaryKeyConstraint("id", name=op.f("tax_document_pk")),
        sa.UniqueConstraint("connection", "code", name=op.f("tax_document_connection_code_key")),
    )
    op.create_index(
        "tax_document_invoice_key",
        "tax_document",
        ["invoice_id"],
        unique=True,
        postgresql_where=sa.text("credit_note_id is null"),
    )
    op.create_index(
        "tax_document_credit_note_key",
        "tax_document",
        ["credit_note_id"],
        unique=True,
        postgresql_where=sa.text("credit_note_id is not null"),
    )
    op.create_index(
        "tax_document_due_idx",
        "tax_document",
        ["connection", "due_at"],
        postgresql_where=sa.text("settled_at is null"),
    )


def downgrade() -> None:
    op.drop_table("tax_document")

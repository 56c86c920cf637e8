"""Holds on what leaves the house, which a restore begins.

Revision: 0021, after 0020.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "write_hold",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "since",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="what happened outside from then on is not in these rows",
        ),
        sa.Column(
            "asked",
            postgresql.JSONB(),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="what each gateway answered, by connection",
        ),
        sa.Column("began_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("release_reason", sa.Text(), nullable=True),
        sa.CheckConstraint("(released_at is null) = (released_by is null)", name=op.f("write_hold_released")),
        sa.PrimaryKeyConstraint("id", name=op.f("write_hold_pk")),
    )
    op.create_index(
        "write_hold_open_key",
        "write_hold",
        [sa.literal_column("(released_at is null)")],
        unique=True,
        postgresql_where=sa.text("released_at is null"),
    )

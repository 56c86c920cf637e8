"""Keys of the API that are bound, rotated and revoked; answers that are given again.

Revision: 0011, after 0010.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "api_key",
        sa.Column(
            "mode",
            sa.Text(),
            nullable=True,
            comment="the accounts it sees are of this mode; null: of either",
        ),
    )
    op.add_column(
        "api_key",
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=True, comment="the one account it sees"),
    )
    for column in ("rotated_at", "revoked_at"):
        op.add_column("api_key", sa.Column(column, sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "api_key",
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True, comment="to the hour"),
    )
    op.create_foreign_key(op.f("api_key_account_id_fk"), "api_key", "account", ["account_id"], ["id"])
    op.create_check_constraint(op.f("api_key_mode"), "api_key", "mode in ('live', 'test')")
    op.create_table(
        "api_key_retired",
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("api_key_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_key.id"], name=op.f("api_key_retired_api_key_id_fk")),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("api_key_retired_pk")),
    )
    op.create_index(op.f("api_key_retired_api_key_id_idx"), "api_key_retired", ["api_key_id"])
    op.create_table(
        "idempotency_key",
        sa.Column("api_key_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column(
            "fingerprint",
            sa.LargeBinary(),
            nullable=False,
            comment="of the request: method, path and body",
        ),
        sa.Column(
            "account_id",
            sa.Uuid(as_uuid=False),
            nullable=True,
            comment="whose data the answer holds, to be erased with it",
        ),
        sa.Column(
            "status",
            sa.SmallInteger(),
            nullable=True,
            comment="of the answer; null while the work goes on",
        ),
        sa.Column("headers", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "claimed_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="somebody works on it, at the latest until then",
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(status is null) = (claimed_until is not null)", name=op.f("idempotency_key_claimed")
        ),
        sa.CheckConstraint("(status is null) = (body is null)", name=op.f("idempotency_key_answered")),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_key.id"], name=op.f("idempotency_key_api_key_id_fk")),
        sa.PrimaryKeyConstraint("api_key_id", "key", name=op.f("idempotency_key_pk")),
    )
    op.create_index("idempotency_key_expires_at_idx", "idempotency_key", ["expires_at"])
    op.create_index(
        "idempotency_key_account_id_idx",
        "idempotency_key",
        ["account_id"],
        postgresql_where=sa.text("account_id is not null"),
    )


def downgrade() -> None:
    op.drop_table("idempotency_key")
    op.drop_table("api_key_retired")
    for column in ("last_used_at", "revoked_at", "rotated_at", "account_id", "mode"):
        op.drop_column("api_key", column)

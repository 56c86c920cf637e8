"""Webhooks that come in: endpoints, the inbox, and facts known from them.

Revision: 0007, after 0006.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbound_endpoint",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("recipe", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("secrets", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("public_url", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("inbound_endpoint_mode")),
        sa.PrimaryKeyConstraint("id", name=op.f("inbound_endpoint_pk")),
        sa.UniqueConstraint("token_hash", name=op.f("inbound_endpoint_token_hash_key")),
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("delivery_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("headers", postgresql.JSONB(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'new'"), nullable=False),
        sa.Column("effect", sa.Text(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status in ('new', 'done', 'parked', 'ignored')", name=op.f("webhook_delivery_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("webhook_delivery_pk")),
        sa.UniqueConstraint(
            "endpoint_id", "delivery_key", name=op.f("webhook_delivery_endpoint_id_delivery_key_key")
        ),
    )
    op.create_index(
        "webhook_delivery_new_idx",
        "webhook_delivery",
        ["endpoint_id", "id"],
        postgresql_where=sa.text("status = 'new'"),
    )
    op.create_table(
        "vendor_fact",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivery_key", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("vendor_fact_mode")),
        sa.PrimaryKeyConstraint("id", name=op.f("vendor_fact_pk")),
        sa.UniqueConstraint(
            "mode", "connection", "object_key", name=op.f("vendor_fact_mode_connection_object_key_key")
        ),
    )
    # What is in the inbox may be purged one day; an endpoint is disabled, because deliveries name it without a key.
    op.execute(
        "create trigger inbound_endpoint_stays_on_delete before delete on inbound_endpoint "
        "for each row execute function refuse_removal('disable it')"
    )


def downgrade() -> None:
    raise RuntimeError("what came in may not have been applied yet: it cannot be taken away")

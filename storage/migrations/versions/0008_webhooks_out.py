"""Webhooks going out: endpoints of subscribers, messages to them, attempts.

Revision: 0008, after 0007.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from storage.tables.schema import Xid8

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kinds", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("description", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'enabled'"), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("previous_secret", sa.LargeBinary(), nullable=True),
        sa.Column("previous_secret_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("from_epoch", sa.SmallInteger(), nullable=False),
        sa.Column("from_xid", Xid8(), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("calls", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("calls_answered", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("webhook_endpoint_mode")),
        sa.CheckConstraint(
            "status in ('enabled', 'disabled', 'deleted')", name=op.f("webhook_endpoint_status")
        ),
        sa.CheckConstraint(
            "(status = 'disabled') = (disabled_reason is not null)",
            name=op.f("webhook_endpoint_disabled_reason"),
        ),
        sa.CheckConstraint(
            "(previous_secret is null) = (previous_secret_until is null)",
            name=op.f("webhook_endpoint_previous_secret"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("webhook_endpoint_pk")),
    )
    op.create_index(
        "webhook_endpoint_url_key",
        "webhook_endpoint",
        ["mode", "url"],
        unique=True,
        postgresql_where=sa.text("status <> 'deleted'"),
    )
    op.create_table(
        "webhook_message",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("event_epoch", sa.SmallInteger(), nullable=False),
        sa.Column("event_xid", Xid8(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("event_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("subject_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("event_version", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("tries", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_kind", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status in ('pending', 'delivered', 'failed')", name=op.f("webhook_message_status")
        ),
        sa.CheckConstraint(
            "(status = 'pending') = (next_attempt_at is not null)",
            name=op.f("webhook_message_next_attempt_at"),
        ),
        sa.CheckConstraint(
            "(status = 'pending') = (ended_at is null)", name=op.f("webhook_message_ended_at")
        ),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["webhook_endpoint.id"], name=op.f("webhook_message_endpoint_id_fk")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("webhook_message_pk")),
        sa.UniqueConstraint(
            "endpoint_id", "event_epoch", "event_xid", "event_id", name="webhook_message_endpoint_event_key"
        ),
    )
    op.create_index(
        "webhook_message_due_idx",
        "webhook_message",
        ["endpoint_id", "next_attempt_at", "id"],
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index(
        "webhook_message_ended_idx",
        "webhook_message",
        ["ended_at"],
        postgresql_where=sa.text("ended_at is not null"),
    )
    op.create_index("webhook_message_endpoint_id_id_idx", "webhook_message", ["endpoint_id", "id"])
    op.create_table(
        "webhook_attempt",
        sa.Column("message_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("error_kind", sa.Text(), nullable=True),
        sa.Column("response", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["webhook_message.id"],
            name=op.f("webhook_attempt_message_id_fk"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("message_id", "no", name=op.f("webhook_attempt_pk")),
    )


def downgrade() -> None:
    for table in ("webhook_attempt", "webhook_message", "webhook_endpoint"):
        op.drop_table(table)

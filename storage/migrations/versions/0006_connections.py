"""Connections to other systems: their state, tokens, budgets, requests, calls and lanes; parked work of calls.

Revision: 0006, after 0005.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from storage.tables import Xid8

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _connections()
    _requests()
    _calls()
    _lanes()
    _parked()


def _connections() -> None:
    op.create_table(
        "connection",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("config_fingerprint", sa.Text(), nullable=False),
        sa.Column(
            "needs_authorisation", sa.Text(), nullable=True, comment="why a person has to authorise it anew"
        ),
        sa.Column(
            "first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("last_health", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("last_health_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("connection_mode")),
        sa.PrimaryKeyConstraint("name", name=op.f("connection_pk")),
    )
    op.create_table(
        "connection_token",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column(
            "ciphertext", sa.LargeBinary(), nullable=True, comment="null until the first token is stored"
        ),
        sa.Column(
            "key_id",
            sa.Text(),
            nullable=True,
            comment="which key of MASTHEAD_SECRET_KEY it is encrypted with",
        ),
        sa.Column("version", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "lease_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="somebody refreshes, at the latest until then",
        ),
        sa.Column("lease_holder", sa.Text(), nullable=True),
        sa.Column(
            "interrupted",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="a refresh began and never told how it ended",
        ),
        sa.Column("marked_reason", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(ciphertext is null) = (key_id is null)", name=op.f("connection_token_sealed")),
        sa.CheckConstraint(
            "(lease_until is null) = (lease_holder is null)", name=op.f("connection_token_lease")
        ),
        sa.PrimaryKeyConstraint("connection", name=op.f("connection_token_pk")),
    )


def _requests() -> None:
    op.create_table(
        "rate_bucket",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False, comment="when the next call is due"),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("connection", name=op.f("rate_bucket_pk")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "request_log",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("ms", sa.Integer(), nullable=False),
        sa.Column("tries", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("trace", sa.Text(), nullable=True),
        sa.Column("request", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("request_log_pk")),
    )
    op.create_index("request_log_connection_idx", "request_log", ["connection", "id"], unique=False)
    op.create_index("request_log_at_idx", "request_log", ["at"], unique=False)
    op.create_index(
        "request_log_trace_idx",
        "request_log",
        ["trace"],
        unique=False,
        postgresql_where=sa.text("trace is not null"),
    )


def _calls() -> None:
    op.create_table(
        "connector_call",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("capability", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column(
            "trace_key",
            sa.Text(),
            nullable=True,
            comment="what a newer success of settles older parks; null: only itself",
        ),
        sa.Column(
            "request",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="null once it is erased",
        ),
        sa.Column("request_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("error_kind", sa.Text(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("workflow_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("connector_call_mode")),
        sa.CheckConstraint(
            "status in ('intent', 'sent', 'succeeded', 'rejected', 'unknown', 'parked', 'skipped', 'failed')",
            name=op.f("connector_call_status"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("connector_call_pk")),
        sa.UniqueConstraint(
            "mode", "connection", "method", "key", name=op.f("connector_call_mode_connection_method_key_key")
        ),
    )
    op.create_index(
        "connector_call_account_idx",
        "connector_call",
        ["account_id"],
        unique=False,
        postgresql_where=sa.text("account_id is not null"),
    )
    op.create_index(
        "connector_call_unsettled_idx",
        "connector_call",
        ["connection", "status"],
        unique=False,
        postgresql_where=sa.text("status in ('sent', 'unknown', 'parked')"),
    )


def _lanes() -> None:
    op.create_table(
        "sync_lane",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("epoch", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("xid", Xid8(), server_default=sa.text("'0'::xid8"), nullable=False),
        sa.Column("event_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("inbound_cursor", sa.Text(), nullable=True),
        sa.Column("state", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("requested_reset_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("moved_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("written", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("parked", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("unchanged", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("connection", "flow", "lane", name=op.f("sync_lane_pk")),
    )


def _parked() -> None:
    for column in (
        sa.Column("connection", sa.Text(), nullable=True),
        sa.Column("call_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("method", sa.Text(), nullable=True),
        sa.Column(
            "payload",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="what was sent, to be edited; null once it is erased",
        ),
        sa.Column(
            "fields",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="field to what is wrong with it",
        ),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("workflow_id", sa.Text(), nullable=True),
        sa.Column("next_retry_at", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("parked", column)
    op.create_index(
        "parked_call_idx",
        "parked",
        ["call_id"],
        unique=False,
        postgresql_where=sa.text("call_id is not null"),
    )
    op.create_index(
        "parked_group_idx",
        "parked",
        ["connection", "error_code", "trace_key"],
        unique=False,
        postgresql_where=sa.text("resolved_at is null and connection is not null"),
    )


def downgrade() -> None:
    raise RuntimeError("calls that were sent to other systems cannot be forgotten")

"""Features, who may use them, and what was used of a metered allowance.

Revision: 0012, after 0011.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "feature",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "metering",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="what readers may use of it whose plans do not; null: nothing",
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("feature_pk")),
    )
    # What is loaded already entitles to something; the next load of the catalog brings the names.
    op.execute(
        "insert into feature (code, name) select distinct code, code"
        " from plan_version, jsonb_array_elements_text(definition -> 'features') as code"
    )
    op.create_table(
        "entitlement_grant",
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("subscriber", sa.Text(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("source_kind", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_because", sa.Text(), nullable=True),
        sa.Column("allowance_count", sa.Integer(), nullable=True),
        sa.Column("allowance_period", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("entitlement_grant_mode")),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("entitlement_grant_span")),
        sa.CheckConstraint(
            "(allowance_count is null) = (allowance_period is null)", name=op.f("entitlement_grant_allowance")
        ),
        sa.CheckConstraint("subscriber not like 'visitor:%'", name=op.f("entitlement_grant_subscriber")),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("entitlement_grant_pk")),
    )
    op.create_index(
        "entitlement_grant_subscriber_key",
        "entitlement_grant",
        ["subscriber", "feature", "starts_at", "source_id"],
        unique=True,
    )
    op.create_table(
        "allowance_use",
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column("subscriber", sa.Text(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("counted_on", sa.Date(), nullable=False),
        sa.Column("free_on", sa.Date(), nullable=False, comment="the first day on which it counts no more"),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("allowance_use_mode")),
        sa.CheckConstraint("place > 0", name=op.f("allowance_use_place")),
        sa.CheckConstraint("free_on > counted_on", name=op.f("allowance_use_span")),
        sa.PrimaryKeyConstraint("subscriber", "feature", "mode", "place", name=op.f("allowance_use_pk")),
    )
    op.create_index("allowance_use_free_on_idx", "allowance_use", ["free_on"])


def downgrade() -> None:
    op.drop_table("allowance_use")
    op.drop_table("entitlement_grant")
    op.drop_table("feature")

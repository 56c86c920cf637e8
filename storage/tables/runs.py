"""Bill runs and their chunks."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from storage.tables.schema import (
    id_column,
    metadata,
    mode_column,
    now_column,
    uuid_type,
)

bill_run = Table(
    "bill_run",
    metadata,
    id_column(),
    mode_column(),
    Column("workflow_id", Text, nullable=False),
    Column("workflow_run_id", Text, nullable=False, unique=True),
    Column("scope", Text, nullable=False),
    Column("target_date", Date),
    Column("target_instant", DateTime(timezone=True)),
    Column("preview", Boolean, nullable=False),
    Column("status", Text, nullable=False),
    Column("selected", BigInteger, nullable=False, server_default=text("0")),
    now_column("started_at"),
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint(
        "status in ('selecting', 'running', 'paused', 'completed', 'completed_with_parked', 'canceled')",
        name="status",
    ),
    CheckConstraint("(target_date is null) <> (target_instant is null)", name="target"),
    Index("bill_run_started_idx", "started_at"),
)

bill_run_chunk = Table(
    "bill_run_chunk",
    metadata,
    Column("bill_run_id", uuid_type(), ForeignKey("bill_run.id"), primary_key=True),
    Column("no", Integer, primary_key=True),
    Column("selected", Integer, nullable=False),
    Column("pending", ARRAY(uuid_type()), nullable=False, comment="accounts still without an outcome"),
    Column("billed", Integer, nullable=False, server_default=text("0")),
    Column("nothing_due", Integer, nullable=False, server_default=text("0")),
    Column("parked", Integer, nullable=False, server_default=text("0")),
    Column("canceled", Integer, nullable=False, server_default=text("0")),
    Column("totals", JSONB, nullable=False, server_default=text("'{}'"), comment="minor units by currency"),
)

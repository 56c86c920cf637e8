"""The catalog: products, plans and their versions, prices, tax rates."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB

from storage.tables.schema import (
    id_column,
    metadata,
    now_column,
    uuid_type,
)

product = Table(
    "product",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("tax_category", Text, nullable=False),
    Column("delivers", JSONB, comment="content and shipping; null: nothing"),
)

meter = Table(
    "meter",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),
)

plan = Table(
    "plan",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("product_code", Text, ForeignKey("product.code"), nullable=False),
    Column("delivers", JSONB, comment="content and shipping of its own; null: what its product says"),
)

plan_version = Table(
    "plan_version",
    metadata,
    id_column(),
    Column("plan_code", Text, ForeignKey("plan.code"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("effective_on", Date, nullable=False),
    Column("definition", JSONB, nullable=False),
    now_column("loaded_at"),
    UniqueConstraint("plan_code", "version"),
)

price = Table(
    "price",
    metadata,
    id_column(),
    Column("plan_version_id", uuid_type(), ForeignKey("plan_version.id"), nullable=False),
    Column("phase", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("currency", Text, nullable=False),
    UniqueConstraint("plan_version_id", "phase", "code", "currency"),
)

catalog_load = Table(
    "catalog_load",
    metadata,
    id_column(),
    now_column("loaded_at"),
    Column("changed", JSONB, nullable=False),
)

tax_rate = Table(
    "tax_rate",
    metadata,
    id_column(),
    Column("region", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("jurisdiction", Text, nullable=False),
    Column("rate", Numeric, nullable=False),
    Column("starts_on", Date, nullable=False),
    UniqueConstraint("region", "category", "jurisdiction", "starts_on"),
    CheckConstraint("rate >= 0 and rate < 1", name="rate_range"),
)

"""Which payers were told that the card on file expires: once for each card and month."""

from __future__ import annotations

from sqlalchemy import Column, Date, ForeignKey, Table

from storage.tables.schema import metadata, now_column, uuid_type

card_notice = Table(
    "card_notice",
    metadata,
    Column("payment_method_id", uuid_type(), ForeignKey("payment_method.id"), primary_key=True),
    Column("expires_on", Date, primary_key=True),
    now_column("told_at"),
)

"""Links by which a customer comes from a mail to the page of what the account owes. The token in a link is long and
random and only its hash is here, so that nobody who reads the database can follow one."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, ForeignKey, Index, LargeBinary, Table

from storage.tables.schema import metadata, now_column, uuid_type

payment_link = Table(
    "payment_link",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True, comment="SHA-256 of the token in the link"),
    Column("account_id", uuid_type(), ForeignKey("account.id"), nullable=False),
    now_column("made_at"),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Index("payment_link_account_idx", "account_id"),
)

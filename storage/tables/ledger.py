"""The ledger: chart of accounts, entries and their lines: law I1 as a constraint."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Index,
    SmallInteger,
    Table,
    Text,
    text,
)

from storage.tables.schema import (
    metadata,
    mode_column,
    uuid_type,
)

ledger_account = Table(
    "ledger_account",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
)

journal_entry = Table(
    "journal_entry",
    metadata,
    Column(
        "id", uuid_type(), primary_key=True, comment="the id of the document or event that made the entry"
    ),
    mode_column(),
    Column("kind", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("posted_on", Date, nullable=False),
    Column("account_id", uuid_type()),
    Column("document", Text),
    Index("journal_entry_account_idx", "account_id", postgresql_where=text("account_id is not null")),
)

journal_line = Table(
    "journal_line",
    metadata,
    Column("entry_id", uuid_type(), primary_key=True),
    Column("no", SmallInteger, primary_key=True),
    Column("ledger_account", Text, nullable=False),
    Column("debit", BigInteger, nullable=False),
    Column("credit", BigInteger, nullable=False),
    CheckConstraint("debit >= 0 and credit >= 0 and (debit = 0) <> (credit = 0)", name="one_side"),
)

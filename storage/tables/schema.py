"""What all tables share: the metadata, and the columns that many of them have."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import (
    Column,
    DateTime,
    MetaData,
    SmallInteger,
    Text,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "fk": "%(table_name)s_%(column_0_N_name)s_fk",
        "ck": "%(table_name)s_%(constraint_name)s",
    }
)


class Xid8(sa.types.UserDefinedType[str]):
    """Postgres' 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "XID8"


def uuid_type() -> sa.Uuid[str]:
    return sa.Uuid(as_uuid=False)


def id_column() -> Column[Any]:
    return Column("id", uuid_type(), primary_key=True)


def mode_column() -> Column[Any]:
    return Column("mode", Text, nullable=False, server_default=text("'live'"))


def now_column(name: str) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=text("now()"))


def xid_column() -> Column[Any]:
    return Column("xid", Xid8(), nullable=False, server_default=text("pg_current_xact_id()"))


def epoch_column() -> Column[Any]:
    """Raised by a restore (which changes this default), because transaction ids begin anew there."""
    return Column("epoch", SmallInteger, nullable=False, server_default=text("1"))


MODE_CHECK = "mode in ('live', 'test')"
MONEY_LIMIT = 10**13  # minor units; a larger amount is a mistake, not a bill

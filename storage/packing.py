"""Values in Postgres' binary forms, for COPY and for arrays of ids: the server takes them as they are, where it
would spend a fifth of a posting on reading ids and dates as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from struct import Struct, pack

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.numeric import DecimalBinaryDumper

NULL = b"\xff\xff\xff\xff"
ID_LENGTH = b"\x00\x00\x00\x10"  # what stands before the 16 bytes of an id

_EPOCH = date(2000, 1, 1).toordinal()
_ID_OID, _ID_ARRAY_OID = 2950, 2951
_BIG = Struct(">iq")
_DECIMAL = DecimalBinaryDumper(Decimal)


def packed_id(value: str) -> bytes:
    """The 16 bytes of an id in its 36-character form."""
    return bytes.fromhex(value.replace("-", ""))


def packed_ids(values: Sequence[str]) -> list[bytes]:
    """The 16 bytes of each of many ids, read at once."""
    data = bytes.fromhex("".join(values).replace("-", ""))
    return [data[at : at + 16] for at in range(0, len(data), 16)]


# What a run says, it says a million times over: fields of few values are remembered.
_remembered = lru_cache(maxsize=4096)


@_remembered
def text_field(value: str | None) -> bytes:
    """A text column."""
    if value is None:
        return NULL
    data = value.encode()
    return pack(">i", len(data)) + data


@_remembered
def small_field(value: int) -> bytes:
    """A smallint column."""
    return pack(">ih", 2, value)


@_remembered
def int_field(value: int) -> bytes:
    """An integer column."""
    return pack(">ii", 4, value)


def big_field(value: int) -> bytes:
    """A bigint column."""
    return _BIG.pack(8, value)


@_remembered
def day_field(value: date | None) -> bytes:
    """A date column."""
    return NULL if value is None else pack(">ii", 4, value.toordinal() - _EPOCH)


@_remembered
def decimal_field(value: str) -> bytes:
    """A numeric column, with just the digits behind the point that the text has."""
    data = bytes(_DECIMAL.dump(Decimal(value)) or b"")
    return pack(">i", len(data)) + data


@_remembered
def id_field(value: str | None) -> bytes:
    """A uuid column."""
    return NULL if value is None else ID_LENGTH + packed_id(value)


class IdArray(bytes):
    """A uuid[] parameter as it goes over the wire."""


def pack_ids(ids: Iterable[str]) -> IdArray:
    """Ids as one parameter."""
    texts = list(ids)
    if not texts:
        return IdArray(pack(">iii", 0, 0, _ID_OID))
    fields = bytes.fromhex("00000010".join(["", *texts]).replace("-", ""))
    return IdArray(pack(">iiiii", 1, 0, _ID_OID, len(texts), 1) + fields)


class _IdArrayDumper(Dumper):
    format = Format.BINARY
    oid = _ID_ARRAY_OID

    def dump(self, obj: bytes) -> bytes:
        return obj


def register_arrays() -> None:
    """Teach connections made from now on to pass an `IdArray` as it is."""
    psycopg.adapters.register_dumper(IdArray, _IdArrayDumper)

"""A call's row as workflows may see it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from contracts.connector_call import CallOutcome, CallStatus
from storage.calls import CallRow
from storage.database import PgConnection
from storage.parked import park_of_call

# What an answer shows of itself in a workflow's history: our ids and theirs, statuses, minor units. No address, no
# link (it may let its bearer in), no token, no words.
ANSWER_SHOWN = frozenset(
    [
        "id",
        "reference",
        "code",
        "number",
        "order",
        "external_id",
        "status",
        "amount",
        "currency",
        "captured",
        "refunded",
        "total",
        "tax_date",
        "until",
        "voided",
        "active",
        "published",
        "open",
        "payment",
        "reverses",
        "debit",
        "credit",
        "deliverable",
        "days",
        "vendor_id",
        "message_id",
    ]
)
_PLAIN = re.compile(r"[\w.:+/@<>-]{1,200}", re.ASCII)
_CODE = re.compile(r"[\w.:/-]{1,80}", re.ASCII)


def outcome_of(
    connection: PgConnection, row: CallRow, *, park_id: str | None = None, again_at: datetime | None = None
) -> CallOutcome:
    """Where the call stands, without anything personal."""
    status = CallStatus(row.status)
    if status is CallStatus.PARKED and park_id is None:
        park_id = park_of_call(connection, row.id)
    kind = None if status is CallStatus.SUCCEEDED else row.error_kind
    code = row.error_code if kind and row.error_code and _CODE.fullmatch(row.error_code) else None
    return CallOutcome(
        call_id=row.id,
        status=status,
        error_kind=kind,
        code=code,
        message=in_short(kind, code) if kind else "",
        again_at=again_at,
        park_id=park_id,
        answer=shown(row.answer) if status is CallStatus.SUCCEEDED else {},
    )


def in_short(kind: str, code: str | None) -> str:
    """What went wrong, without the other system's words."""
    return f"{kind.replace('_', ' ')} ({code})" if code else kind.replace("_", " ")


def shown(answer: Any) -> dict[str, str | int | bool | None]:
    """What a history may hold of an answer: of a record its plain fields in ANSWER_SHOWN and a decline's code, of
    a batch how many of its records have which status."""
    if isinstance(answer, list):
        return _counted(answer)
    if not isinstance(answer, Mapping):
        return {}
    found = {
        name: value
        for name, value in answer.items()
        if name in ANSWER_SHOWN and (value is None or isinstance(value, int) or _is_plain(value))
    }
    decline = answer.get("decline")
    if isinstance(decline, Mapping) and _is_plain(decline.get("code")):
        found["decline"] = decline["code"]
    return found


def _is_plain(value: Any) -> bool:
    """An id, a code, a number in digits or a day. A Message-ID has an @ and stands in angle brackets; anything else
    with an @ is somebody's address."""
    if not isinstance(value, str) or not _PLAIN.fullmatch(value):
        return False
    return "@" not in value or (value.startswith("<") and value.endswith(">"))


def _counted(answer: list[Any]) -> dict[str, str | int | bool | None]:
    counts: dict[str, str | int | bool | None] = {"records": len(answer)}
    for each in answer:
        status = each.get("status") if isinstance(each, Mapping) else None
        if isinstance(status, str) and _is_plain(status):
            before = counts.get(status)
            counts[status] = (before if isinstance(before, int) else 0) + 1
    return counts

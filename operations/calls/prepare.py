"""Writing down what shall be asked of another system, before anything is sent."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from uuid_utils import uuid7

from contracts.connector_call import CallRef, CallStatus
from storage.calls import CallRow, find_call, insert_call
from storage.database import PgConnection

# A key that a person edited the request of goes out with its version behind it.
LONGEST_KEY = 190


class KeyConflict(ValueError):
    """The same key was used for another request: it would be two acts under one name. The message names both."""


@dataclass(frozen=True, slots=True)
class CallOrder:
    """What to ask. method: capability and method, as in `payment.charge`. key: the business key, the same for every
    try. request: the JSON of the method's argument; of several, by their names.

    trace_key: what it is about, where a newer call about the same thing makes older ones superfluous (the state of a
    record). A refund or a journal has none: each one counts. Never personal data.
    """

    connection: str
    method: str
    key: str
    request: Any = field(repr=False)
    mode: str = "live"
    account_id: str | None = None
    trace_key: str | None = None
    workflow_id: str | None = None


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """The call of an order. created: this order wrote it."""

    ref: CallRef
    status: CallStatus
    created: bool


def prepare_call(connection: PgConnection, order: CallOrder) -> PreparedCall:
    """Write the intent of a call into the caller's transaction, or find the one that was written before.

    Raises KeyConflict where the key stands for another request, unless a person has edited that one; and ValueError
    for a method or key that can be none.
    """
    if "." not in order.method:
        raise ValueError(f"{order.method!r} names no capability's method; write it as in payment.charge")
    if not order.key or len(order.key) > LONGEST_KEY:
        raise ValueError(f"a key has 1 to {LONGEST_KEY} characters")
    request = json.loads(json.dumps(order.request))
    created = insert_call(
        connection,
        call_id=str(uuid7()),
        to=order.connection,
        method=order.method,
        key=order.key,
        mode=order.mode,
        request=request,
        account_id=order.account_id,
        trace_key=order.trace_key,
        workflow_id=order.workflow_id,
    )
    row = find_call(connection, mode=order.mode, to=order.connection, method=order.method, key=order.key)
    if row is None:
        raise RuntimeError("the call just written cannot be read")
    if not created and row.request_version == 1 and row.request is not None and row.request != request:
        raise KeyConflict(
            f"{order.method} of {order.connection} with the key {order.key} was asked before with another request; "
            "another act needs another key, and what was sent is changed with `masthead errors edit`"
        )
    return PreparedCall(ref_of(row), CallStatus(row.status), created)


def ref_of(row: CallRow) -> CallRef:
    """How a call is named elsewhere."""
    return CallRef(
        call_id=row.id,
        connection=row.connection,
        method=row.method,
        key=row.key,
        trace_key=row.trace_key or f"{row.connection}/{row.method}/{row.key}",
        account_id=row.account_id,
    )

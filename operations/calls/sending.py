"""A call's steps: on its way, how it went, and parked where it cannot go on. Each is one short transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from contracts.connector_call import CallOutcome, CallStatus
from operations.calls.outcome import outcome_of
from storage.calls import CallRow, change_call, has_newer, older_parked, read_call
from storage.connections import note_refused
from storage.database import PgConnection
from storage.events import NewEvent, append_events
from storage.parked import Park, park, resolve_parks_of_call
from storage.write_holds import check_not_held

CALL = "call"  # the kind of parked work
# What the customer is told of once it is done.
TOLD = {"shipping.buy": "notice.shipment"}
BY_A_FLOW = "sync:"  # how the keys of what flows prepare begin

REMEDIES = {
    "transient": "The other system was away for long. Once it is back: masthead errors retry ID.",
    "rate_limited": "The other system takes no more calls. Later: masthead errors retry ID.",
    "unknown": (
        "Look at the other system whether it was done. If it was: masthead errors skip ID. If it was not: "
        "masthead errors retry ID --not-applied."
    ),
    "unauthorized": (
        "Authorise the connection anew; all that waits for it is then tried again. Or: masthead errors retry ID."
    ),
    "rejected": "Correct what is sent: masthead errors edit ID --file payload.json. Or retry, skip or fail it.",
    "broken": (
        "The answer does not have the agreed shape: compare it with the connector's version, then masthead errors "
        "retry ID."
    ),
    "definition": "Correct the connector, its configuration or its secret, then: masthead errors retry ID.",
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """How a try went wrong. message and fields: for the operator, without secrets and personal data."""

    kind: str
    message: str
    code: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


def look(connection: PgConnection, call_id: str) -> tuple[CallRow, CallOutcome]:
    """The call as it stands. Raises NoSuchCall."""
    row = read_call(connection, call_id)
    return row, outcome_of(connection, row)


def begin_send(
    connection: PgConnection,
    seen: CallRow,
    *,
    workflow_id: str | None,
    anew: bool = False,
    write: bool = True,
) -> CallRow | None:
    """Note that the call goes out now; None when the row is no longer as it was `seen`. Commit before sending.

    anew: it was found that no earlier send was applied, so that the doubt begins now. A flow's call that tells of an
    older state than one that was prepared since is not sent: it is answered as skipped. Raises WritesHeld for a
    `write` while external writes are held.
    """
    if write:
        check_not_held(connection)
    row = read_call(connection, seen.id, lock=True)
    if (row.status, row.attempts, row.request_version) != (seen.status, seen.attempts, seen.request_version):
        return None
    undoubted = anew or row.first_sent_at is None
    if undoubted and _tells_a_state(row) and has_newer(connection, row):
        changes = {"status": CallStatus.SKIPPED.value, "first_sent_at": None, "ended_at": row.now}
        change_call(connection, row.id, changes)
        resolve_parks_of_call(connection, row.id, "superseded")
        return read_call(connection, row.id)
    change_call(
        connection,
        row.id,
        {
            "status": CallStatus.SENT.value,
            "attempts": row.attempts + 1,
            "first_sent_at": row.now if anew or row.first_sent_at is None else row.first_sent_at,
            "last_sent_at": row.now,
            "workflow_id": workflow_id or row.workflow_id,
        },
    )
    return read_call(connection, row.id)


def succeed(connection: PgConnection, call_id: str, answer: Any) -> CallOutcome:
    """Store the answer. An answer is a fact: it counts also when the call was parked meanwhile. What a person has
    settled stays settled, with the answer beside it."""
    row = read_call(connection, call_id, lock=True)
    if row.status == CallStatus.SUCCEEDED:
        return outcome_of(connection, row)
    if CallStatus(row.status).settled:
        change_call(connection, row.id, {"answer": answer})
        return outcome_of(connection, read_call(connection, row.id))
    change_call(
        connection,
        row.id,
        {
            "status": CallStatus.SUCCEEDED.value,
            "answer": answer,
            "ended_at": row.now,
            "error_kind": None,
            "error_code": None,
            "message": None,
        },
    )
    resolve_parks_of_call(connection, row.id, CallStatus.SUCCEEDED.value)
    if row.method in TOLD and row.account_id is not None:
        append_events(connection, [NewEvent(TOLD[row.method], row.account_id, row.id, 1)])
    for older in older_parked(connection, row):
        change_call(connection, older, {"status": CallStatus.SKIPPED.value, "ended_at": row.now})
        resolve_parks_of_call(connection, older, "superseded")
    return outcome_of(connection, read_call(connection, row.id))


def put_back(connection: PgConnection, sent: CallRow, trouble: Trouble, *, doubt: datetime | None) -> None:
    """The try came to nothing, and the next may be made: the call is an intent again, or, with a `doubt` since an
    earlier send, still unknown."""
    row = _still(connection, sent)
    if row is None:
        return
    status = CallStatus.INTENT if doubt is None else CallStatus.UNKNOWN
    change_call(connection, row.id, {"status": status.value, "first_sent_at": doubt} | _told(trouble))


def leave_unknown(
    connection: PgConnection, seen: CallRow, trouble: Trouble, *, ended_at: datetime, again_at: datetime
) -> CallOutcome:
    """Nobody knows whether the send was applied; it is looked into again at `again_at`. ended_at: by when the send was
    over at the latest, from which on an other system's lag counts."""
    row = _still(connection, seen)
    if row is not None:
        changes = {"status": CallStatus.UNKNOWN.value, "last_sent_at": ended_at}
        change_call(connection, row.id, changes | _told(trouble))
    return outcome_of(connection, read_call(connection, seen.id), again_at=again_at)


def park_call(
    connection: PgConnection,
    seen: CallRow,
    trouble: Trouble,
    *,
    doubt: datetime | None,
    workflow_id: str | None,
) -> CallOutcome:
    """Park the call for a person, with what was sent kept editable in its row. Nothing happens when the call has
    moved since it was `seen`. doubt: since when a send may have been applied."""
    if seen.account_id is not None:
        # What is parked refers to its account, which is therefore locked here too. Whoever is told by webhook locks it
        # before the call, and in another order each might wait for the other.
        connection.execute("select from account where id = %s for key share", (seen.account_id,))
    row = _still(connection, seen)
    if row is None:
        return outcome_of(connection, read_call(connection, seen.id))
    changes = {"status": CallStatus.PARKED.value, "first_sent_at": doubt}
    change_call(connection, row.id, changes | _told(trouble))
    park_id = park(
        connection,
        Park(
            kind=CALL,
            trace_key=f"{row.connection}/{row.method}/{row.key}",
            error_kind=trouble.kind,
            message=trouble.message,
            remedy=REMEDIES.get(trouble.kind, REMEDIES["broken"]),
            mode=row.mode,
            account_id=row.account_id,
            connection=row.connection,
            call_id=row.id,
            method=row.method,
            fields=trouble.fields,
            error_code=trouble.code,
            workflow_id=workflow_id or row.workflow_id,
        ),
    )
    if trouble.kind == "unauthorized":
        note_refused(connection, row.connection, trouble.message)
    return outcome_of(connection, read_call(connection, row.id), park_id=park_id)


def _tells_a_state(row: CallRow) -> bool:
    """Whether a flow prepared it for the state of a record, and nobody has edited it since. Calls of others may share
    a trace key though each of them counts."""
    of_a_flow = row.trace_key is not None and row.trace_key.startswith(f"{row.connection}/")
    return of_a_flow and row.key.startswith(BY_A_FLOW) and row.request_version == 1


def _still(connection: PgConnection, seen: CallRow) -> CallRow | None:
    """The locked row, unless another try, an answer or a person has moved it."""
    row = read_call(connection, seen.id, lock=True)
    same = (row.status, row.attempts, row.request_version) == (
        seen.status,
        seen.attempts,
        seen.request_version,
    )
    return row if same else None


def _told(trouble: Trouble) -> dict[str, Any]:
    return {"error_kind": trouble.kind, "error_code": trouble.code, "message": trouble.message}

"""Asking the connected systems for licences and parcels, each entry's steps one after the other: a step's call is
written down in the transaction that says it is under way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from contracts.connector_call import CallRef, CallStatus
from domain.fulfilment import Entry, Step, Told, Wish, is_issue, next_step
from operations.calls.prepare import CallOrder, prepare_call, ref_of
from operations.fulfilment.noting import MISSED, entry_of
from storage.calls import read_call
from storage.database import PgConnection
from storage.fulfilments import (
    FulfilmentRow,
    calls_of,
    change_fulfilment,
    due_fulfilments,
    parcel_address,
)

AT_ONCE = 200
MODES = ("live", "test")
CAPABILITIES = ("drm", "shipping")

# For a mode, the connection of each capability that follows a sale; None for one that nothing is configured for.
FulfilledBy = Callable[[str], Mapping[str, str | None]]


def nothing_connected(mode: str) -> Mapping[str, str | None]:
    """No connection fulfils anything."""
    return {}


def ask(
    connection: PgConnection,
    fulfilled_by: FulfilledBy,
    now: datetime,
    account_id: str | None = None,
    limit: int = AT_ONCE,
) -> list[CallRef]:
    """Write down the next calls of up to `limit` entries of which something is due at `now`, of one account or of all;
    for a test account on a clock its clock's time counts. What nothing is connected for stays as it is. The calls, to
    be started once that is committed."""
    to = {mode: fulfilled_by(mode) for mode in MODES}
    connected = [(mode, name) for mode in MODES for name in CAPABILITIES if to[mode].get(name)]
    calls = []
    for row in due_fulfilments(connection, now, connected, limit, account_id):
        at = row.clock_at or now
        entry = entry_of(row)
        step = next_step(entry, at)
        if step is None:
            change_fulfilment(connection, row.id, {"next_at": None})
        elif step is Step.CLOSE:
            change_fulfilment(connection, row.id, _closed(row, entry))
        else:
            call = _call(connection, row, step, row.connection or to[row.mode].get(row.capability), at)
            if call is not None:
                calls.append(call)
    return calls


def begun(connection: PgConnection, account_id: str, *statuses: CallStatus) -> list[CallRef]:
    """The calls of an account's entries that stand at one of these."""
    return [
        ref_of(read_call(connection, call)).model_copy(update={"about": about(item, terms)})
        for call, item, terms in calls_of(connection, account_id, statuses)
    ]


def _closed(row: FulfilmentRow, entry: Entry) -> dict[str, Any]:
    too_late = entry.wish == Wish.GIVEN and entry.told == Told.NOTHING
    missed = MISSED if is_issue(row.number) else "expired"
    return {
        "wish": Wish.ENDED.value,
        "told": Told.ENDED.value,
        "next_at": None,
        "outcome": missed if too_late else "ended",
    }


def _call(
    connection: PgConnection, row: FulfilmentRow, step: Step, to: str | None, now: datetime
) -> CallRef | None:
    if to is None:
        return None
    request, key, sent_to = _request(connection, row, step, now)
    order = CallOrder(
        to,
        step.value,
        key,
        request,
        mode=row.mode,
        account_id=row.account_id,
        trace_key=f"fulfilment/{row.id}",
    )
    made = prepare_call(connection, order)
    changes = {
        "connection": to,
        "step": step.value,
        "call_id": made.ref.call_id,
        "next_at": None,
        "outcome": "asked",
    }
    if sent_to is not None:
        changes["sent_to"] = sent_to
    change_fulfilment(connection, row.id, changes)
    return made.ref.model_copy(update={"about": about(row.item, row.terms)})


def about(item: str, terms: Mapping[str, Any]) -> str:
    """The entry in a word or two."""
    return f"{item}, issue of {terms['issue']}" if "issue" in terms else item


def _request(
    connection: PgConnection, row: FulfilmentRow, step: Step, now: datetime
) -> tuple[dict[str, Any], str, str | None]:
    """What is asked, under which key, and the digest of the address in it."""
    key = f"fulfilment:{row.id}"
    match step:
        case Step.GRANT:
            given = {
                "reference": f"{key}:{row.attempt}" if row.attempt > 1 else key,
                "content": row.item,
                "reader": row.account_id,
                "starts_at": now.isoformat(),
                "until": _until(row),
                "devices": row.terms.get("devices"),
            }
            return given, f"{key}:grant:{row.attempt}", None
        case Step.EXTEND:
            until = _until(row)
            return {"licence": row.given_id, "until": until}, f"{key}:extend:{until}", None
        case Step.REVOKE:
            return {"licence": row.given_id}, f"{key}:revoke", None
        case Step.VOID:
            return {"label": row.given_id}, f"{key}:void:{row.attempt}", None
        case Step.BUY:
            return *_parcel(connection, row), row.digest or ""
        case _:
            raise ValueError(f"{step} is no call")


def _parcel(connection: PgConnection, row: FulfilmentRow) -> tuple[dict[str, Any], str]:
    name, address = parcel_address(connection, row.account_id)
    terms = row.terms
    copies = int(terms.get("copies", 1))
    request = {
        "order": f"{row.id}-{row.attempt}",
        "name": name,
        "to": address,
        "sender": terms["sender"],
        "weight": int(terms["weight"]) * copies,
        "service": terms.get("service"),
        "sku": row.item,
        "customs": terms.get("customs"),
        "copies": copies,
    }
    return request, f"fulfilment:{row.id}:buy:{row.attempt}"


def _until(row: FulfilmentRow) -> str:
    if row.until is None:
        raise ValueError(f"licence {row.id} has no end")
    return row.until.isoformat()

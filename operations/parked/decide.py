"""What a person decides about parked work, committed with its audit row before anybody is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from psycopg.types.json import Jsonb

from contracts.connector_call import CallStatus
from contracts.parked import Action, Decided
from operations.calls.prepare import ref_of
from operations.sync.commands import COMMANDS
from storage.calls import CallRow, change_call, read_call
from storage.database import PgConnection
from storage.parked import ParkRow, change_payload, read_park, resolve_park

# Parked work without a call whose owner looks in the table for what was decided. All other has a way of its own to be
# done again, which its remedy says.
_DECIDED_HERE = frozenset({"sync"})
# Work that is done again in a way of its own, and can be let go here: nobody waits for what was decided.
_LET_GO_HERE = frozenset({"refund", "webhook_out", "tax", "restored"})

RequestCheck = Callable[[str, Any], Mapping[str, str]]


class NoSuchPark(LookupError):
    """There is no parked work of that id."""


class CannotDecide(ValueError):
    """The decision does not fit. `kind` is for machines; the message says why and what to do. fields: what is wrong
    with an edited payload, by field."""

    def __init__(self, kind: str, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.fields = dict(fields or {})


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decides what, and why. changes: for an edit, the payload's fields to change (a merge patch: what is left out
    stays, null takes away, lists are given whole). not_applied: the person has seen that nothing was done there."""

    action: Action
    actor: str
    reason: str
    changes: Any = None
    not_applied: bool = False


def decide(
    connection: PgConnection,
    park_id: str,
    decision: Decision,
    *,
    check: RequestCheck | None = None,
    masks: Collection[str] = (),
) -> Decided:
    """Carry the decision into the rows: the park is resolved and the call is an intent again, or settled.

    The same decision a second time writes nothing. check: what is wrong with a payload, by field; needed for an edit.
    masks: texts that stand for what was not shown; where they come back, what is stored stays. Raises NoSuchPark, and
    CannotDecide where something else was decided before, or it does not fit.
    """
    seen = read_park(connection, park_id)
    if seen is None:
        raise NoSuchPark(f"there is no parked work {park_id}")
    # In the order in which a try locks them: the call first.
    call = read_call(connection, seen.call_id, lock=True) if seen.call_id else None
    row = read_park(connection, park_id, lock=True)
    if row is None:
        raise NoSuchPark(f"there is no parked work {park_id}")
    if not row.open:
        return _repeated(row, decision, call, masks)
    let_go = row.kind in _LET_GO_HERE and decision.action in (Action.SKIP, Action.FAIL)
    if call is None and row.kind not in _DECIDED_HERE and not let_go:
        raise CannotDecide("own_way", f"work of the kind {row.kind} is not decided here. {row.remedy}")
    told_to_us = row.kind == "sync" and row.method in COMMANDS
    if call is None and told_to_us and decision.action in (Action.RETRY, Action.EDIT):
        raise CannotDecide(
            "told_to_us", f"what another system told us cannot be tried again or edited here. {row.remedy}"
        )
    detail: dict[str, Any] = {"park": row.id, "call": row.call_id, "not_applied": decision.not_applied}
    if call is not None:
        _move(connection, call, decision, check, masks, detail)
    elif decision.action is Action.EDIT:
        edited = _edited(row.method, row.payload, decision.changes, check, masks)
        detail["fields"] = sorted(_changed(row.payload, edited))
        change_payload(connection, row.id, edited)
    resolve_park(connection, row.id, decision.action.value)
    _audit(connection, row, decision, detail)
    return _decided(row, decision.action, call)


def _move(
    connection: PgConnection,
    call: CallRow,
    decision: Decision,
    check: RequestCheck | None,
    masks: Collection[str],
    detail: dict[str, Any],
) -> None:
    if decision.action in (Action.SKIP, Action.FAIL):
        status = CallStatus.SKIPPED if decision.action is Action.SKIP else CallStatus.FAILED
        change_call(connection, call.id, {"status": status.value, "ended_at": call.now})
        return
    doubt = None if decision.not_applied else call.first_sent_at
    changes: dict[str, Any] = {
        "status": (CallStatus.INTENT if doubt is None else CallStatus.UNKNOWN).value,
        "first_sent_at": doubt,
    }
    if decision.action is Action.EDIT:
        if doubt is not None:
            raise CannotDecide(
                "in_doubt",
                "what was sent may have been done, and with another payload it would be done twice. Look at the other "
                "system; if nothing was done, say so (not applied), else skip it.",
            )
        edited = _edited(call.method, call.request, decision.changes, check, masks)
        detail["fields"] = sorted(_changed(call.request, edited))
        changes |= {"request": edited, "request_version": call.request_version + 1}
    change_call(connection, call.id, changes)


def _edited(
    method: str | None, stored: Any, changes: Any, check: RequestCheck | None, masks: Collection[str]
) -> Any:
    if check is None or method is None or stored is None or changes is None:
        raise CannotDecide("not_editable", "there is nothing that could be edited")
    edited = merged(stored, json.loads(json.dumps(changes)), masks)
    if any(mask in json.dumps(edited) for mask in masks):
        raise CannotDecide(
            "masked", f"a mask ({', '.join(masks)}) stands where nothing is stored that it could mean"
        )
    if wrong := check(method, edited):
        fields = ", ".join(f"{name}: {problem}" for name, problem in wrong.items())
        raise CannotDecide("bad_payload", f"the edited payload cannot be sent: {fields}", wrong)
    return edited


def merged(stored: Any, changes: Any, masks: Collection[str] = ()) -> Any:
    """`stored` with `changes` merged in (RFC 7396), where a mask stands for what is stored. Lists of equal length are
    merged item by item, so that a payload can be given back as it was shown, with one item changed."""
    if isinstance(changes, str) and changes in masks and stored is not None:
        return stored
    if isinstance(changes, list) and isinstance(stored, list) and len(changes) == len(stored):
        return [merged(before, after, masks) for before, after in zip(stored, changes, strict=True)]
    if not isinstance(changes, dict):
        return changes
    before = stored if isinstance(stored, dict) else {}
    after = dict(before)
    for name, value in changes.items():
        if value is None and before.get(name) is not None:
            after.pop(name)
        else:
            after[name] = merged(before.get(name), value, masks)
    return after


def _changed(before: Any, after: Any, path: str = "") -> set[str]:
    """The paths of what differs: names only, no value."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = before.keys() | after.keys()
        return {
            found for name in names for found in _changed(before.get(name), after.get(name), f"{path}.{name}")
        }
    return set() if before == after else {path.removeprefix(".") or "payload"}


def _repeated(row: ParkRow, decision: Decision, call: CallRow | None, masks: Collection[str]) -> Decided:
    if row.resolution != decision.action.value:
        raise CannotDecide("resolved", f"this was resolved before: {row.resolution}")
    stored = row.payload if call is None else call.request
    if decision.action is Action.EDIT and merged(stored, decision.changes, masks) != stored:
        raise CannotDecide("resolved", "this was edited before, in another way")
    return _decided(row, decision.action, call, repeated=True)


def _decided(row: ParkRow, action: Action, call: CallRow | None, *, repeated: bool = False) -> Decided:
    return Decided(
        park_id=row.id,
        action=action,
        repeated=repeated,
        workflow_id=row.workflow_id,
        call=ref_of(call) if call else None,
    )


def _audit(connection: PgConnection, row: ParkRow, decision: Decision, detail: dict[str, Any]) -> None:
    connection.execute(
        "insert into audit (id, actor, action, subject, reason, detail) values (%s, %s, %s, %s, %s, %s)",
        (
            # A park is resolved once: a second row of the same id would be a mistake that the database refuses.
            str(uuid5(NAMESPACE_URL, f"masthead:audit:parked/{row.id}")),
            decision.actor,
            decision.action.value,
            f"parked/{row.id}",
            decision.reason,
            Jsonb(detail),
        ),
    )

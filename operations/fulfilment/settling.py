"""Writing down what the calls of licences and parcels have come to, so that their next step is known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from contracts.connector_call import CallStatus
from domain.fulfilment import CHANGEABLE, Step, Told, Wish, is_issue
from storage.database import PgConnection
from storage.fulfilments import (
    FulfilmentRow,
    SettledCall,
    change_fulfilment,
    read_fulfilments,
    settled_fulfilments,
)

AT_ONCE = 500


def take_note(
    connection: PgConnection, now: datetime, account_id: str | None = None, limit: int = AT_ONCE
) -> int:
    """Write down at `now` what up to `limit` settled calls, of one account or of all, have come to; how many there
    were."""
    calls = {each.fulfilment_id: each for each in settled_fulfilments(connection, now, limit, account_id)}
    rows = [row for row in read_fulfilments(connection, list(calls)) if row.call_id is not None]
    for row in rows:
        call = calls[row.id]
        changes = _came_to(row, Step(row.step or ""), call)
        change_fulfilment(connection, row.id, {"call_id": None, "step": None, "next_at": call.at, **changes})
    return len(rows)


def _came_to(row: FulfilmentRow, step: Step, call: SettledCall) -> dict[str, Any]:
    if call.status != CallStatus.SUCCEEDED:
        return _decided(row, step, call)
    answer: Mapping[str, Any] = call.answer if isinstance(call.answer, Mapping) else {}
    match step:
        case Step.GRANT:
            until = _until(answer) or _until(call.request)
            return {
                "told": Told.GIVEN.value,
                "given_id": answer.get("id"),
                "given_until": until,
                "outcome": "given",
            }
        case Step.EXTEND:
            return {"given_until": _until(answer) or _until(call.request), "outcome": "given"}
        case Step.BUY:
            stop = row.changeable_until
            if not is_issue(row.number):
                # Ordered later than it was due, as long as nothing was connected: it can be changed from then on.
                stop = max(stop or call.at, call.at + CHANGEABLE)
            return {
                "told": Told.GIVEN.value,
                "given_id": answer.get("id"),
                "changeable_until": stop,
                "outcome": "given",
            }
        case Step.VOID if not answer.get("voided"):
            # The carrier has it, and gives it back no more.
            return {"changeable_until": call.at, "outcome": "on its way"}
        case Step.VOID if row.wish == Wish.GIVEN:
            return {
                "told": Told.NOTHING.value,
                "given_id": None,
                "attempt": row.attempt + 1,
                "sent_to": None,
                "outcome": "to be sent elsewhere",
            }
    return {"told": Told.ENDED.value, "outcome": "ended"}


def _decided(row: FulfilmentRow, step: Step, call: SettledCall) -> dict[str, Any]:
    """A person has decided: to go on as if it were done, or that it has failed."""
    outcome = {"outcome": call.status}
    if step is Step.EXTEND:
        return {"given_until": row.until, **outcome} if call.status == CallStatus.SKIPPED else outcome
    if step is Step.VOID and row.wish == Wish.GIVEN:
        return {"changeable_until": call.at, **outcome}
    return {"told": Told.ENDED.value, **outcome}


def _until(said: Any) -> datetime | None:
    given = said.get("until") if isinstance(said, Mapping) else None
    return datetime.fromisoformat(given) if isinstance(given, str) else None

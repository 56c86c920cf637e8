"""What another system tells us, as commands: each in a savepoint of its own, so that one that is refused holds up none
of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from pydantic import ValidationError

from operations.sync.batch import PARK_KIND, Plan
from operations.sync.commands import Command, Done, Refused
from storage.database import PgConnection
from storage.parked import Park, park
from storage.sync import (
    INBOUND,
    count_lane,
    move_lane,
    open_inbound_lane,
    read_lane,
    resolve_parks,
    subject_of,
)

REMEDY = "Correct the flow's map or what the other system has. Its next change is applied anyway; or skip this one."


class Told(NamedTuple):
    """One thing that was told. key: by which it is known there. input: the command's, as the map made it; None with a
    `problem` where the map does not fit."""

    key: str
    input: Mapping[str, Any] | None
    problem: str = ""


class Applied(NamedTuple):
    """What came of them."""

    changed: int
    unchanged: int
    parked: int


def apply_told(connection: PgConnection, plan: Plan, command: Command, told: Sequence[Told]) -> Applied:
    """Carry out the commands, in their order, in the caller's transaction. What cannot be carried out is parked."""
    changed = unchanged = parked = 0
    through: list[str] = []
    for each in told:
        problem, done = each.problem, None
        if each.input is not None:
            problem, done = _run(connection, plan, command, each.input)
        if done is None:
            parked += 1
            _park(connection, plan, each, problem)
        else:
            through.append(plan.trace_key(each.key))
            changed += done == "changed"
            unchanged += done != "changed"
    resolve_parks(connection, plan.mode, through, "superseded: a newer change was applied")
    return Applied(changed, unchanged, parked)


def _run(
    connection: PgConnection, plan: Plan, command: Command, given: Mapping[str, Any]
) -> tuple[str, Done | None]:
    try:
        checked = command.model.model_validate(given)
        with connection.transaction():
            return "", command.run(connection, plan.mode, checked)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found), None
    except Refused as error:
        return str(error), None
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        return f"the database refuses it ({type(error).__name__})", None


def _park(connection: PgConnection, plan: Plan, told: Told, problem: str) -> None:
    park(
        connection,
        Park(
            kind=PARK_KIND,
            trace_key=plan.trace_key(told.key),
            error_kind="rejected" if told.input is not None else "drift",
            message=problem[:1000],
            remedy=REMEDY,
            mode=plan.mode,
            connection=plan.connection,
            method=plan.flow.command,
            payload=dict(told.input) if told.input is not None else None,
            workflow_id=f"sync/{plan.connection}",
        ),
    )


def inbound_cursor(connection: PgConnection, plan: Plan) -> str | None:
    """Where the flow stands at the other system; None at the beginning."""
    open_inbound_lane(connection, plan.connection, plan.flow.name)
    row = read_lane(connection, plan.lane(INBOUND))
    return row.inbound_cursor if row else None


def apply_page(
    connection: PgConnection,
    plan: Plan,
    command: Command,
    told: Sequence[Told],
    *,
    seen: str | None,
    to: str | None,
) -> Applied:
    """Apply a page and move the flow's cursor at the other system, in the caller's transaction. Nothing is moved when
    it no longer stands where it was `seen`."""
    lane = plan.lane(INBOUND)
    row = read_lane(connection, lane)
    applied = apply_told(connection, plan, command, told)
    moves = row is not None and row.inbound_cursor == seen and to is not None and to != seen
    if row is not None and moves:
        move_lane(connection, lane, row, row.cursor, inbound_cursor=to)
    # The last page is answered again and again where no cursor leads past it.
    count_told(connection, plan, applied if moves else applied._replace(unchanged=0))
    return applied


def count_told(connection: PgConnection, plan: Plan, applied: Applied) -> None:
    """Add to what came of the flow."""
    open_inbound_lane(connection, plan.connection, plan.flow.name)
    count_lane(
        connection,
        plan.lane(INBOUND),
        written=applied.changed,
        unchanged=applied.unchanged,
        parked=applied.parked,
    )


def account_key_of(connection: PgConnection, plan: Plan, flows: Sequence[str], vendor_id: str) -> str | None:
    """Our external key of the account whose record the other system calls `vendor_id`, where a flow has written it."""
    subject = subject_of(connection, plan.connection, flows, vendor_id)
    if subject is None:
        return None
    row = connection.execute(
        "select external_key from account where id::text = %s and mode = %s", (subject, plan.mode)
    ).fetchone()
    return row[0] if row else None

"""Carrying out what a subscription demands, each thing once: what is asked of another system is written down as a call
in the transaction that says it is done, and a notice becomes an event there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Engine

from contracts.connector_call import CallRef
from operations.billrun.fail_points import fail_point
from operations.calls.prepare import CallOrder, prepare_call
from storage.database import PgConnection, transaction
from storage.events import NewEvent, append_events
from storage.follow_ups import finish_follow_ups, follow_ups_of
from storage.fulfilments import has_entries

# A local midnight is near the one in UTC: what counts is that each day has a number of its own.
_TO_NOON = timedelta(hours=12)

NOT_CONNECTED = "not connected"
PARCELS = "parcels"  # what the catalog says is sent, stands in the rows of parcels

# The connection that provides access to accounts of a mode, by its name; None where there is none.
ProvisionerOf = Callable[[str], str | None]


def nobody(mode: str) -> str | None:
    """No connection provides access."""
    return None


class CarriedOut(NamedTuple):
    """How many follow-ups were carried out, and the calls that they brought, to be started."""

    done: int
    calls: list[CallRef]


def carry_out_follow_ups(
    engine: Engine, subscription_id: str, now: datetime, provisioner: ProvisionerOf = nobody
) -> CarriedOut:
    """Carry out what the subscription demands by the instant `now`, in one transaction."""
    with transaction(engine) as connection:
        due = [
            each
            for each in follow_ups_of(connection, [subscription_id], lock=True)
            if each.outcome is None and each.due_at <= now
        ]
        events: list[NewEvent] = []
        outcomes: list[tuple[str, str]] = []
        calls: list[CallRef] = []
        for each in due:
            if each.kind == "notice":
                name = f"notice.{each.about['notice']}"
                # One of a name, a subscription and a day is one mail.
                day = (each.due_at.astimezone(UTC) + _TO_NOON).date().toordinal()
                events.append(NewEvent(name, each.account_id, each.subscription_id, day))
                outcomes.append((each.id, f"event {name}"))
            elif each.kind == "provisioning" and (to := provisioner(each.mode)) is not None:
                # It goes out as the state of now, so that an older demand does no harm.
                key = f"{each.subscription_id}/{each.key}"
                calls.append(provide(connection, each.account_id, each.mode, key, now, to))
                outcomes.append((each.id, f"call {calls[-1].call_id}"))
            elif each.kind == "shipment" and has_entries(connection, each.subscription_id):
                outcomes.append((each.id, PARCELS))
            else:
                outcomes.append((each.id, NOT_CONNECTED))
        append_events(connection, events)
        finish_follow_ups(connection, outcomes)
        fail_point("follow-up-written")
    return CarriedOut(len(due), calls)


def provide(
    connection: PgConnection, account_id: str, mode: str, key: str, now: datetime, to: str
) -> CallRef:
    """Write down the call, under `key`, that brings the account's access at the instant `now` to the identity system
    `to`. Raises LookupError for an unknown account."""
    found = connection.execute(
        "select a.external_key, p.email, a.currency from account a left join person p on p.account_id = a.id"
        " where a.id = %s",
        (account_id,),
    ).fetchone()
    if found is None:
        raise LookupError(f"there is no account {account_id}")
    features = _features(connection, account_id, now)
    request: dict[str, Any] = {
        "external_id": account_id,
        "user_name": found[1] or found[0],
        "active": bool(features),
        "features": features,
    }
    call = prepare_call(
        connection,
        CallOrder(
            to,
            "provisioning.put",
            key,
            request,
            mode=mode,
            account_id=account_id,
            trace_key=f"provisioning/{account_id}",
        ),
    )
    return call.ref


def _features(connection: PgConnection, account_id: str, now: datetime) -> list[str]:
    """What the account's grants entitle to at `now`."""
    rows = connection.execute(
        "select distinct feature from entitlement_grant where account_id = %s and starts_at <= %s"
        " and coalesce(ends_at > %s, true) order by feature",
        (account_id, now, now),
    )
    return [feature for (feature,) in rows]


def first_due(connection: PgConnection, subscription_id: str) -> datetime | None:
    """When the first follow-up that is not done falls due."""
    row = connection.execute(
        "select min(due_at) from follow_up where subscription_id = %s and done_at is null", (subscription_id,)
    ).fetchone()
    found: datetime | None = row[0] if row else None
    return found

"""After a restore: taking what a gateway knows into the rows, payment by payment, and ending the hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from uuid_utils import uuid7

from operations.backup import charges, checkouts
from operations.backup.charges import take_charge
from operations.backup.checkouts import checkout_of, take_checkout
from operations.backup.found import MOVES_MONEY, RESTORED, Found, What, park_payment
from operations.tariffs import Tariff
from storage.charges import charge_of_key
from storage.database import PgConnection
from storage.parked import Park, park
from storage.write_holds import WriteHold, release_hold

_REMEDY = "Find out who made it; give it back or release it at the gateway, or leave it. Then: masthead errors skip ID."


def open_references(connection: PgConnection, gateway: str) -> list[tuple[str, datetime]]:
    """The references of what the rows have without its end at the gateway, each with the instant it began."""
    return charges.open_references(connection, gateway) + checkouts.open_references(connection, gateway)


def take(
    connection: PgConnection,
    tariff: Tariff,
    gateway: str,
    mode: str,
    payment: Mapping[str, Any],
    now: datetime,
) -> Found:
    """Write what the connection `gateway` says of a payment, in the caller's transaction; told again it changes
    nothing. payment: the JSON of the SDK's Payment."""
    found = _taken(connection, tariff, gateway, mode, payment, now)
    if payment["refunded"] and found.what is not What.FOREIGN:
        _compare_refunds(connection, gateway, mode, payment)
    return found


def _taken(
    connection: PgConnection,
    tariff: Tariff,
    gateway: str,
    mode: str,
    payment: Mapping[str, Any],
    now: datetime,
) -> Found:
    reference = payment["reference"]
    if not reference:
        return Found(What.FOREIGN, payment)
    if (checkout_id := checkout_of(reference)) is not None:
        return take_checkout(connection, gateway, mode, checkout_id, payment)
    if (key := charge_of_key(reference)) is not None:
        return take_charge(connection, tariff, gateway, mode, key, payment, now)
    if payment["status"] not in MOVES_MONEY:
        return Found(What.NOTHING, payment)
    return park_payment(connection, gateway, mode, payment, "nothing here has that reference", _REMEDY)


def _compare_refunds(connection: PgConnection, gateway: str, mode: str, payment: Mapping[str, Any]) -> None:
    """More was given back than the rows know: it is parked, for what it was for stands nowhere any more."""
    row = connection.execute(
        "select coalesce(sum(refunded), 0) from payment where gateway_id = %s and mode = %s",
        (payment["id"], mode),
    ).fetchone()
    known = int(row[0]) if row else 0
    if payment["refunded"] <= known:
        return
    more = f"{payment['refunded'] - known} minor units of {payment['currency']}"
    park(
        connection,
        Park(
            kind=RESTORED,
            trace_key=f"{gateway}/{payment['id']}/refund",
            error_kind="unknown_refund",
            message=f"{gateway} has given back {more} of payment {payment['id']} ({payment['reference']}) that are not "
            "in the books",
            remedy="Record the refund or the credit note that it was for; then masthead errors skip ID --reason.",
            mode=mode,
            connection=gateway,
        ),
    )


def never_sent(connection: PgConnection, hold: WriteHold, gateway: str, seen: Collection[str]) -> int:
    """Charges that the restore put in doubt, and that a gateway which listed everything does not have, were surely not
    sent: they are intents again. seen: the references that it has. How many there were."""
    done = connection.execute(
        "update connector_call set status = 'intent', first_sent_at = null"
        " where connection = %s and method = 'payment.charge' and status = 'unknown' and first_sent_at = %s"
        " and not (request->>'reference' = any(%s))",
        (gateway, hold.since, list(seen)),
    )
    return done.rowcount


def release(connection: PgConnection, hold: WriteHold, actor: str, reason: str) -> bool:
    """End the hold, with an audit row; False where it was ended before."""
    if not release_hold(connection, hold.id, actor, reason):
        return False
    connection.execute(
        "insert into audit (id, actor, action, subject, reason) values (%s, %s, 'release_writes', %s, %s)",
        (str(uuid7()), actor, f"write_hold/{hold.id}", reason),
    )
    return True

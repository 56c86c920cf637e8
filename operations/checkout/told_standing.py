"""Where a payment stands at a gateway that cannot be asked: by its last answer, what was asked of it since, and the
latest that it told by webhook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from contracts.checkout import GatewayStep, Noted, Standing
from contracts.connector_call import CallStatus
from storage.calls import CallRow, find_call
from storage.checkouts import CheckoutRow
from storage.database import PgConnection
from storage.vendor_facts import latest_fact


class Told(NamedTuple):
    """What a gateway told of a payment: its `status` by that in the words of connectors, None where nothing was told of
    the charge; what `happened` last; `decline`: why it failed."""

    status: str | None
    happened: str | None
    decline: str | None = None


# Reads the latest that was told of a payment. held: it is known to have been authorised; captures_itself: it was to be
# taken at once.
ReadTold = Callable[[Mapping[str, Any], bool, bool], Told]

COMPLETE = "payment_actions.complete"
# How a modification that was taken ends when it does not end well.
_FAILED = {GatewayStep.VOID: "void_failed", GatewayStep.CAPTURE: "capture_failed"}


def told_standing(
    connection: PgConnection, row: CheckoutRow, read: ReadTold, standings: Mapping[str, Standing]
) -> Noted:
    """How the payment stands. `standings`: by the words of connectors. NOTHING where the gateway has answered nothing
    and told nothing."""
    answer = _answer(connection, row)
    asked = next((step for step in _FAILED if _taken(connection, row, step)), None)
    held = asked is not None or (answer is not None and answer["status"] == "authorized")
    payload = latest_fact(connection, row.mode, row.connection or "", row.gateway_id or "")
    told = Told(None, None) if payload is None else read(payload, held, row.payment["charge"] == "last")
    if told.status is None and answer is None:
        return Noted(standing=Standing.NOTHING)
    decline = (answer or {}).get("decline") or {}
    code = told.decline or (decline.get("code") if told.status is None else None)
    standing = standings[told.status or (answer or {})["status"]]
    if asked is not None and standing is Standing.HELD and told.happened != _FAILED[asked]:
        standing = Standing.PROCESSING
    return Noted(standing=standing, decline=code)


def known_payment(connection: PgConnection, row: CheckoutRow) -> Mapping[str, Any] | None:
    """The payment as the gateway has answered it last."""
    return _answer(connection, row)


def completion_key(row: CheckoutRow) -> str | None:
    """The key of handing in what the customer brought back; None where that is nothing."""
    result = row.payment.get("result")
    return result and f"checkout:{row.id}:complete:{sha256(result.encode()).hexdigest()[:16]}"


def _answer(connection: PgConnection, row: CheckoutRow) -> Mapping[str, Any] | None:
    key = completion_key(row)
    steps = [(COMPLETE, key)] if key else []
    steps += [("payment.charge", f"checkout:{row.id}:{step}") for step in ("authorise", "charge")]
    for method, key in steps:
        call = _call(connection, row, method, key)
        if call is not None and isinstance(call.answer, Mapping):
            return call.answer
    return None


def _taken(connection: PgConnection, row: CheckoutRow, step: GatewayStep) -> bool:
    call = _call(connection, row, f"payment.{step.value}", f"checkout:{row.id}:{step.value}")
    return call is not None and call.status == CallStatus.SUCCEEDED


def _call(connection: PgConnection, row: CheckoutRow, method: str, key: str) -> CallRow | None:
    return find_call(connection, mode=row.mode, to=row.connection or "", method=method, key=key)

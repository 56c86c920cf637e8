"""Sending again what an endpoint has been told, or should have been."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine

from operations.webhooks_out.endpoints import UnknownEndpoint
from operations.webhooks_out.parks import close_parks
from operations.webhooks_out.payload import message_name
from storage.database import PgConnection, transaction
from storage.webhook_messages import send_again, send_failed_again
from storage.webhooks_out import call_endpoints, read_destination

AT_ONCE = 5_000
_SENT_AGAIN = "sent again"


class UnknownMessage(LookupError):
    """The endpoint has no message with this id."""


class EndpointOff(Exception):
    """The endpoint is disabled: nothing is sent to it."""


def resend_message(engine: Engine, endpoint_id: str, message_id: str) -> None:
    """Send one message again from now on, with a schedule of its own; also one that was delivered. Raises
    UnknownEndpoint, UnknownMessage and EndpointOff."""
    with transaction(engine) as connection:
        _require_enabled(connection, endpoint_id)
        if not send_again(connection, endpoint_id, message_id):
            raise UnknownMessage(f"the endpoint has no message {message_id}")
        close_parks(connection, [message_name(message_id)], _SENT_AGAIN)
        call_endpoints(connection, [endpoint_id])


def resend_failed(engine: Engine, endpoint_id: str, since: datetime) -> int:
    """Send all failed messages about events since `since` again, and answer how many; 5,000 in a transaction. Raises
    UnknownEndpoint and EndpointOff."""
    total = 0
    while True:
        with transaction(engine) as connection:
            _require_enabled(connection, endpoint_id)
            again = send_failed_again(connection, endpoint_id, since, AT_ONCE)
            if again:
                close_parks(connection, [message_name(each) for each in again], _SENT_AGAIN)
                call_endpoints(connection, [endpoint_id])
        total += len(again)
        if len(again) < AT_ONCE:
            return total


def _require_enabled(connection: PgConnection, endpoint_id: str) -> None:
    found = read_destination(connection, endpoint_id)
    if found is None or found.status == "deleted":
        raise UnknownEndpoint(f"there is no webhook endpoint {endpoint_id}")
    if found.status != "enabled":
        raise EndpointOff("the endpoint is disabled: enable it first")

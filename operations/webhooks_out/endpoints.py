"""Commands on subscribers' endpoints. Each is one transaction, absolute, and may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Engine
from uuid_utils import uuid7

from contracts.names import webhook_delivery_id
from operations.audit import append_action
from operations.webhooks_out.kinds import checked_kinds
from operations.webhooks_out.parks import close_parks, close_parks_of_endpoint
from operations.webhooks_out.secrets import BOTH_ACTIVE, new_secret, sealed
from operations.webhooks_out.urls import checked_url
from storage.database import PgConnection, transaction
from storage.encryption import Encryption
from storage.events import NewEvent, append_events
from storage.webhooks_out import (
    Destination,
    Endpoint,
    begin_anew,
    change_endpoint,
    endpoint_at,
    find_endpoint,
    insert_endpoint,
    lock_destination,
)

DISABLED_EVENT = "webhook_endpoint.disabled"
_WELL: dict[str, Any] = {"failures": 0, "failing_since": None, "held_until": None}


class UnknownEndpoint(LookupError):
    """There is no endpoint with this id, or it was deleted."""


class EndpointExists(Exception):
    """There is an endpoint at this URL already; `endpoint_id` says which."""

    def __init__(self, endpoint_id: str) -> None:
        super().__init__(f"there is a webhook endpoint at this url already: {endpoint_id}")
        self.endpoint_id = endpoint_id


class RotatedLately(Exception):
    """The secret before still signs, and may be the only one that the receiver knows."""


class EndpointMoved(Exception):
    """The endpoint has another version than whoever asks has seen: `version`."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the version is {version}")
        self.version = version


Allowed = Callable[[int], bool]
"""Whether something may be done to the version that is there."""


class By(NamedTuple):
    """Who acts and why, for the audit table: written in the transaction of what is done."""

    actor: str
    reason: str


class Issued(NamedTuple):
    """An endpoint with the secret that was made for it, which is shown this once."""

    endpoint: Endpoint
    secret: str

    def __repr__(self) -> str:
        return f"Issued({self.endpoint.id})"


def add_endpoint(
    engine: Engine,
    encryption: Encryption,
    *,
    url: str,
    kinds: Sequence[str],
    description: str = "",
    mode: str = "live",
    allow_loopback: bool = False,
    by: By | None = None,
) -> Issued:
    """Add an endpoint. It is told of events from now on.

    Raises BadUrl, BadKinds, EndpointExists, and SecretKeyError where no key is set.
    """
    checked = checked_url(url, allow_loopback=allow_loopback), checked_kinds(kinds)
    endpoint_id, secret = str(uuid7()), new_secret()
    stored = sealed(encryption, secret, endpoint_id)
    with transaction(engine) as connection:
        if not insert_endpoint(
            connection,
            endpoint_id,
            mode=mode,
            url=checked[0],
            kinds=checked[1],
            description=description,
            secret=stored,
        ):
            raise EndpointExists(endpoint_at(connection, mode, url) or "")
        _audit(connection, by, "add", endpoint_id)
        return Issued(_shown(connection, endpoint_id), secret)


def change(
    engine: Engine,
    endpoint_id: str,
    *,
    url: str | None = None,
    kinds: Sequence[str] | None = None,
    description: str | None = None,
    allow_loopback: bool = False,
    allowed: Allowed | None = None,
    by: By | None = None,
) -> Endpoint:
    """Change what is given. What waits is sent to the new URL, of which nothing bad is known; new kinds are those of
    events from now on.

    Raises UnknownEndpoint, EndpointMoved, BadUrl, BadKinds and EndpointExists.
    """
    columns: dict[str, Any] = {}
    if url is not None:
        columns["url"] = checked_url(url, allow_loopback=allow_loopback)
    if kinds is not None:
        columns["kinds"] = list(checked_kinds(kinds))
    if description is not None:
        columns["description"] = description
    with transaction(engine) as connection:
        at = _locked(connection, endpoint_id, allowed)
        if url is not None and (other := endpoint_at(connection, at.mode, url)) not in (None, endpoint_id):
            raise EndpointExists(other or "")
        if url is not None and url != at.url:
            columns |= _WELL
        change_endpoint(connection, endpoint_id, columns)
        _audit(connection, by, "change", endpoint_id)
        return _shown(connection, endpoint_id)


def rotate_secret(
    engine: Engine,
    encryption: Encryption,
    endpoint_id: str,
    now: datetime,
    *,
    force: bool = False,
    allowed: Allowed | None = None,
    by: By | None = None,
) -> Issued:
    """Give the endpoint a new secret; the one before signs beside it for 24 h. In that time a second rotation, also a
    repeated first one, would end the secret that the receiver knows: it needs `force`.

    Raises UnknownEndpoint, EndpointMoved, RotatedLately and SecretKeyError.
    """
    secret = new_secret()
    stored = sealed(encryption, secret, endpoint_id)
    with transaction(engine) as connection:
        before = _locked(connection, endpoint_id, allowed)
        until = before.previous_secret_until
        if until is not None and now < until and not force:
            hours = int((now - until + BOTH_ACTIVE) / timedelta(hours=1))
            raise RotatedLately(
                f"the secret was rotated {hours} hours ago, and the one before still signs: it would end at once, "
                "though the receiver may know no other. Use force where that is meant"
            )
        change_endpoint(
            connection,
            endpoint_id,
            {
                "secret": stored,
                "previous_secret": before.secret,
                "previous_secret_until": now + BOTH_ACTIVE,
            },
        )
        _audit(connection, by, "rotate-secret", endpoint_id)
        return Issued(_shown(connection, endpoint_id), secret)


def disable(
    engine: Engine, endpoint_id: str, reason: str, *, allowed: Allowed | None = None, by: By | None = None
) -> Endpoint:
    """Send it nothing more. What waits becomes failed and can be sent again later; events that happen meanwhile are
    not kept for it. Raises UnknownEndpoint and EndpointMoved."""
    with transaction(engine) as connection:
        if _locked(connection, endpoint_id, allowed).status != "disabled":
            switch_off(connection, endpoint_id, reason)
        _audit(connection, by, "disable", endpoint_id)
        return _shown(connection, endpoint_id)


def switch_off(connection: PgConnection, endpoint_id: str, reason: str) -> None:
    """Disable a locked endpoint in the caller's transaction, and tell of it in the event log."""
    version = change_endpoint(connection, endpoint_id, {"status": "disabled", "disabled_reason": reason})
    append_events(connection, [NewEvent(DISABLED_EVENT, None, endpoint_id, version)])


def enable(
    engine: Engine, endpoint_id: str, *, allowed: Allowed | None = None, by: By | None = None
) -> Endpoint:
    """Tell it of events again, from now on. Raises UnknownEndpoint and EndpointMoved."""
    with transaction(engine) as connection:
        if _locked(connection, endpoint_id, allowed).status == "disabled":
            change_endpoint(connection, endpoint_id, {"status": "enabled", "disabled_reason": None, **_WELL})
            begin_anew(connection, endpoint_id)
            close_parks(connection, [webhook_delivery_id(endpoint_id)], "enabled again")
        _audit(connection, by, "enable", endpoint_id)
        return _shown(connection, endpoint_id)


def delete(engine: Engine, endpoint_id: str, *, allowed: Allowed | None = None, by: By | None = None) -> None:
    """Remove the endpoint and its secrets; the log of what it was told stays for as long as others' does. Raises
    UnknownEndpoint and EndpointMoved."""
    with transaction(engine) as connection:
        _locked(connection, endpoint_id, allowed)
        change_endpoint(
            connection,
            endpoint_id,
            {
                "status": "deleted",
                "disabled_reason": None,
                "secret": b"",
                "previous_secret": None,
                "previous_secret_until": None,
            },
        )
        close_parks_of_endpoint(connection, endpoint_id, "the endpoint was deleted")
        _audit(connection, by, "delete", endpoint_id)


def _audit(connection: PgConnection, by: By | None, action: str, endpoint_id: str) -> None:
    if by is not None:
        append_action(
            connection,
            key=str(uuid7()),
            actor=by.actor,
            action=f"webhooks-out.{action}",
            subject=webhook_delivery_id(endpoint_id),
            reason=by.reason,
        )


def _locked(connection: PgConnection, endpoint_id: str, allowed: Allowed | None = None) -> Destination:
    found = lock_destination(connection, endpoint_id)
    if found is None or found.status == "deleted":
        raise UnknownEndpoint(f"there is no webhook endpoint {endpoint_id}")
    if allowed is not None and not allowed(found.version):
        raise EndpointMoved(found.version)
    return found


def _shown(connection: PgConnection, endpoint_id: str) -> Endpoint:
    found = find_endpoint(connection, endpoint_id)
    if found is None:
        raise UnknownEndpoint(f"there is no webhook endpoint {endpoint_id}")
    return found

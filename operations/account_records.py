"""Accounts and the people behind them: opened, and changed in what is no matter of billing dates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from uuid_utils import uuid7

from operations.audit import append_action
from operations.fulfilment.elsewhere import send_elsewhere
from storage.account_records import (
    find_account,
    id_of_key,
    insert_account,
    tax_region_exists,
    update_account,
    write_person,
)
from storage.database import PgConnection
from storage.events import NewEvent, append_events
from storage.sight import EVERYTHING, Sight

# What a key of one account may change of it: nothing that its taxes or its terms depend on.
OWN_TO_CHANGE = frozenset({"locale"})


class UnknownAccount(LookupError):
    """There is no such account, or none that the caller may see."""


class AccountExists(Exception):
    """There is an account with that external key already; `account_id` says which."""

    def __init__(self, account_id: str) -> None:
        super().__init__(f"there is an account with this external key already: {account_id}")
        self.account_id = account_id


class VersionMoved(Exception):
    """The account has another version than the caller has seen: `version`."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the version is {version}")
        self.version = version


class AccountRefused(ValueError):
    """A value that an account cannot have. `kind` is machine-readable; the message says which and why."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class AccountTerms:
    """An account as it is opened. `payment_terms_days`: days from an invoice's day to its due day."""

    external_key: str
    mode: str
    currency: str
    time_zone: str
    locale: str
    bill_cycle_day: int | None
    tax_region: str | None
    tax_exempt: bool
    payment_terms_days: int


@dataclass(frozen=True)
class AccountChanges:
    """What shall be different, by column: of the account, and of the person behind it (None erases there)."""

    account: Mapping[str, Any] = field(default_factory=dict)
    person: Mapping[str, Any] = field(default_factory=dict)


def open_account(
    connection: PgConnection, terms: AccountTerms, person: Mapping[str, Any], *, actor: str
) -> dict[str, Any]:
    """Open an account, with its event and audit row; answers it as `find_account` does. Raises AccountExists and
    AccountRefused."""
    check_zone(connection, terms.time_zone)
    check_region(connection, terms.tax_region)
    account_id = insert_account(connection, {"id": str(uuid7()), **vars(terms)})
    if account_id is None:
        raise AccountExists(id_of_key(connection, terms.mode, terms.external_key) or "")
    given = {name: value for name, value in person.items() if value is not None}
    if given:
        write_person(connection, account_id, given)
    append_events(connection, [NewEvent("account.created", account_id, account_id, 1)])
    _audit(connection, "create", account_id, 1, actor, "opened over the API")
    return _read(connection, account_id)


def amend_account(
    connection: PgConnection,
    sight: Sight,
    account_id: str,
    changes: AccountChanges,
    *,
    allowed: Callable[[int], bool],
    now: datetime,
    actor: str,
) -> dict[str, Any]:
    """Bring an account to what `changes` say, if its version is `allowed`; what is so already changes nothing. Contact
    data that another system tells of as older than `now` no longer counts.

    Raises UnknownAccount, VersionMoved and AccountRefused.
    """
    before = find_account(connection, sight, account_id, lock=True)
    if before is None:
        raise UnknownAccount(f"there is no account {account_id}")
    if not allowed(before["version"]):
        raise VersionMoved(before["version"])
    account = {name: value for name, value in changes.account.items() if before[name] != value}
    person = {name: value for name, value in changes.person.items() if before["person"][name] != value}
    if not account and not person:
        return before
    if sight.account_id is not None and not account.keys() <= OWN_TO_CHANGE:
        raise AccountRefused(
            "not_for_account_keys",
            f"a key of one account cannot change its {min(account.keys() - OWN_TO_CHANGE)}",
        )
    check_region(connection, account.get("tax_region"))
    if person:
        write_person(connection, account_id, {**person, "contact_told_at": now})
        send_elsewhere(connection, account_id, now)
    version = update_account(connection, account_id, account)
    append_events(connection, [NewEvent("account.changed", account_id, account_id, version)])
    what = ", ".join(sorted([*account, *person]))
    _audit(connection, "change", account_id, version, actor, f"changed over the API: {what}")
    return _read(connection, account_id)


def check_zone(connection: PgConnection, zone: str) -> None:
    """Raises AccountRefused for a time zone that the database does not know."""
    # Statements for many accounts ask the database for local dates: one zone that it has not would fail them all.
    try:
        with connection.transaction():
            connection.execute("select now() at time zone %s", (zone,))
    except psycopg.errors.InvalidParameterValue:
        raise AccountRefused(
            "no_such_time_zone", f"the database knows no time zone {zone!r}; write it like Europe/Berlin"
        ) from None


def check_region(connection: PgConnection, region: str | None) -> None:
    """Raises AccountRefused for a tax region without rates in the catalog."""
    if region is not None and not tax_region_exists(connection, region):
        raise AccountRefused(
            "no_such_tax_region",
            f"the catalog's tax table has no region {region!r}; add its rates (0 where none is due), or leave it empty "
            "for accounts that are not taxed",
        )


def _read(connection: PgConnection, account_id: str) -> dict[str, Any]:
    found = find_account(connection, EVERYTHING, account_id)
    if found is None:
        raise RuntimeError("the account just written cannot be read")
    return found


def _audit(
    connection: PgConnection, action: str, account_id: str, version: int, actor: str, reason: str
) -> None:
    append_action(
        connection,
        key=f"account/{account_id}/{version}/{action}",
        actor=actor,
        action=f"account.{action}",
        subject=f"account/{account_id}",
        reason=reason,
    )

"""Trying again what failed: the accounts whose day has come, and those that gave another payment method."""

from __future__ import annotations

from datetime import datetime

from operations.charges.begin import Ask, Beginning, begin
from operations.tariffs import Tariff
from storage.database import PgConnection
from storage.dunning import retry_accounts


def retries_due(connection: PgConnection, as_of: datetime) -> list[str]:
    """Accounts whose payment method is to be tried again by `as_of` (the day of the policy at its preferred hour), in
    the order of their ids; those with a charge whose end is not known are left out."""
    return retry_accounts(connection, as_of)


def has_new_method(connection: PgConnection, account_id: str) -> bool:
    """Whether the account gave a payment method, or the gateway told of a new card behind one, after its last charge
    failed, and nothing was charged since."""
    row = connection.execute(
        """
        select exists (
            select from payment_method m
            where m.account_id = %(account)s and m.is_default and m.retired_at is null
              and greatest(m.added_at, m.renewed_at) > (select max(c.ended_at) from charge c
                                where c.account_id = %(account)s and c.status = 'failed'))
          and not exists (select from charge c where c.account_id = %(account)s and c.ended_at is null)
        """,
        {"account": account_id},
    ).fetchone()
    return row is not None and bool(row[0])


def begin_again(connection: PgConnection, tariff: Tariff, account_id: str, now: datetime) -> Beginning:
    """Begin a charge of what the account owes at once, whatever the day of its next retry: a new charge, with a key of
    its own. In the caller's transaction; see `begin`."""
    return begin(connection, tariff, [account_id], Ask(now, heed_retries=False))

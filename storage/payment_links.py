"""The rows of links to the page on which a customer pays."""

from __future__ import annotations

from typing import NamedTuple

from storage.database import PgConnection


class LinkedAccount(NamedTuple):
    """Whose page a link leads to. expired: it leads there no more."""

    account_id: str
    expired: bool


def keep_payment_link(connection: PgConnection, token_hash: bytes, account_id: str, days: int) -> None:
    """Let the link with that token lead to the account's page for `days` from now."""
    connection.execute(
        "insert into payment_link (token_hash, account_id, expires_at)"
        " values (%s, %s, clock_timestamp() + make_interval(days => %s)) on conflict do nothing",
        (token_hash, account_id, days),
    )


def forget_old_links(connection: PgConnection) -> int:
    """Delete links that have led nowhere for 90 days: they are answered as unknown from then on. How many."""
    return connection.execute(
        "delete from payment_link where expires_at < clock_timestamp() - interval '90 days'"
    ).rowcount


def linked_account(connection: PgConnection, token_hash: bytes) -> LinkedAccount | None:
    """Whose page the link with that token leads to; None for a token that is nobody's."""
    row = connection.execute(
        "select account_id::text, expires_at <= clock_timestamp() from payment_link where token_hash = %s",
        (token_hash,),
    ).fetchone()
    return LinkedAccount(*row) if row else None

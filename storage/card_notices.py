"""Payers whose card on file expires soon: told once for each card and month, by one statement."""

from __future__ import annotations

from datetime import date, timedelta

from storage.database import PgConnection

BEFORE = timedelta(days=30)

# The card that is charged, of accounts that something will be charged of.
_TELL = """
    with due as (
        select m.id, m.account_id, m.expires_on from payment_method m
        where m.retired_at is null and m.is_default and m.expires_on > %(today)s
          and m.expires_on <= %(today)s + %(before)s
          and exists (select from subscription s where s.account_id = m.account_id
                      and s.status in ('trialing', 'active', 'past_due', 'paused'))),
    fresh as (
        insert into card_notice (payment_method_id, expires_on) select id, expires_on from due
        on conflict do nothing returning payment_method_id)
    insert into event_log (kind, account_id, subject_id, version)
    select 'notice.card-expiring', d.account_id, d.id,
           (extract(year from d.expires_on) * 100 + extract(month from d.expires_on))::integer
    from due d join fresh f on f.payment_method_id = d.id
"""


def tell_expiring_cards(connection: PgConnection, today: date) -> int:
    """Tell of the cards that expire within 30 days of `today` and were not told of for that month; how many."""
    return connection.execute(_TELL.encode(), {"today": today, "before": BEFORE}).rowcount

"""Notices of renewals that nothing else looks at: a yearly subscription that is quiet has no episode, and no date but
its next bill."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine

from contracts.subscription import EpisodeRef
from operations.dispatch import Refused, park_follow_ups
from operations.follow_ups.carrying import ProvisionerOf, carry_out_follow_ups
from operations.subscriptions import read_standing
from operations.tariffs import Tariff
from storage.database import transaction

# Those of which the notice is due and not written: what `domain.account.follow_ups` demands of them, by their rows.
_DUE = """
    with notice as (select * from unnest(%(books)s::text[], %(days)s::int[]) as n(book, days))
    select s.id::text, s.account_id::text
    from subscription s join account a on a.id = s.account_id join notice n on n.book is not distinct from a.rule_book,
    lateral (select (%(now)s at time zone a.time_zone)::date as today) d
    where s.mode = 'live' and (%(after)s::uuid is null or s.id > %(after)s::uuid)
      and s.status in ('draft', 'trialing', 'active', 'past_due')
      and (s.interval_unit = 'year' or s.interval_unit = 'month' and s.interval_count >= 12
           or s.interval_unit = 'week' and s.interval_count >= 52
           or s.interval_unit = 'day' and s.interval_count >= 365)
      and s.charged_through > d.today and s.charged_through <= d.today + n.days
      and s.charged_through > coalesce(s.trial_ends_on, s.starts_on)
      and (s.ends_on is null or s.ends_on > s.charged_through)
      and not exists (select from follow_up f where f.subscription_id = s.id
                      and f.key = 'renewal-notice/' || to_char(s.charged_through, 'YYYY-MM-DD'))
    order by s.id limit %(limit)s
"""


def renewals_to_tell(
    engine: Engine, tariff: Tariff, now: datetime, *, after: str | None, limit: int
) -> list[EpisodeRef]:
    """Up to `limit` live subscriptions, in the order of their ids behind `after`, that renew so soon that their payers
    are to be told, as the policy of each says, and of which nobody has taken note."""
    policies = [(name, tariff.rules(name).policy.notices) for name in (None, *tariff.rule_books)]
    books = [(name, policy.renewal_days) for name, policy in policies if policy.renewal_days is not None]
    with transaction(engine) as connection:
        rows = connection.execute(
            _DUE.encode(),
            {
                "books": [name for name, _ in books],
                "days": [count for _, count in books],
                "now": now,
                "after": after,
                "limit": limit,
            },
        ).fetchall()
    return [EpisodeRef(subscription, account) for subscription, account in rows]


def tell_of_renewal(
    engine: Engine, tariff: Tariff, ref: EpisodeRef, now: datetime, provisioner: ProvisionerOf
) -> None:
    """Write down what the subscription demands at `now`, each thing once, and carry out what is due of it, without an
    episode. Where that fails, the follow-up is parked, and tried again from there."""
    try:
        read_standing(engine, ref.subscription_id, now, tariff)
        carry_out_follow_ups(engine, ref.subscription_id, now, provisioner)
    except Exception as error:  # whatever is wrong with one account must not keep the others from being told
        with transaction(engine) as connection:
            park_follow_ups(connection, [Refused(ref, type(error).__name__, str(error))])

"""Which days of a subscription item are charged, and which should be (law I13): of accounts to which nothing but plain
bills has happened. What credits, pauses and changes make of the others is for `domain.account.laws` to say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from storage.copying import id_array
from storage.database import PgConnection


class Span(NamedTuple):
    """A charged span, `end` exclusive. `complete` says that each price and part of one phase is charged for it, once;
    `invoices` names where."""

    start: date | None
    end: date | None
    complete: bool
    invoices: str


class ItemCover(NamedTuple):
    """An item whose charges in advance, or those in arrears (`in_arrears`), do not fit. It should be charged from
    `since` until `until`, every day if `always`; never where the two are one day, and not at all by a plan without such
    prices (`priced`)."""

    item_id: str
    account: str
    subscription: str
    plan: str
    in_arrears: bool
    since: date
    until: date
    always: bool
    priced: bool
    spans: list[Span]


_ARREARS = "coalesce(c ->> 'billed', 'advance') = 'arrears'"

# The recurring charges of a phase, those in advance and those in arrears apart, each with a place of its own, so that
# a span's charges can be told to be all of them by one bit each.
_SLOT = f"""
    select d.*, row_number() over (charges order by price_id, product) - 1 as place, count(*) over charges as wanted,
           dense_rank() over (order by version_id, phase, currency, in_arrears) as group_no
    from (
        select distinct p.id as price_id, p.plan_version_id as version_id, p.phase, p.currency, part.product,
               {_ARREARS} as in_arrears
        from price p join plan_version v on v.id = p.plan_version_id join plan on plan.code = v.plan_code
        cross join lateral jsonb_array_elements(v.definition -> 'phases') h
        cross join lateral jsonb_array_elements(h -> 'prices') c
        cross join lateral (
            select t ->> 'product' as product from jsonb_array_elements(c -> 'parts') t
            union all
            select coalesce(c ->> 'product', plan.product_code) where jsonb_array_length(c -> 'parts') = 0) part
        where h ->> 'kind' = p.phase and c ->> 'code' = p.code and c ->> 'type' = 'recurring') d
    window charges as (partition by version_id, phase, currency, in_arrears)
"""

# A plan whose phases all charge something in advance, in the version held and in those that renewal leads to, owes
# every day in advance, and likewise in arrears; one that does in some phases only is looked at for double charges.
_PLAN = f"""
    select v.plan_code, v.version, b.in_arrears, bool_and(b.charged) as always, bool_or(b.charged) as sometimes
    from plan_version v join plan_version w on w.plan_code = v.plan_code
         and (w.version = v.version or (w.version > v.version and w.definition ->> 'applies_to' = 'renewal'))
    cross join lateral jsonb_array_elements(w.definition -> 'phases') h
    cross join lateral (
        select way.in_arrears, exists (
            select from jsonb_array_elements(h -> 'prices') c
            where c ->> 'type' = 'recurring' and ({_ARREARS}) = way.in_arrears) as charged
        from (values (false), (true)) way(in_arrears)) b
    where h ->> 'kind' <> 'trial'
    group by v.plan_code, v.version, b.in_arrears
"""

# The price alone says whether a line is in arrears, for its part may be wrong; one of an unknown price is not.
_SPAN = """
    select l.item_id, coalesce(l.price_id in (select price_id from slot where in_arrears), false) as in_arrears,
           l.period_start as starts, l.period_end as ends,
           coalesce(count(s.place) = count(*) and min(s.wanted) = count(*) and min(s.group_no) = max(s.group_no)
               and bit_or(1::bigint << s.place::int) = (1::bigint << min(s.wanted)::int) - 1
               and min(l.period_start) < min(l.period_end), false) as complete{more}
    from invoice_line l left join slot s on s.price_id = l.price_id and s.product = l.part{join}
    where l.kind = 'recurring' and l.voided_at is null and {condition}
    group by 1, 2, 3, 4
"""

# What is charged in arrears reaches as far as billing came, but never past the end, which a bill may come after.
_ITEMS = """
    select i.id, i.subscription_id, i.plan_code, p.in_arrears, p.always, p.sometimes,
           greatest(i.starts_on, s.opening_on) as since,
           case when p.in_arrears then least(s.arrears_through, i.ends_on, s.ends_on)
                else least(s.charged_through, i.ends_on) end as until
    from subscription_item i join subscription s on s.id = i.subscription_id
    join account a on a.id = s.account_id and not a.known_whole
    join plan_terms p on p.plan_code = i.plan_code and p.version = i.plan_version
"""

_MISFITS = f"""
    with slot as materialized ({_SLOT}), plan_terms as materialized ({_PLAN}),
    charged as (
        select item_id, in_arrears, bool_and(complete) as complete, sum(ends - starts) as length,
               range_agg(case when starts < ends then daterange(starts, ends) end) as days
        from ({_SPAN.format(condition="true", more="", join="")}) span group by item_id, in_arrears),
    item as (select *, case when sometimes and since < until then datemultirange(daterange(since, until))
                            else '{{}}' end as due
             from ({_ITEMS}) i)
    select i.id, i.subscription_id, i.plan_code, i.in_arrears, i.since, i.until, i.always, i.sometimes,
           count(*) over () as misfits
    from item i left join charged c on c.item_id = i.id and c.in_arrears = i.in_arrears
    where (i.sometimes or c.item_id is not null)
      and (not coalesce(c.complete, true)
           or coalesce(c.length, 0) <> coalesce((select sum(upper(r) - lower(r)) from unnest(c.days) r), 0)
           or not coalesce(c.days, '{{}}') <@ i.due
           or (i.always and coalesce(c.days, '{{}}') <> i.due))
    order by i.subscription_id, i.id, i.in_arrears limit %s
"""


def items_charged(connection: PgConnection) -> tuple[int, int]:
    """(items with recurring prices, those of them whose plan charges in some phases only, in advance or in arrears)."""
    row = connection.execute(
        f"""
        with plan_terms as ({_PLAN})
        select count(*), count(*) filter (where p.partly)
        from subscription_item i join subscription s on s.id = i.subscription_id
        join account a on a.id = s.account_id and not a.known_whole
        join (select plan_code, version, bool_or(sometimes and not always) as partly from plan_terms where sometimes
              group by plan_code, version) p on p.plan_code = i.plan_code and p.version = i.plan_version
        """.encode()
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def misfits(connection: PgConnection, limit: int) -> tuple[int, list[ItemCover]]:
    """How often an item is not charged exactly once for each of its days, in advance and in arrears by themselves, and
    the first `limit` with their spans."""
    rows = connection.execute(_MISFITS.encode(), (limit,)).fetchall()
    if not rows:
        return 0, []
    names = _names(connection, [str(row[1]) for row in rows])
    spans = _spans(connection, [str(row[0]) for row in rows])
    covers = [
        ItemCover(
            str(item),
            *names[str(subscription)],
            plan,
            in_arrears,
            since,
            until,
            always,
            priced,
            spans.get((str(item), in_arrears), []),
        )
        for item, subscription, plan, in_arrears, since, until, always, priced, _ in rows
    ]
    return int(rows[0][-1]), covers


def _names(connection: PgConnection, subscriptions: Sequence[str]) -> dict[str, tuple[str, str]]:
    rows = connection.execute(
        "select s.id::text, coalesce(a.external_key, s.account_id::text), s.external_key from subscription s"
        " left join account a on a.id = s.account_id where s.id = any(%s::uuid[])",
        (id_array(subscriptions),),
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def _spans(connection: PgConnection, items: Sequence[str]) -> dict[tuple[str, bool], list[Span]]:
    found: dict[tuple[str, bool], list[Span]] = {}
    spans = _SPAN.format(
        condition="l.item_id = any(%s::uuid[])",
        join=" left join invoice v on v.id = l.invoice_id",
        more=", string_agg(distinct coalesce(v.series || '-' || v.number, l.invoice_id::text), ', ') as invoices",
    )
    rows = connection.execute(
        f"""
        with slot as ({_SLOT})
        select item_id::text, in_arrears, starts, ends, complete, invoices from ({spans}) n
        order by item_id, in_arrears, starts, ends
        """.encode(),
        (id_array(items),),
    )
    for item, in_arrears, start, end, complete, invoices in rows:
        found.setdefault((item, in_arrears), []).append(Span(start, end, complete, invoices or "?"))
    return found

"""The statements behind the states: one for each kind, from subjects to (subject, account, JSON)."""

from __future__ import annotations

_ITEMS = """
    coalesce((select jsonb_agg(jsonb_build_object('plan', i.plan_code, 'plan_name', p.name, 'product', p.product_code,
               'version', i.plan_version, 'quantity', trim_scale(i.quantity)::text, 'starts_on', i.starts_on,
               'ends_on', i.ends_on) order by i.starts_on, i.id)
        from subscription_item i join plan p on p.code = i.plan_code where i.subscription_id = s.id), '[]')
"""
_SUBSCRIPTION = f"""
    jsonb_build_object('id', s.id, 'key', s.external_key, 'status', s.status, 'starts_on', s.starts_on,
        'trial_ends_on', s.trial_ends_on, 'ends_on', s.ends_on, 'charged_through', s.charged_through,
        'next_bill_on', s.next_bill_on, 'version', s.version, 'items', {_ITEMS},
        'plan', (select i.plan_code from subscription_item i where i.subscription_id = s.id
                 order by i.starts_on desc, i.id desc limit 1))
"""
_PERSON = """
    jsonb_build_object('name', h.name, 'email', h.email, 'consent', h.consent,
        'address', jsonb_build_object('line1', h.address->>'line1', 'line2', h.address->>'line2',
            'city', h.address->>'city', 'region', h.address->>'region', 'postal_code', h.address->>'postal_code',
            'country', h.address->>'country'))
"""
_ACCOUNT_PART = f"""
    jsonb_build_object('id', a.id, 'key', a.external_key, 'locale', a.locale, 'time_zone', a.time_zone,
        'person', {_PERSON})
"""
_OVER = "('canceled', 'expired')"

_ACCOUNT = f"""
    select a.id::text, a.id::text, jsonb_build_object('id', a.id, 'key', a.external_key, 'mode', a.mode,
        'currency', a.currency, 'time_zone', a.time_zone, 'locale', a.locale,
        'created_at', to_char(a.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'person', {_PERSON},
        'status', coalesce(own.status, 'none'), 'plans', coalesce(has.plans, '[]'),
        'products', coalesce(has.products, '[]'),
        'balance', coalesce((select sum(i.balance) from invoice i where i.account_id = a.id and i.status = 'open'), 0),
        'subscriptions', coalesce(own.subscriptions, '[]'), 'version', a.version + coalesce(own.versions, 0))
    from account a
    left join person h on h.account_id = a.id
    left join lateral (
        select jsonb_agg({_SUBSCRIPTION} order by s.id) as subscriptions, sum(s.version) as versions,
               (array_agg(s.status order by array_position(array['active', 'trialing', 'past_due', 'paused', 'draft',
                    'canceled', 'expired'], s.status)))[1] as status
        from subscription s where s.account_id = a.id) own on true
    left join lateral (
        select jsonb_agg(distinct i.plan_code) as plans, jsonb_agg(distinct p.product_code) as products
        from subscription s join subscription_item i on i.subscription_id = s.id join plan p on p.code = i.plan_code
        where s.account_id = a.id and s.status not in {_OVER}) has on true
    where a.id = any(%(ids)s::uuid[])
"""

_SUBSCRIPTIONS = f"""
    select s.id::text, a.id::text, {_SUBSCRIPTION} || jsonb_build_object('mode', s.mode, 'currency', a.currency,
        'products', coalesce((select jsonb_agg(distinct p.product_code) from subscription_item i
            join plan p on p.code = i.plan_code where i.subscription_id = s.id), '[]'),
        'account', {_ACCOUNT_PART}, 'version', s.version + a.version)
    from subscription s join account a on a.id = s.account_id left join person h on h.account_id = a.id
    where s.id = any(%(ids)s::uuid[])
"""

_INVOICES = f"""
    select v.id::text, a.id::text, jsonb_build_object('id', v.id, 'reference', v.series || '-' || v.number,
        'mode', v.mode, 'currency', v.currency, 'issued_on', v.issued_on, 'due_on', v.due_on, 'status', v.status,
        'subtotal', v.subtotal, 'tax', v.tax, 'total', v.total, 'balance', v.balance, 'version', 1,
        'account', {_ACCOUNT_PART},
        'lines', coalesce((select jsonb_agg(jsonb_build_object('no', l.no, 'kind', l.kind, 'amount', l.amount,
                'quantity', trim_scale(l.quantity)::text, 'plan', i.plan_code, 'product', p.product_code,
                'period_start', l.period_start, 'period_end', l.period_end) order by l.no)
            from invoice_line l left join subscription_item i on i.id = l.item_id
            left join plan p on p.code = i.plan_code where l.invoice_id = v.id), '[]'))
    from invoice v join account a on a.id = v.account_id left join person h on h.account_id = a.id
    where v.id = any(%(ids)s::uuid[])
"""

_PRODUCTS = """
    select p.code, null, jsonb_build_object('key', p.code, 'name', p.name, 'product', o.code, 'product_name', o.name,
        'tax_category', o.tax_category, 'mode', null, 'effective_on', v.effective_on, 'version', v.version,
        'interval_unit', v.definition->'interval'->>'unit',
        'interval_count', coalesce((v.definition->'interval'->>'count')::int, 1),
        'prices', coalesce((select jsonb_agg(jsonb_build_object('code', r->>'code', 'type', r->>'type',
                'currency', m.key, 'amount', m.value) order by r->>'code', m.key)
            from jsonb_array_elements(v.definition->'phases') f, jsonb_array_elements(f->'prices') r,
                 jsonb_each_text(coalesce(r->'amounts', '{}')) m
            where f->>'kind' = 'evergreen'), '[]'))
    from plan p join product o on o.code = p.product_code
    join lateral (select version, effective_on, definition from plan_version where plan_code = p.code
                  order by version desc limit 1) v on true
    where p.code = any(%(ids)s)
"""

LOAD = {
    "account": _ACCOUNT,
    "subscription": _SUBSCRIPTIONS,
    "invoice": _INVOICES,
    "product": _PRODUCTS,
}

# From the subjects of events that tell of something wider to those of the state.
EXPAND = {
    "subscription": "select id::text from subscription where account_id = any(%(ids)s::uuid[]) order by id",
    "product": "select code from plan where %(ids)s::text[] <> '{}' order by code",
}

"""The references that no foreign key holds, as checks, and the guards that keep referred rows in place."""

from __future__ import annotations

from storage.books import Check

REFERENCES: tuple[Check, ...] = (
    Check(
        "references",
        """
        select i.mode, i.series, i.number, i.account_id, coalesce(a.mode, 'missing') as found
        from invoice i left join account a on a.id = i.account_id where a.mode is distinct from i.mode
        """,
        "invoice {series}-{number} ({mode})",
        "its account {account_id} is {found}",
    ),
    Check(
        "references",
        """
        select i.mode, i.series, i.number, i.bill_run_id from invoice i
        where i.bill_run_id is not null and not exists (select from bill_run r where r.id = i.bill_run_id)
        """,
        "invoice {series}-{number} ({mode})",
        "its bill run {bill_run_id} is missing",
    ),
    Check(
        "references",
        """
        select i.mode, i.series, i.number, l.no, l.kind, coalesce(l.item_id::text, 'none') as item,
               case when s.id is null then 'missing'
                    else 'in a subscription of account ' || s.account_id end as found
        from invoice_line l join invoice i on i.id = l.invoice_id
        left join subscription_item t on t.id = l.item_id left join subscription s on s.id = t.subscription_id
        where (l.item_id is not null or l.kind in ('recurring', 'usage', 'minimum'))
          and s.account_id is distinct from i.account_id
          and not exists (select from invoice_line g join invoice h on h.id = g.invoice_id
                          where h.account_id = i.account_id and g.kind = 'gift' and g.item_id = l.item_id)
        """,
        "invoice {series}-{number} ({mode}), line {no}",
        "a {kind} line of subscription item {item}, which is {found}",
    ),
    Check(
        "references",
        """
        select i.mode, i.series, i.number, l.no, l.kind, coalesce(l.price_id::text, 'none') as price,
               case when p.id is null then 'missing'
                    else format('in %s and of plan %s', p.currency, v.plan_code) end as found
        from invoice_line l join invoice i on i.id = l.invoice_id
        left join subscription_item t on t.id = l.item_id
        left join price p on p.id = l.price_id left join plan_version v on v.id = p.plan_version_id
        where (l.price_id is not null or l.kind in ('recurring', 'usage', 'minimum'))
          and (p.currency is distinct from i.currency or v.plan_code <> t.plan_code)
        """,
        "invoice {series}-{number} ({mode}), line {no}",
        "a {kind} line of price {price}, which is {found}",
    ),
    Check(
        "references",
        """
        select e.id::text as entry,
               case when i.id is null then 'is an invoice''s, and the invoice is missing'
                    else format('differs from invoice %s-%s in mode, currency or day', i.series, i.number) end
                   as problem
        from journal_entry e left join invoice i on i.id = e.id
        where e.kind = 'invoice'
          and (e.mode, e.currency, e.posted_on) is distinct from (i.mode, i.currency, i.issued_on)
        """,
        "journal entry {entry}",
        "{problem}",
    ),
    Check(
        "references",
        """
        select i.mode, i.series, i.number, i.currency, i.total as total_minor from invoice i
        where (i.subtotal <> 0 or i.tax <> 0)
          and not exists (select from journal_entry e where e.id = i.id and e.kind = 'invoice')
        """,
        "invoice {series}-{number} ({mode})",
        "of {total_minor} has no journal entry",
    ),
    Check(
        "references",
        """
        select i.mode, i.series, i.number, i.currency, i.total as total_minor, i.tax as tax_minor,
               p.receivable as receivable_minor, p.tax as payable_minor
        from invoice i join journal_entry e on e.id = i.id and e.kind = 'invoice' join (
            select entry_id,
                   coalesce(sum(debit - credit) filter (where ledger_account = 'accounts_receivable'), 0) as receivable,
                   coalesce(sum(credit - debit) filter (where ledger_account = 'tax_payable'), 0) as tax
            from journal_line group by entry_id) p on p.entry_id = i.id
        where i.total <> p.receivable or i.tax <> p.tax
        """,
        "invoice {series}-{number} ({mode})",
        "says {total_minor} with tax of {tax_minor}; its journal entry says {receivable_minor} with tax of"
        " {payable_minor}",
    ),
    Check(
        "references",
        """
        select g.mode, g.id as grant_id, g.account_id, coalesce(a.mode, 'missing') as found
        from entitlement_grant g left join account a on a.id = g.account_id where a.mode is distinct from g.mode
        """,
        "grant {grant_id} ({mode})",
        "its account {account_id} is {found}",
    ),
    Check(
        "references",
        """
        select g.mode, g.id as grant_id, g.source_id, case when s.id is null then 'missing'
                   else 'of account ' || s.account_id end as found
        from entitlement_grant g left join subscription s on s.id = g.source_id
        where g.source_kind = 'subscription' and s.account_id is distinct from g.account_id
        """,
        "grant {grant_id} ({mode})",
        "its subscription {source_id} is {found}",
    ),
    Check(
        "references",
        """
        select w.name, w.relation from unnest(array['account', 'subscription', 'subscription_item', 'price'])
                   as t(relation), unnest(array['delete', 'truncate']) as u(event),
             lateral (select t.relation, t.relation || '_stays_on_' || u.event as name) w
        where not exists (select from pg_trigger g where g.tgrelid = to_regclass(w.relation) and g.tgname = w.name
                          and g.tgenabled in ('O', 'A'))
        """,
        "trigger {name}",
        "is missing or disabled, so rows of {relation} that invoices refer to can be removed",
    ),
)

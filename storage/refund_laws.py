"""The law of refunds as SQL: what is promised stands in the ledger, and a payment counts what is promised or paid."""

from __future__ import annotations

from storage.books import Check

REFUND_CHECKS: tuple[Check, ...] = (
    Check(
        "refunds",
        """
        select coalesce(l.mode, r.mode) as mode, coalesce(l.currency, r.currency) as currency,
               coalesce(l.control, 0) as control_minor, coalesce(r.promised, 0) as promised_minor
        from (select e.mode, e.currency, sum(l.credit - l.debit) as control
              from journal_line l join journal_entry e on e.id = l.entry_id
              where l.ledger_account = 'refunds_payable' group by e.mode, e.currency) l
        full join (select mode, currency, sum(amount) as promised from refund where promise = 'standing'
                   group by mode, currency) r on r.mode = l.mode and r.currency = l.currency
        where coalesce(l.control, 0) <> coalesce(r.promised, 0)
        """,
        "{mode} books in {currency}",
        "refunds payable stands at {control_minor}, and {promised_minor} is promised",
    ),
    Check(
        "refunds",
        """
        select p.mode, p.id::text as payment, p.currency, p.refunded as payment_minor, sum(r.amount) as refunds_minor
        from payment p join refund r on r.payment_id = p.id and r.promise in ('standing', 'paid')
        group by p.id having p.refunded < sum(r.amount)
        """,
        "payment {payment} ({mode})",
        "counts {payment_minor} as refunded, and its refunds are {refunds_minor}",
    ),
)

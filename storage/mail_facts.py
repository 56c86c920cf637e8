"""What a mail can tell, read when it is sent: one query."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from domain.declines import DeclineClass, read_decline
from domain.mail_facts import CreditNoteFacts, InvoiceFacts, MailFacts, PaymentFacts, SubscriptionFacts
from domain.publisher import Publisher
from storage.database import PgConnection
from storage.invoice_documents import DEFAULT_RULE_BOOK

# The subject of a mail is found by its id, whatever it is: a follow-up stands for its subscription, an account for its
# last one.
_FACTS = f"""
    select a.external_key as account, a.mode, a.locale, a.currency, h.name, h.email, h.consent,
        coalesce((select b.definition->'publisher' from rule_book b
                  where b.name = coalesce(a.rule_book, '{DEFAULT_RULE_BOOK}')
                  order by b.version desc limit 1), '{{}}') as publisher,
        (select coalesce(b.definition->'policy'->'dunning'->'retry'->'decline_classes', '{{}}') from rule_book b
         where b.name = coalesce(a.rule_book, '{DEFAULT_RULE_BOOK}') order by b.version desc limit 1) as classes,
        coalesce(owed.open, 0)::bigint as open, owed.since as open_since,
        (select jsonb_build_object('id', v.id, 'number', v.series || '-' || v.number, 'status', v.status,
                'total', v.total, 'open', v.balance, 'issued_on', v.issued_on, 'due_on', v.due_on)
         from invoice v where v.id = %(subject)s and v.account_id = a.id) as invoice,
        (select jsonb_build_object('status', p.status, 'amount', p.amount, 'made_on', p.made_on, 'code', p.code,
                'invoices', coalesce((select jsonb_agg(v.series || '-' || v.number order by v.number)
                    from payment_application x join invoice v on v.id = x.invoice_id where x.payment_id = p.id), '[]'))
         from payment p where p.id = %(subject)s and p.account_id = a.id) as payment,
        (select jsonb_build_object('id', n.id, 'number', n.series || '-' || n.number, 'amount', -n.total,
                'issued_on', n.issued_on, 'reason', n.reason)
         from credit_note n where n.id = %(subject)s and n.account_id = a.id) as credit_note,
        (select jsonb_build_object('plan', coalesce((select l.name from subscription_item i
                    join plan l on l.code = i.plan_code where i.subscription_id = s.id
                    order by i.starts_on desc, i.id desc limit 1), s.external_key),
                'status', s.status, 'trial_ends_on', s.trial_ends_on, 'next_bill_on', s.next_bill_on,
                'ends_on', s.ends_on, 'resumes_on', s.resumes_on)
         from subscription s where s.account_id = a.id and (%(subject)s in (s.id, a.id)
             or s.id = (select f.subscription_id from follow_up f where f.id = %(subject)s))
         order by s.starts_on desc, s.id desc limit 1) as subscription
    from account a left join person h on h.account_id = a.id
    left join lateral (select sum(v.balance) as open, min(v.due_on) as since from invoice v
                       where v.account_id = a.id and v.status = 'open' and v.balance > 0) owed on true
    where a.id = %(account)s
"""


def read_mail_facts(connection: PgConnection, account_id: str, subject_id: str) -> MailFacts | None:
    """The facts of an account and of what the mail is about; None without the account."""
    with connection.cursor() as cursor:
        cursor.execute(_FACTS.encode(), {"account": account_id, "subject": subject_id})
        found = cursor.fetchone()
        if found is None or cursor.description is None:
            return None
        row = dict(zip((column.name for column in cursor.description), found, strict=True))
    invoice, payment, note, subscription = (
        row[name] for name in ("invoice", "payment", "credit_note", "subscription")
    )
    return MailFacts(
        account=row["account"],
        mode=row["mode"],
        locale=row["locale"],
        currency=row["currency"],
        publisher=Publisher.model_validate(row["publisher"]),
        name=" ".join((row["name"] or "").split()) or None,
        email=(row["email"] or "").strip() or None,
        consent=row["consent"],
        open=row["open"],
        open_since=row["open_since"],
        invoice=InvoiceFacts(**_days(invoice, "issued_on", "due_on")) if invoice else None,
        payment=_payment(payment, row["classes"]) if payment else None,
        credit_note=CreditNoteFacts(**_days(note, "issued_on")) if note else None,
        subscription=SubscriptionFacts(
            **_days(subscription, "trial_ends_on", "next_bill_on", "ends_on", "resumes_on")
        )
        if subscription
        else None,
    )


def _payment(values: Mapping[str, Any], classes: Mapping[str, str] | None) -> PaymentFacts:
    """The payment. classes: the rule book's own classes of declines, by code."""
    asks = None
    if values["status"] == "failed":
        own = {code: DeclineClass(each) for code, each in (classes or {}).items()}
        decline = read_decline(values["code"], own)
        asks = decline.decline_class.value if decline else None
    return PaymentFacts(**_days(values, "made_on") | {"invoices": tuple(values["invoices"]), "asks": asks})


def _days(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """`values` with the days among them read."""
    return {
        name: date.fromisoformat(value) if name in names and value is not None else value
        for name, value in values.items()
    }

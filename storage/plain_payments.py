"""Payments of plain accounts, many at once: accounts of which a payment changes nothing but its invoices and its own
rows, because nothing of them is dated, in dunning, in credit or waits.

What their subscriptions demand outside is left to their next change, as a plain bill leaves it: being paid demands
nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from storage.database import PgConnection


class PlainCharge(NamedTuple):
    """A charge that succeeded, of a plain account: its local day, and the number of its next payment. parts: (invoice,
    minor units), each all that is open on it."""

    charge_id: str
    account_id: str
    mode: str
    currency: str
    amount: int
    day: date
    payment_no: int
    gateway_id: str | None
    parts: list[tuple[str, int]]


class PaymentRow(NamedTuple):
    """A payment to write, with its journal entry: postings are (ledger account, debit, credit)."""

    id: str
    charge: PlainCharge
    entry_id: str
    document: str
    kind: str
    postings: Sequence[tuple[str, int, int]]


_PLAIN = """
    select c.id::text, c.account_id::text, c.mode, c.currency, c.amount, t.day,
           coalesce((select max(no) from payment p where p.account_id = a.id), 0) + 1,
           c.gateway_id,
           (select jsonb_agg(jsonb_build_array(p.invoice_id, p.amount) order by i.due_on, i.number)
            from charge_part p join invoice i on i.id = p.invoice_id where p.charge_id = c.id)
    from charge c join account a on a.id = c.account_id
    cross join lateral (
        select greatest(a.settled_on, (%(now)s::timestamptz at time zone a.time_zone)::date) as day) t
    where c.id = any(%(charges)s::uuid[]) and c.ended_at is null
      and a.mode = 'live' and a.clock_at is null and not a.billed_whole and a.whole_due_on is null
      and not a.tax_exempt and not a.tax_inclusive and a.tax_treatment = 'taxable'
      and not exists (select from account_history h where h.account_id = a.id)
      and not exists (select from dunning_case d where d.account_id = a.id and d.closed_at is null)
      and not exists (select from purchase p where p.account_id = a.id)
      and not exists (select from pending_charge p where p.account_id = a.id)
      and not exists (select from account_credit_grant g where g.account_id = a.id)
      and not exists (
          select from subscription s where s.account_id = a.id and not (
              s.status = 'active' and s.starts_on <= t.day and s.ends_on is null and s.resumes_on is null
              and coalesce(s.trial_ends_on <= t.day, true) and s.later_on is null
              and coalesce(s.next_due > (t.day::timestamp at time zone a.time_zone), true)))
      and not exists (
          select from awaiting_payment w join subscription s on s.id = w.subscription_id where s.account_id = a.id)
      and not exists (
          select from charge_part p join invoice i on i.id = p.invoice_id
          where p.charge_id = c.id and not (i.status = 'open' and i.balance = p.amount))
    order by c.account_id, c.no
"""


def plain_charges(connection: PgConnection, charges: Sequence[str], now: datetime) -> list[PlainCharge]:
    """Those of `charges`, open ones, of plain accounts, by which all that they are for is paid. The accounts have to be
    locked."""
    rows = connection.execute(_PLAIN.encode(), {"charges": list(charges), "now": now}).fetchall()
    return [PlainCharge._make((*row[:-1], [(own, amount) for own, amount in row[-1]])) for row in rows]


def write_plain_payments(connection: PgConnection, payments: Sequence[PaymentRow], now: datetime) -> None:
    """Write the payments as `storage.whole` writes them: payment, applications, settled invoices, entries, the
    account's head; and end their charges."""
    charges = [each.charge for each in payments]
    parts = [(each.id, invoice, amount) for each in payments for invoice, amount in each.charge.parts]
    payment_ids, invoices, amounts = (list(column) for column in zip(*parts, strict=True))
    lines = [
        (each.entry_id, no, *posting) for each in payments for no, posting in enumerate(each.postings, 1)
    ]
    with connection.pipeline():
        connection.execute(
            "update invoice set status = 'paid', balance = 0 where id = any(%s::uuid[])", (invoices,)
        )
        connection.execute(
            "insert into invoice_settlement (invoice_id, paid) select * from unnest(%s::uuid[], %s::bigint[])"
            " on conflict (invoice_id) do update set paid = invoice_settlement.paid + excluded.paid",
            (invoices, amounts),
        )
        connection.execute(
            "insert into payment (id, mode, account_id, no, made_on, currency, amount, status, gateway_id)"
            " select id, mode, account, no, day, currency, amount, 'succeeded', gateway from unnest(%s::uuid[],"
            " %s::text[], %s::uuid[], %s::int[], %s::date[], %s::text[], %s::bigint[], %s::text[])"
            " p (id, mode, account, no, day, currency, amount, gateway)",
            (
                [each.id for each in payments],
                [each.mode for each in charges],
                [each.account_id for each in charges],
                [each.payment_no for each in charges],
                [each.day for each in charges],
                [each.currency for each in charges],
                [each.amount for each in charges],
                [each.gateway_id for each in charges],
            ),
        )
        connection.execute(
            "insert into payment_application (payment_id, invoice_id, amount)"
            " select * from unnest(%s::uuid[], %s::uuid[], %s::bigint[])",
            (payment_ids, invoices, amounts),
        )
        connection.execute(
            "insert into journal_entry (id, mode, kind, currency, posted_on, account_id, document)"
            " select * from unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::date[], %s::uuid[], %s::text[])",
            (
                [each.entry_id for each in payments],
                [each.mode for each in charges],
                [each.kind for each in payments],
                [each.currency for each in charges],
                [each.day for each in charges],
                [each.account_id for each in charges],
                [each.document for each in payments],
            ),
        )
        connection.execute(
            "insert into journal_line (entry_id, no, ledger_account, debit, credit)"
            " select * from unnest(%s::uuid[], %s::smallint[], %s::text[], %s::bigint[], %s::bigint[])",
            [list(column) for column in zip(*lines, strict=True)],
        )
        connection.execute(
            "insert into event_log (kind, account_id, subject_id, version) select kind, account, subject, 1"
            " from unnest(%s::text[], %s::uuid[], %s::uuid[]) e (kind, account, subject)",
            (
                [kind for each in payments for kind, _ in _events(each)],
                [each.charge.account_id for each in payments for _ in _events(each)],
                [subject for each in payments for _, subject in _events(each)],
            ),
        )
        connection.execute(
            "update account a set settled_on = p.day, known_whole = true"
            " from unnest(%s::uuid[], %s::date[]) p (id, day)"
            " where a.id = p.id and (a.settled_on is distinct from p.day or not a.known_whole)",
            ([each.account_id for each in charges], [each.day for each in charges]),
        )
        connection.execute(
            "update charge c set status = 'succeeded', gateway_id = p.gateway, payment_id = p.payment, code = null,"
            " technical = false, next_action_url = null, next_look_at = null, sent_at = coalesce(c.sent_at, %s),"
            " ended_at = %s from unnest(%s::uuid[], %s::text[], %s::uuid[]) p (id, gateway, payment) where c.id = p.id",
            (
                now,
                now,
                [each.charge_id for each in charges],
                [each.gateway_id for each in charges],
                [each.id for each in payments],
            ),
        )
        connection.execute(
            "update charge_part set open = false where charge_id = any(%s::uuid[])",
            ([each.charge_id for each in charges],),
        )


def _events(payment: PaymentRow) -> list[tuple[str, str]]:
    paid = [("invoice.paid", invoice) for invoice, _ in payment.charge.parts]
    return [*paid, ("payment.succeeded", payment.id)]

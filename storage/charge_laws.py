"""The laws of charges at gateways as SQL, read off our own rows: one charge for what is paid (I6), a payment for each
charge (I7). Whether the gateways say the same is compared with their own logs (tests.faults.payment_seeds)."""

from __future__ import annotations

from storage.books import Check

_CHARGE = "charge {no} of account {account}"

CHARGE_CHECKS: tuple[Check, ...] = (
    Check(
        "I6",
        """
        select p.invoice_id::text as invoice, count(*) as charges
        from charge_part p join charge c on c.id = p.charge_id where c.ended_at is null
        group by p.invoice_id having count(*) > 1 order by p.invoice_id
        """,
        "invoice {invoice}",
        "{charges} charges are under way for it at once",
    ),
    Check(
        "I6",
        """
        select c.no, c.account_id::text as account, count(*) as parts
        from charge c join charge_part p on p.charge_id = c.id
        where p.open <> (c.ended_at is null) group by c.id order by c.id
        """,
        _CHARGE,
        "{parts} of its parts are open or closed, and the charge is not",
    ),
    Check(
        "I6",
        """
        select c.no, c.account_id::text as account, c.amount, coalesce(sum(p.amount), 0) as parts
        from charge c left join charge_part p on p.charge_id = c.id
        group by c.id
        having c.amount <> coalesce(sum(p.amount), case c.status when 'succeeded' then c.amount else 0 end)
        order by c.id
        """,
        _CHARGE,
        "is of {amount} minor units, and its parts come to {parts}",
    ),
    Check(
        "I6",
        """
        select c.no, c.account_id::text as account from charge c
        where not exists (
            select from connector_call l
            where l.mode = c.mode and l.connection = c.connection and l.method = 'payment.charge'
              and l.key = 'charge:' || c.account_id || ':' || c.no)
        order by c.id
        """,
        _CHARGE,
        "has no call under its key",
    ),
    Check(
        "I7",
        """
        select c.no, c.account_id::text as account, c.status, coalesce(p.status, 'none') as payment
        from charge c left join payment p on p.id = c.payment_id
        where (c.status = 'succeeded' and p.status is distinct from 'succeeded'
               and p.status is distinct from 'refunded' and p.status is distinct from 'disputed')
           or (p.id is not null and (p.account_id, p.mode, p.amount, p.currency)
               is distinct from (c.account_id, c.mode, c.amount, c.currency))
        order by c.id
        """,
        _CHARGE,
        "is {status}, and the payment that it became is not the same ({payment})",
    ),
    Check(
        "I7",
        """
        select min(c.no) as no, c.account_id::text as account, count(*) as charges
        from charge c where c.payment_id is not null
        group by c.account_id, c.payment_id having count(*) > 1 order by 2, 1
        """,
        _CHARGE,
        "and {charges} in all became one payment",
    ),
    Check(
        "I7",
        """
        select l.key, l.connection, c.status
        from connector_call l join charge c on l.mode = c.mode and l.connection = c.connection
            and l.key = 'charge:' || c.account_id || ':' || c.no
        where l.method = 'payment.charge' and l.status = 'succeeded' and l.answer->>'status' = 'succeeded'
          and c.status in ('failed', 'withdrawn')
          and not exists (
            select from payment_fact f where f.connection = c.connection and f.payment = c.gateway_id
              and f.fact->>'happened' in ('capture_failed', 'voided'))
        order by l.key
        """,
        "{key} at {connection}",
        "was answered as paid, and the charge is {status}, though the gateway did not tell that it took it back",
    ),
)

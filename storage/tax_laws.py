"""The law of documents at tax engines as SQL: each invoice that an engine taxed has just one, which says the same."""

from __future__ import annotations

from storage.books import Check

_DOCUMENT = "tax document {code} at {connection} ({mode})"

TAX_CHECKS: tuple[Check, ...] = (
    Check(
        "tax",
        """
        select d.mode, d.connection, d.code,
               case when i.id is null then 'is missing'
                    else format('is %s-%s (%s), of account %s in %s', i.series, i.number, i.mode, i.account_id,
                                i.currency) end as found
        from tax_document d left join invoice i on i.id = d.invoice_id
        where (i.mode, i.account_id, i.currency) is distinct from (d.mode, d.account_id, d.currency)
           or (d.credit_note_id is null and d.code <> i.series || '-' || i.number)
        order by d.connection, d.code
        """,
        _DOCUMENT,
        "its invoice {found}",
    ),
    Check(
        "tax",
        """
        select d.mode, d.connection, d.code, d.currency, d.total + d.untold as document_minor, i.tax as invoice_minor
        from tax_document d join invoice i on i.id = d.invoice_id
        where d.credit_note_id is null and d.total + d.untold <> i.tax order by d.connection, d.code
        """,
        _DOCUMENT,
        "says {document_minor} of tax, and the invoice {invoice_minor}",
    ),
    Check(
        "tax",
        """
        select d.mode, d.connection, d.code, d.currency, d.total as charged_minor,
               coalesce(d.recorded_total, 0) as recorded_minor
        from tax_document d
        where d.status = 'committed' and d.recorded_total is distinct from d.total order by d.connection, d.code
        """,
        _DOCUMENT,
        "counts as recorded with {charged_minor}, and {recorded_minor} was recorded",
    ),
    Check(
        "tax",
        """
        select d.mode, d.connection, d.code, d.status, i.status as invoice
        from tax_document d join invoice i on i.id = d.invoice_id
        where d.credit_note_id is null and d.status <> 'left_out'
          and (i.status = 'void') <> (d.void_requested_at is not null) order by d.connection, d.code
        """,
        _DOCUMENT,
        "its invoice is {invoice}, and it is {status}",
    ),
    Check(
        "tax",
        """
        select c.mode, c.connection, c.key as code from connector_call c
        where c.method = 'tax.commit' and c.workflow_id = 'tax/' || c.connection and not exists (
            select from tax_document d where (d.mode, d.connection) = (c.mode, c.connection)
            and d.code in (c.key, regexp_replace(c.key, '/as-charged$', '')))
        order by c.connection, c.key
        """,
        _DOCUMENT,
        "the engine is told of it, and it is not there",
    ),
    Check(
        "tax",
        """
        select d.mode, d.connection, d.code, d.step from tax_document d
        where not exists (select from connector_call c where c.id = d.call_id) order by d.connection, d.code
        """,
        _DOCUMENT,
        "the call to {step} it is missing",
    ),
)

"""Reading an invoice or a credit note with all that stands on it, in one query each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from domain.invoice_document import (
    Deduction,
    DocumentLine,
    DocumentTax,
    InvoiceDocument,
    Recipient,
    Settled,
    checked,
)
from domain.publisher import Publisher
from storage.database import PgConnection
from storage.sight import EVERYTHING, Sight

DEFAULT_RULE_BOOK = "default"

# What a line is called: the plan of its item, the product where it is not the plan's own, the meter of usage.
_NAMES = """
    'plan', p.name, 'part', case when o.code is distinct from p.product_code then o.name end,
    'meter', case when l.kind = 'usage' then
        (select string_agg(m.name, ', ' order by m.code) from price r
         join plan_version v on v.id = r.plan_version_id
         cross join lateral jsonb_path_query(v.definition, '$.phases[*].prices[*]') d
         join meter m on m.code = d->>'meter'
         where r.id = l.price_id and d->>'code' = r.code) end
"""
_NAMED = """
    left join subscription_item i on i.id = l.item_id
    left join plan p on p.code = i.plan_code
    left join product o on o.code = l.part
"""
_HEAD = f"""
    a.external_key as account, a.locale, h.name, coalesce(h.address, '{{}}') as address,
    coalesce((select b.definition->'publisher' from rule_book b
              where b.name = coalesce(a.rule_book, '{DEFAULT_RULE_BOOK}')
              order by b.version desc limit 1), '{{}}') as publisher
"""
_INVOICE = f"""
    select v.id::text, v.mode, v.series, v.number, v.currency, v.issued_on, v.due_on, v.status, v.subtotal, v.tax,
           v.total, v.balance as open, {_HEAD},
           coalesce(t.paid, 0) as paid, coalesce(t.credited, 0) as credited, coalesce(t.used, 0) as used,
           coalesce(t.written_off, 0) as written_off,
           (select jsonb_agg(jsonb_build_object('no', l.no, 'kind', l.kind, 'starts_on', l.period_start,
                'ends_on', l.period_end, 'quantity', trim_scale(l.quantity)::text, 'amount', l.amount,
                'parent', l.parent_no, 'reference', l.reference, 'rate', l.rate::text, {_NAMES}) order by l.no)
            from invoice_line l {_NAMED} where l.invoice_id = v.id) as lines
    from invoice v join account a on a.id = v.account_id left join person h on h.account_id = a.id
    left join invoice_settlement t on t.invoice_id = v.id
"""
_CREDIT_NOTE = f"""
    select n.id::text, n.mode, n.series, n.number, n.currency, n.issued_on, n.subtotal, n.tax, n.total, n.reason,
           v.series || '-' || v.number as corrects, {_HEAD},
           (select jsonb_agg(jsonb_build_object('kind', l.kind, 'starts_on', c.starts_on, 'ends_on', c.ends_on,
                'quantity', '1', 'amount', c.net, 'taxes', c.taxes, {_NAMES}) order by c.no)
            from credit_line c join invoice_line l on l.invoice_id = c.invoice_id and l.no = c.line_no {_NAMED}
            where c.credit_note_id = n.id) as lines
    from credit_note n join account a on a.id = n.account_id left join person h on h.account_id = a.id
    left join invoice v on v.id = n.invoice_id
"""


def read_invoice(
    connection: PgConnection, invoice_id: str, sight: Sight = EVERYTHING
) -> InvoiceDocument | None:
    """The invoice of that id, if `sight` has its account. Raises DocumentDoesNotAdd."""
    query = f"{_INVOICE} where v.id = %(id)s and {sight.within}"
    return _invoice(_one(connection, query, {"id": invoice_id, **sight.parameters}))


def read_credit_note(
    connection: PgConnection, note_id: str, sight: Sight = EVERYTHING
) -> InvoiceDocument | None:
    """The credit note of that id, if `sight` has its account. Raises DocumentDoesNotAdd."""
    query = f"{_CREDIT_NOTE} where n.id = %(id)s and {sight.within}"
    return _credit_note(_one(connection, query, {"id": note_id, **sight.parameters}))


def find_document(connection: PgConnection, series: str, number: int) -> InvoiceDocument | None:
    """The document with that number in its series, an invoice or a credit note. Raises DocumentDoesNotAdd."""
    values = (series, number)
    found = _invoice(_one(connection, _INVOICE + " where v.number = %s and v.series = %s", values[::-1]))
    if found is not None:
        return found
    return _credit_note(
        _one(connection, _CREDIT_NOTE + " where n.number = %s and n.series = %s", values[::-1])
    )


def _one(
    connection: PgConnection, query: str, values: Sequence[object] | Mapping[str, object]
) -> dict[str, Any] | None:
    with connection.cursor() as cursor:
        cursor.execute(query.encode(), values)
        row = cursor.fetchone()
        if row is None or cursor.description is None:
            return None
        return dict(zip((column.name for column in cursor.description), row, strict=True))


def _invoice(row: Mapping[str, Any] | None) -> InvoiceDocument | None:
    if row is None:
        return None
    heads: dict[int, Mapping[str, Any]] = {}
    deductions: dict[int, list[Deduction]] = {}
    taxed: list[tuple[int, str, Decimal, int]] = []
    for line in row["lines"] or ():
        if line["kind"] == "discount" and line["parent"] is not None:
            percent = None if line["rate"] is None else Decimal(line["rate"])
            deductions.setdefault(line["parent"], []).append(
                Deduction(line["reference"] or "", percent, line["amount"])
            )
        elif line["kind"] == "tax":
            rate = Decimal(line["rate"] or 0)
            taxed.append((line["parent"] or 0, line["reference"] or "", rate, line["amount"]))
        else:
            heads[line["no"]] = line
    lines = {no: _line(line, deductions.get(no, ())) for no, line in heads.items()}
    taxes = [
        (name, rate, lines[parent].net if parent in lines else 0, amount)
        for parent, name, rate, amount in taxed
    ]
    return checked(
        InvoiceDocument(
            kind="invoice",
            **_head(row),
            due_on=row["due_on"],
            status=row["status"],
            lines=tuple(lines.values()),
            taxes=_summed(taxes),
            settled=Settled(row["paid"], row["credited"], row["used"], row["written_off"], row["open"]),
        )
    )


def _credit_note(row: Mapping[str, Any] | None) -> InvoiceDocument | None:
    if row is None:
        return None
    lines = row["lines"] or ()
    taxes = [
        (name, Decimal(rate), line["amount"], amount)
        for line in lines
        for name, rate, amount in line["taxes"]
    ]
    return checked(
        InvoiceDocument(
            kind="credit_note",
            **_head(row),
            due_on=None,
            status="issued",
            lines=tuple(_line(line, ()) for line in lines),
            taxes=_summed(taxes),
            corrects=row["corrects"],
            reason=row["reason"],
        )
    )


def _head(row: Mapping[str, Any]) -> dict[str, Any]:
    same = ("id", "mode", "account", "locale", "currency", "issued_on", "subtotal", "tax", "total")
    address = {name: str(value) for name, value in row["address"].items() if value}
    known = ("line1", "line2", "postal_code", "city", "region", "country")
    return {name: row[name] for name in same} | {
        "number": f"{row['series']}-{row['number']}",
        "publisher": Publisher.model_validate(row["publisher"]),
        "recipient": Recipient(name=row["name"], **{name: address.get(name) for name in known}),
    }


def _line(line: Mapping[str, Any], deductions: Sequence[Deduction]) -> DocumentLine:
    return DocumentLine(
        kind=line["kind"],
        name=line["plan"],
        part=line["meter"] or line["part"],
        starts_on=_day(line["starts_on"]),
        ends_on=_day(line["ends_on"]),
        quantity=Decimal(line["quantity"]),
        amount=line["amount"],
        deductions=tuple(deductions),
    )


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _summed(taxes: Sequence[tuple[str, Decimal, int, int]]) -> tuple[DocumentTax, ...]:
    """Taxes by jurisdiction and rate, in the order of the lines."""
    found: dict[tuple[str, Decimal], tuple[int, int]] = {}
    for name, rate, base, amount in taxes:
        before = found.get((name, rate), (0, 0))
        found[name, rate] = (before[0] + base, before[1] + amount)
    return tuple(DocumentTax(*key, *sums) for key, sums in found.items())

"""An invoice or credit note in the words and formats of its locale: all texts that its template puts on the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from documents.formats import Formats
from documents.shelf import Shelf
from domain.invoice_document import DocumentLine, DocumentTax, InvoiceDocument, Recipient

_LETTER = frozenset({"US", "CA", "MX", "PH", "CL", "CO"})  # where paper is US Letter
_CITY_FIRST = frozenset({"US", "CA", "AU", "GB", "IE", "NZ", "IN"})
_CREDITS = frozenset({"unused_credit", "delivery_credit"})
_REVERSE_CHARGE = ", reverse charge"  # as domain.taxation writes it


def view_of(document: InvoiceDocument, shelf: Shelf) -> dict[str, Any]:
    """The texts of `document` by name; plain JSON."""
    return _View(document, shelf).made()


class _View:
    def __init__(self, document: InvoiceDocument, shelf: Shelf) -> None:
        self.document = document
        self.formats = Formats(shelf.locale_for(document.locale))
        self.words = shelf.words(self.formats.locale.language)

    def made(self) -> dict[str, Any]:
        document, publisher = self.document, self.document.publisher
        title = self.words[document.kind]
        return {
            "language": self.formats.locale.language,
            "region": self.formats.locale.territory,
            "paper": "us-letter" if self._country in _LETTER else "a4",
            "title": title,
            "heading": f"{title} {document.number}",
            "sample": self.words["sample"] if document.mode == "test" else "",
            "publisher": publisher.name or "",
            "sender_line": " · ".join(filter(None, [publisher.name, *publisher.address])),
            "sender": list(filter(None, [publisher.name, *publisher.address])),
            "small_print": list(self._small_print()),
            "recipient": list(_postal(document.recipient, self.formats)),
            "facts": list(self._facts()),
            "columns": [self.words[name] for name in ("description", "period", "quantity", "amount")],
            "lines": [row for line in document.lines for row in self._line(line)],
            "sums": list(self._sums()),
            "settling": list(self._settling()),
            "notes": list(self._notes()),
            "page": self.words["page"],
        }

    @property
    def _country(self) -> str | None:
        return self.document.recipient.country or self.formats.locale.territory

    def _money(self, minor: int) -> str:
        return self.formats.money(minor, self.document.currency)

    def _facts(self) -> Iterator[list[str]]:
        document, words = self.document, self.words
        yield [words["number"], document.number]
        yield [words["issued_on"], self.formats.day(document.issued_on)]
        if document.due_on is not None and document.settled.open > 0:
            yield [words["due_on"], self.formats.day(document.due_on)]
        if document.corrects:
            yield [words["corrects"], document.corrects]
        yield [words["account"], document.account]

    def _line(self, line: DocumentLine) -> Iterator[dict[str, Any]]:
        yield {
            "name": self._name(line),
            "part": line.part or "",
            "period": self.formats.period(line.starts_on, line.ends_on)
            if line.starts_on is not None and line.ends_on is not None
            else "",
            "quantity": self.formats.number(line.quantity),
            "amount": self._money(line.amount),
            "under": False,
        }
        for each in line.deductions:
            which = "discount" if each.percent is None else "discount_percent"
            percent = "" if each.percent is None else self.formats.percent(each.percent / 100)
            name = self.words[which].format(code=each.code, percent=percent)
            amount = self._money(each.amount)
            yield {"name": name, "part": "", "period": "", "quantity": "", "amount": amount, "under": True}

    def _name(self, line: DocumentLine) -> str:
        name = line.name or self.words.get(f"kind_{line.kind}", line.kind)
        if line.kind in _CREDITS or line.amount < 0:
            return self.words["kind_of_credit"].format(name=name)
        return name

    def _sums(self) -> Iterator[list[str]]:
        document, words = self.document, self.words
        yield [words["subtotal"], self._money(document.subtotal)]
        for tax in document.taxes:
            yield [self._tax(tax), self._money(tax.amount)]
        yield [words["total" if document.kind == "invoice" else "total_credit"], self._money(document.total)]

    def _tax(self, tax: DocumentTax) -> str:
        if tax.jurisdiction.endswith(_REVERSE_CHARGE):
            name = tax.jurisdiction.removesuffix(_REVERSE_CHARGE)
            return self.words["reverse_charge"].format(jurisdiction=name)
        rate, base = self.formats.percent(tax.rate), self._money(tax.base)
        return self.words["tax"].format(jurisdiction=tax.jurisdiction, rate=rate, base=base)

    def _settling(self) -> Iterator[list[str]]:
        """How the total was settled, and what is open; nothing for one that nobody has paid anything of."""
        if self.document.kind != "invoice":
            return
        settled, words = self.document.settled, self.words
        if settled.used < 0:
            yield [words["moved"], self._money(-settled.used)]
        amounts = {
            "used": max(settled.used, 0),
            "credited": settled.credited,
            "paid": settled.paid,
            "written_off": settled.written_off,
        }
        if not any(amounts.values()) and settled.open == max(self.document.total, 0):
            return
        for name, amount in amounts.items():
            if amount:
                yield [words[name], self._money(-amount)]
        yield [words["open"], self._money(settled.open)]

    def _notes(self) -> Iterator[str]:
        document, words = self.document, self.words
        if document.reason:
            yield f"{words['reason']}: {document.reason}"
        if document.kind == "invoice":
            if document.status in ("void", "uncollectible"):
                yield words[document.status]
            elif document.settled.open > 0 and document.due_on is not None:
                due = self.formats.long_day(document.due_on)
                yield words["owed"].format(amount=self._money(document.settled.open), day=due)
                if document.publisher.payment:
                    yield f"{words['pay_to']}: {', '.join(document.publisher.payment)}"
            else:
                yield words["settled"]
        if document.publisher.contact:
            yield words["questions"].format(contact=document.publisher.contact)

    def _small_print(self) -> Iterator[str]:
        publisher = self.document.publisher
        if publisher.tax_id:
            yield f"{self.words['tax_id']}: {publisher.tax_id}"
        if publisher.registration:
            yield publisher.registration
        if publisher.website:
            yield publisher.website


def _postal(recipient: Recipient, formats: Formats) -> Iterator[str]:
    """The lines of an address, in the order that its country is used to."""
    yield from filter(None, (recipient.name, recipient.line1, recipient.line2))
    city, region, code = recipient.city, recipient.region, recipient.postal_code
    if recipient.country in _CITY_FIRST:
        place = " ".join(filter(None, (f"{city}," if city and region else city, region, code)))
    else:
        place = " ".join(filter(None, (code, city)))
        if region and region != city:
            place = ", ".join(filter(None, (place, region)))
    if place:
        yield place
    if recipient.country:
        yield formats.country(recipient.country)

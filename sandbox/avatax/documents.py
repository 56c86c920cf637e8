"""The documents that are recorded, and what may be done to each in which state."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.avatax.computing import TaxedLine, taxed_lines
from sandbox.avatax.errors import not_found, refused
from sandbox.avatax.model import INVOICES, ORDERS, Sale

#: Told of each thing that happened to a document: the document and recorded, committed, adjusted, voided or refunded.
Note = Callable[["Document", str], None]
ANY = (None, "", "Any")


@dataclass
class Document:
    """One version of a transaction. `refund_of` is the code of the invoice that a return gives back."""

    id: int
    code: str
    sale: Sale
    lines: tuple[TaxedLine, ...]
    status: str
    modified: datetime
    version: int = 1
    locked: bool = False
    reason: str = "NotAdjusted"
    description: str = ""
    refund_of: str | None = None


class Documents:
    """All documents of one account. Codes are unique per company and type; an older version stays under its id."""

    def __init__(self, now: Callable[[], datetime], note: Note) -> None:
        self._now = now
        self._note = note
        self._current: dict[tuple[str, str, str], Document] = {}
        self._every: dict[int, Document] = {}
        self._ids = itertools.count(85_000_001)

    def estimate(self, sale: Sale) -> Document:
        """Tax only; nothing is kept."""
        code = sale.code or self._made_up_code()
        return Document(0, code, sale, taxed_lines(sale), "Temporary", self._now())

    def create(self, sale: Sale, refund_of: str | None = None) -> Document:
        """Record a transaction. One that is saved under the code is replaced; a committed one refuses."""
        if sale.kind in ORDERS:
            return self.estimate(sale)
        before = self._find(sale.company, sale.code or "", sale.kind)
        if before is not None and before.status == "Committed":
            raise refused(
                "DocumentCodeConflict",
                f"Document {sale.code} is committed already; adjust or void it.",
                target="code",
            )
        return self._record(sale, before, refund_of=refund_of)

    def create_or_adjust(self, sale: Sale, reason: str = "NotAdjusted", description: str = "") -> Document:
        """Record a transaction, or put it in the place of the one under its code."""
        if sale.kind in ORDERS:
            return self.estimate(sale)
        before = self._find(sale.company, sale.code or "", sale.kind)
        return self._record(sale, before, reason, description)

    def adjust(self, before: Document, sale: Sale, reason: str, description: str) -> Document:
        """Put a new version in the place of `before`; it keeps the code where the new one names none."""
        if sale.kind != before.sale.kind:
            raise refused(
                "CannotAdjustDocumentType", f"{before.code} is a {before.sale.kind}.", target="type"
            )
        if before.status == "Cancelled":
            raise refused("TransactionAlreadyCancelled", f"Document {before.code} is cancelled.")
        if sale.code not in (None, before.code) and self._find(sale.company, sale.code or "", sale.kind):
            raise refused("DocumentCodeConflict", f"Document {sale.code} exists already.", target="code")
        return self._record(sale, before, reason, description, code=sale.code or before.code)

    def commit(self, document: Document) -> Document:
        """Report it."""
        if document.status == "Committed":
            raise refused("TransactionIsCommitted", f"Document {document.code} is committed already.")
        _expect(document, "Saved")
        document.status = "Committed"
        self._touched(document, "committed")
        return document

    def void(self, document: Document, how: str) -> Document:
        """Cancel (DocVoided) or delete (DocDeleted: what is not committed)."""
        _unlocked(document)
        if how == "DocDeleted":
            if document.status == "Committed":
                raise refused(
                    "InvalidDocumentStatus", f"Document {document.code} is committed; void it first."
                )
            self._current.pop(_key(document), None)
        elif document.status == "Cancelled":
            raise refused("TransactionAlreadyCancelled", f"Document {document.code} is cancelled already.")
        document.status = "Cancelled"
        self._touched(document, "voided")
        return document

    def rename(self, document: Document, code: str) -> Document:
        """Another code for what is not committed."""
        _unlocked(document)
        if document.status == "Committed":
            raise refused("TransactionIsCommitted", f"Document {document.code} is committed; its code stays.")
        _expect(document, "Saved")
        if self._find(document.sale.company, code, document.sale.kind):
            raise refused("DocumentCodeConflict", f"Document {code} exists already.", target="newCode")
        self._current.pop(_key(document), None)
        document.code = code
        self._current[_key(document)] = document
        document.modified = self._now()
        return document

    def lock(self, document: Document, locked: bool) -> Document:
        """What a filed return does to a document."""
        if document.status != "Committed":
            raise refused("DocumentNotCommitted", f"Document {document.code} is not committed.")
        document.locked = locked
        document.modified = self._now()
        return document

    def refunded(self, original: Document) -> None:
        """Write down that a return was made for it."""
        self._note(original, "refunded")

    def get(self, company: str, code: str, kind: str | None = None) -> Document:
        """The current document of this code. Raises Refused (404)."""
        found = self._find(company, code, kind)
        if found is None:
            raise not_found(f"Transaction {code} of company {company}")
        return found

    def by_id(self, number: int) -> Document | None:
        """Any version, by its id."""
        return self._every.get(number)

    def all(self, company: str | None = None) -> list[Document]:
        """Current documents, oldest first."""
        found = [doc for doc in self._current.values() if company in (None, doc.sale.company)]
        return sorted(found, key=lambda doc: doc.id)

    def _find(self, company: str, code: str, kind: str | None) -> Document | None:
        if kind not in ANY:
            return self._current.get((company, code, str(kind)))
        found = (self._current.get((company, code, one)) for one in INVOICES)
        return next((document for document in found if document is not None), None)

    def _record(
        self,
        sale: Sale,
        before: Document | None,
        reason: str = "NotAdjusted",
        description: str = "",
        code: str | None = None,
        refund_of: str | None = None,
    ) -> Document:
        if before is not None:
            _unlocked(before)
        lines = taxed_lines(sale)
        code = code or sale.code or self._made_up_code()
        status = "Committed" if sale.commit else "Saved"
        made = Document(next(self._ids), code, sale, lines, status, self._now())
        made.reason, made.description, made.refund_of = reason, description, refund_of
        fresh = before is None or before.status == "Cancelled"
        if before is not None and not fresh:
            made.version = before.version + 1
            self._current.pop(_key(before), None)
        self._every[made.id] = self._current[_key(made)] = made
        if fresh:
            self._note(made, "recorded")
        elif before is not None and _content(before.sale) != _content(sale):
            self._note(made, "adjusted")
        if status == "Committed" and (before is None or before.status != "Committed"):
            self._note(made, "committed")
        if before is not None and not fresh:
            before.status = "Adjusted"
        return made

    def _touched(self, document: Document, what: str) -> None:
        document.modified = self._now()
        self._note(document, what)

    def _made_up_code(self) -> str:
        return f"00000000-0000-4000-8000-{next(self._ids):012d}"


def _key(document: Document) -> tuple[str, str, str]:
    return document.sale.company, document.code, document.sale.kind


def _content(sale: Sale) -> Mapping[str, Any]:
    return {name: value for name, value in sale.model.items() if name not in ("commit", "code")}


def _unlocked(document: Document) -> None:
    if document.locked:
        raise refused(
            "CannotModifyLockedTransaction", f"Document {document.code} is locked: it is on a filed return."
        )


def _expect(document: Document, status: str) -> None:
    if document.status != status:
        raise refused(
            "InvalidDocumentStatus", f"Document {document.code} is {document.status}, not {status}."
        )

"""Invoices and credit notes as PDF and as HTML, from one template (docs/decisions.md says why this compiler)."""

from __future__ import annotations

import json
import re
import threading
import warnings
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Literal

import noto_cjk_sans_jp_regular
import typst

from documents.invoice_view import view_of
from documents.shelf import OURS, Shelf, TemplateError
from domain.invoice_document import InvoiceDocument

_TEMPLATE = "invoice.typ"


class InvoicePages:
    """Renders documents; the same document gives the same bytes. May be used by many threads, which take turns."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._lock = threading.Lock()
        self._compilers: dict[Path, typst.Compiler] = {}

    def pdf(self, document: InvoiceDocument) -> bytes:
        """As PDF/A-2 with all fonts within, to be kept for years. Raises TemplateError."""
        return self._compiled(document, "pdf")

    def html(self, document: InvoiceDocument) -> str:
        """As one HTML page that needs nothing from outside. Raises TemplateError."""
        return self._compiled(document, "html").decode()

    def _compiled(self, document: InvoiceDocument, target: Literal["pdf", "html"]) -> bytes:
        file = self._shelf.find("templates", _TEMPLATE)
        if file is None:
            raise TemplateError(f"{OURS / 'templates' / _TEMPLATE} is missing: install Masthead anew")
        view = json.dumps(view_of(document, self._shelf), ensure_ascii=False)
        issued = datetime.combine(document.issued_on, time(), UTC)
        with self._lock, warnings.catch_warnings():
            warnings.simplefilter("ignore", typst.TypstWarning)  # HTML knows no page, and says so each time
            try:
                made = self._compiler(file.parent).compile(
                    file.read_bytes(),
                    format=target,
                    sys_inputs={"document": view, "target": target},
                    pdf_standards=["a-2b"] if target == "pdf" else [],
                    timestamp=issued,
                )
            except typst.TypstError as error:
                raise TemplateError(f"{file} cannot make {document.number}: {error}") from None
        if not isinstance(made, bytes):
            raise TemplateError(f"{file} made nothing of {document.number}")
        return made

    def _compiler(self, folder: Path) -> typst.Compiler:
        if folder not in self._compilers:
            fonts = [Path(str(noto_cjk_sans_jp_regular.FONT_PATH)).parent, *self._shelf.font_folders]
            self._compilers[folder] = typst.Compiler(
                root=folder, font_paths=[str(each) for each in fonts], ignore_system_fonts=True
            )
        return self._compilers[folder]


def file_name(document: InvoiceDocument, suffix: str) -> str:
    """What the document is called as a file: INV-7.pdf."""
    return f"{re.sub(r'[^A-Za-z0-9._-]', '-', document.number)}.{suffix}"

"""Invoices as pages: what stands on them, in whose words, and that nothing in them can do harm."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from pypdf import PdfReader

from documents.invoice_page import InvoicePages
from documents.shelf import Shelf, TemplateError
from domain.invoice_document import DocumentDoesNotAdd, Recipient, Settled, checked
from tests.documents.shown import JOERG, TARO, invoice, text_of

PAGES = InvoicePages(Shelf())


def test_in_english_for_dollars() -> None:
    text = text_of(PAGES.pdf(invoice()))
    for words in (
        "Invoice INV-1042",
        "Seattle, WA 98101",
        "Digital, yearly",
        "Dec 1, 2026 – Nov 30, 2027",
        "Discount WELCOME (10%) -$120.00",
        "Washington, 10% of $1,080.00 $108.00",
        "Total $1,188.00",
        "Please pay $1,188.00 by December 15, 2026.",
        "IBAN DE02 1203 0000 0000 2020 51",
        "Tax number: DE123456789",
        "Page 1 of 1",
    ):
        assert words in text


def test_in_german_for_euros() -> None:
    text = text_of(PAGES.pdf(invoice("de-DE", "EUR", recipient=JOERG)))
    for words in (
        "Rechnung INV-1042",
        "Jörg Müßig Lindenstraße 12 10969 Berlin Deutschland",
        "Rabatt WELCOME (10 %) -120,00 €",
        "Gesamtbetrag 1.188,00 €",
        "Bitte zahlen Sie 1.188,00 € bis zum 15. Dezember 2026.",
        "Seite 1 von 1",
    ):
        assert words in text


def test_yen_have_no_decimals_and_names_keep_their_script() -> None:
    settled = Settled(paid=1000, used=188, open=0)
    text = text_of(PAGES.pdf(invoice("ja-JP", "JPY", recipient=TARO, settled=settled, status="paid")))
    assert "山田 太郎" in text
    assert "100-0005 東京都" in text
    assert re.search(r"Total \S*¥1,188 From your credit -\S*¥188 Paid -\S*¥1,000 Open \S*¥0", text), text
    assert "This invoice is settled." in text


def test_a_currency_shows_all_decimals_that_it_is_billed_in() -> None:
    # CLDR would leave them out, and a dinar of Kuwait has three.
    assert "IQD118.800" in text_of(PAGES.pdf(invoice(currency="IQD")))
    assert "KWD118.800" in text_of(PAGES.pdf(invoice(currency="KWD")))


def test_the_page_says_what_the_pdf_says_and_calls_nothing() -> None:
    document = invoice("de-DE", "EUR", recipient=JOERG)
    page = PAGES.html(document)
    told = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.S)
    text = text_of(PAGES.pdf(document))
    for amount in re.findall(r"-?[\d.]+,\d\d\s€", told):
        assert re.sub(r"\s", " ", amount) in text
    assert "Gesamtbetrag" in told
    assert '<html lang="de"' in page
    assert not re.search(r"""(src|href|url\(|@import|<script|<iframe)""", page)


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>", '#read("/etc/passwd")', "*bold* _it_ $x$ `raw` @ref \\", "]#panic()["],
)
def test_a_name_is_a_name(name: str) -> None:
    document = invoice(recipient=Recipient(name))
    assert re.sub(r"\s", "", name) in re.sub(r"\s", "", text_of(PAGES.pdf(document)))
    assert "<script>alert" not in PAGES.html(document)


def test_many_lines_go_over_many_pages_with_heads() -> None:
    one = invoice().lines[0]
    document = invoice(
        lines=(one,) * 90, subtotal=90 * 108_000, taxes=(), tax=0, total=90 * 108_000, settled=Settled(open=1)
    )
    pages = PdfReader(io.BytesIO(PAGES.pdf(checked(document)))).pages
    assert len(pages) > 3
    for no, page in enumerate(pages, 1):
        text = re.sub(r"\s+", " ", page.extract_text())
        assert f"Page {no} of {len(pages)}" in text
        assert "Invoice INV-1042" in text
        assert "Description Period Quantity Amount" in text or no == len(pages)


def test_the_same_document_gives_the_same_bytes_with_all_fonts_within() -> None:
    document = invoice()
    first = PAGES.pdf(document)
    assert first == InvoicePages(Shelf()).pdf(document)
    assert b"pdfaid" in first
    fonts = [
        font.get_object()["/DescendantFonts"][0].get_object()["/FontDescriptor"].get_object()
        for page in PdfReader(io.BytesIO(first)).pages
        for font in page["/Resources"]["/Font"].values()  # type: ignore[index]
    ]
    assert fonts
    assert all("/FontFile3" in font or "/FontFile2" in font for font in fonts)


def test_a_test_invoice_says_that_it_is_none() -> None:
    assert "TEST - this is no invoice" in text_of(PAGES.pdf(invoice(mode="test")))
    assert "TEST" not in text_of(PAGES.pdf(invoice()))


def test_void_and_credited() -> None:
    assert "is void" in text_of(PAGES.pdf(invoice(status="void", settled=Settled(credited=118_800))))
    note = invoice(kind="credit_note", number="CN-3", due_on=None, corrects="INV-7", reason="late delivery")
    text = text_of(PAGES.pdf(replace(note, settled=Settled())))
    assert "Credit note CN-3" in text
    assert "Corrects invoice INV-7" in text
    assert "Reason: late delivery" in text
    assert "Please pay" not in text


def test_reverse_charge_is_told() -> None:
    document = invoice("de-DE", "EUR")
    taxes = (replace(document.taxes[0], jurisdiction="Austria, reverse charge", rate=Decimal(0), amount=0),)
    text = text_of(PAGES.pdf(replace(document, taxes=taxes)))
    assert "Austria: Steuerschuldnerschaft des Leistungsempfängers 0,00 €" in text


def test_what_does_not_add_up_is_shown_to_nobody() -> None:
    with pytest.raises(DocumentDoesNotAdd, match=r"INV-1042 has lines of 108000 .*masthead verify"):
        checked(invoice(total=1))


def test_own_words_template_and_fonts_come_first(tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "ja.yaml").write_text("invoice: 請求書\ntotal: 合計\n")
    text = text_of(InvoicePages(Shelf(tmp_path)).pdf(invoice("ja-JP", "JPY")))
    assert "請求書 INV-1042" in text
    assert "合計 ￥1,188" in text
    assert "Number" in text  # what was not translated stays English
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "invoice.typ").write_text(
        '#let d = json(bytes(sys.inputs.at("document")))\nOwn: #d.heading'
    )
    assert "Own: Invoice INV-1042" in text_of(InvoicePages(Shelf(tmp_path)).pdf(invoice()))


def test_what_is_wrong_with_own_files_is_told(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "invoice.typ").write_text("#unknown-thing")
    with pytest.raises(TemplateError, match=r"invoice.typ cannot make INV-1042: .*unknown"):
        InvoicePages(Shelf(tmp_path)).pdf(invoice())
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "de.yaml").write_text("invoice: [a]")
    with pytest.raises(TemplateError, match=r"de\.yaml has to be lines"):
        Shelf(tmp_path).words("de")
    with pytest.raises(TemplateError, match="is no folder"):
        Shelf(tmp_path / "none")


@pytest.mark.parametrize(
    ("account", "locale"),
    [
        ("de-CH", "de_CH"),
        ("fr-FR", "en_FR"),
        ("en-NZ", "en_NZ"),
        ("xx", "en_001"),
        ("", "en_001"),
        ("en", "en"),
    ],
)
def test_in_which_locale_an_account_is_written_to(account: str, locale: str) -> None:
    assert str(Shelf().locale_for(account)) == locale


def test_a_period_of_one_day_is_that_day() -> None:
    line = replace(invoice().lines[0], ends_on=date(2026, 12, 2))
    assert "Digital, yearly Dec 1, 2026 1" in text_of(PAGES.pdf(invoice(lines=(line,))))

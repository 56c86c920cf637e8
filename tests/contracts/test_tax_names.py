"""The workflow id of tax documents and its inverse."""

from __future__ import annotations

import pytest

from contracts.names import parse_tax_documents_id, tax_documents_id


def test_the_id_of_tax_documents_leads_back_to_its_connection() -> None:
    assert parse_tax_documents_id(tax_documents_id("avatax")) == "avatax"
    for other in ("tax", "tax/", "sync/x"):
        with pytest.raises(ValueError, match="not a workflow id of tax documents"):
            parse_tax_documents_id(other)

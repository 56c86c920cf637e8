"""Where accounts are taxed."""

from __future__ import annotations

from domain.tax_documents import address_for_tax
from storage.database import PgConnection
from storage.tax_documents import tax_places


def load_places(connection: PgConnection, accounts: list[str]) -> dict[str, dict[str, str]]:
    """The address of each account as a tax engine needs it, by account; empty where nothing is known."""
    return {
        account: address_for_tax(address, region)
        for account, address, region in tax_places(connection, accounts)
    }

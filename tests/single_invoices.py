"""One taxed invoice at a time, as a checkout posts it: quoted, posted with the tax given, its document recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import psycopg
import uuid_utils
from sqlalchemy import Engine
from temporalio.testing import ActivityEnvironment

from activities.tax_documents import TaxDocumentActivities
from activities.tax_orders import TaxUse, WhenAway
from activities.tax_quotes import QuotePatience, TaxQuotes
from connectors.sdk.connector import Connector
from connectors.sdk.memory import memory_context
from connectors.sdk.values import Address
from contracts.tax import TaxTurn, TaxTurnDone
from domain.charge_key import charge_key
from domain.invoices import Draft, Payer, add_tax, finish
from domain.lines import ONE, Line
from domain.tax import TaxTable
from domain.tax_documents import EngineTax, put_tax_on
from operations.tax.documents import Taxed, record_tax_document
from storage.database import PgConnection, transaction
from storage.posting import Template, copy_children, copy_invoices, documents

NAME = "taxes"
DAY = date(2026, 12, 1)
SELLER = Address(line1="620 8th Ave", city="New York", region="NY", postal_code="10018", country="US")
HASTY = QuotePatience(quote=2.0, tries=2, first_pause=0.01, in_line=2.0)


def line(amount: int, category: str = "news", **more: Any) -> Line:
    """A charge for December."""
    item, charge = str(uuid_utils.uuid7()), f"one|{amount}"
    found = Line(
        "recurring", item, str(uuid_utils.uuid7()), "news", DAY, date(2027, 1, 1), ONE, amount, None, None, None,
        charge_key(item, charge), charge, category,
    )  # fmt: skip
    for name, value in more.items():
        setattr(found, name, value)
    return found


@dataclass(frozen=True)
class Sold:
    """An invoice that was posted."""

    invoice_id: str
    code: str
    tax: int


@dataclass
class Shop:
    """Sells to accounts of one database, taxed by one connector at one stand-in. timeout: seconds of one call to it."""

    engine: Engine
    connector: type[Connector[Any]]
    stand_in: Any
    when_away: WhenAway = WhenAway.WAIT
    modes: Sequence[str] = ("live",)
    table: TaxTable = field(default_factory=lambda: TaxTable([]))
    timeout: float | None = None

    def __post_init__(self) -> None:
        use = TaxUse(NAME, SELLER, self.when_away, {"news": "PN010000", "digital": "PN010000"})
        self.quotes = TaxQuotes(self.engine, self.open, dict.fromkeys(self.modes, use), HASTY)

    async def open(self, name: str, /) -> Connector[Any]:
        """The connector, made anew; whoever asked for it closes it."""
        config = self.connector.Config.model_validate(self.connector.sandbox_config(self.stand_in.base_url))
        return self.connector(
            config, memory_context(name, secrets={"SANDBOX_SECRET": "sandbox-licence"}, timeout=self.timeout)
        )

    def account(self, region: str | None = "US-NY", *, exempt: bool = False, mode: str = "live") -> Payer:
        """A new account."""
        account = str(uuid_utils.uuid7())
        with transaction(self.engine) as connection:
            connection.execute(
                "insert into account (id, mode, external_key, currency, time_zone, locale, tax_region, tax_exempt)"
                " values (%s, %s, %s, 'USD', 'America/New_York', 'en', %s, %s)",
                (account, mode, account, region, exempt),
            )
        return Payer(account, mode, "USD", region, exempt, 14)

    def draft(self, payer: Payer, *lines: Line) -> Draft:
        """An invoice of the day that has no tax yet."""
        return Draft("", payer, DAY, list(lines or (line(1000),)))

    async def sell(self, payer: Payer, *lines: Line) -> Sold:
        """Quote, then post."""
        draft = self.draft(payer, *lines)
        tax = await self.quotes.quote(draft, self.table, HASTY)
        with transaction(self.engine) as connection:
            return self.post(connection, draft, tax)

    def post(self, connection: PgConnection, draft: Draft, tax: EngineTax | None) -> Sold:
        """The transaction of whoever posts a single invoice."""
        if tax is None:
            add_tax(draft, self.table)
        else:
            put_tax_on(draft, tax)
        finish(draft)
        items = [each.item_id for each in draft.lines if each.item_id]
        [document] = documents([Template(draft, items)], [draft.payer.id], [items])
        copy_children(connection, [document])
        (number,) = copy_invoices(connection, draft.payer.mode, [document], None)
        invoice_id = str(UUID(bytes=document.invoice_id))
        code = f"{'INV' if draft.payer.mode == 'live' else 'TEST'}-{number}"
        if tax is not None:
            record_tax_document(connection, Taxed(invoice_id, draft.payer.id, draft.payer.mode, code, tax))
        return Sold(invoice_id, code, draft.tax)

    async def turn(self, *, careful: bool = False, changed: Sequence[str] = ()) -> TaxTurnDone:
        """One turn of recording, as an attempt of its activity."""
        activities = TaxDocumentActivities(self.engine, self.open)
        order = TaxTurn(connection=NAME, careful=careful, changed=list(changed))
        done: TaxTurnDone = await ActivityEnvironment().run(activities.settle, order)
        return done

    def documents(self) -> dict[str, tuple[Any, ...]]:
        """(status, charged, recorded, settled) by code."""
        return {code: tuple(rest) for code, *rest in self._documents()}

    def _documents(self) -> list[tuple[Any, ...]]:
        with transaction(self.engine) as connection:
            return connection.execute(
                "select code, status, total, recorded_total, settled_at is not null from tax_document order by code"
            ).fetchall()

    def parks(self) -> list[tuple[Any, ...]]:
        """(kind, kind of error, message) of what is parked in the open."""
        with transaction(self.engine) as connection:
            return connection.execute(
                "select kind, error_kind, message from parked where resolved_at is null order by opened_at"
            ).fetchall()

    def set_void(self, sold: Sold) -> None:
        """Mark the invoice as void, as voiding it does."""
        with psycopg.connect(
            self.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
        ) as c:
            c.execute("update invoice set status = 'void', balance = 0 where id = %s", (sold.invoice_id,))

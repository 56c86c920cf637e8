"""Tax for somebody who waits for an answer: the connected engine is asked as a checkout asks it, for two seconds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Engine

from activities.tax_orders import TaxNotFound, TaxPending, TaxRefused, TaxUse
from activities.tax_quotes import QuotePatience, TaxQuotes
from connectors.sdk.connector import Connector
from domain.invoices import Draft
from domain.tax import TaxTable
from domain.tax_documents import EngineTax, TaxSource
from runtime.connections import Connections
from runtime.settings import Settings

log = logging.getLogger("masthead.api.tax")

SECONDS = 2.0
# One try, which ends before the whole does, so that the engine counts as away and the next who ask are told at once.
MARGIN = 0.2
ONE_TRY = QuotePatience(quote=SECONDS - MARGIN, tries=1, in_line=0.0)
_BY_ITSELF = "Nothing: it is billed by itself, for the same day."


class Taxed(NamedTuple):
    """What an engine says, or why it says nothing: then the built-in table's tax is an estimate. Both None: no engine
    is connected, or it has nothing to say, and the table's is the tax."""

    tax: EngineTax | None = None
    estimated_because: str | None = None


class NotToInvoice(Exception):
    """There is no tax to invoice by. `waits`: the engine is away or slow (`because`), and the invoice waits for it;
    else it refuses this one. message and remedy are for the operator."""

    def __init__(self, because: str, message: str, remedy: str, *, waits: bool) -> None:
        super().__init__(message)
        self.because = because
        self.message = message
        self.remedy = remedy
        self.waits = waits


class TaxNow:
    """The tax engines of this process."""

    def __init__(self, quotes: TaxQuotes, seconds: float = SECONDS) -> None:
        self._quotes = quotes
        self._seconds = seconds

    async def ask(self, draft: Draft, table: TaxTable, place: Mapping[str, str] | None) -> Taxed:
        """The tax of a draft; `place` for an account that is not there yet. Never raises for what an engine does."""
        try:
            async with asyncio.timeout(self._seconds):
                tax = await self._quotes.quote(draft, table, ONE_TRY, place)
        except TimeoutError:
            return Taxed(estimated_because="engine_slow")
        except TaxRefused as error:
            return Taxed(estimated_because=error.error_kind)
        except TaxNotFound:
            return Taxed(estimated_because="engine_away")
        except Exception:
            log.exception("a tax engine could not be asked for a quote")
            return Taxed(estimated_because="engine_away")
        if tax is not None and tax.source is TaxSource.FALLBACK:
            return Taxed(estimated_because="engine_away")
        return Taxed(tax)

    async def to_invoice(self, draft: Draft, table: TaxTable, seconds: float) -> EngineTax | None:
        """The tax to invoice a draft by, within so many seconds: the engine's, or, while it is away and the policy says
        so, the table's, marked. None where no engine has to know of it. Raises NotToInvoice."""
        seconds = min(seconds, self._seconds)
        # One try ends before the whole does, so that a slow engine counts as away, as the policy says.
        patience = replace(ONE_TRY, quote=max(seconds - MARGIN, seconds / 2))
        try:
            async with asyncio.timeout(seconds):
                return await self._quotes.quote(draft, table, patience)
        except TimeoutError:
            slow = f"the tax was not there within {seconds:.1f} s"
            raise NotToInvoice("engine_slow", slow, _BY_ITSELF, waits=True) from None
        except TaxPending as error:
            raise NotToInvoice("engine_away", error.message, error.remedy, waits=True) from None
        except TaxRefused as error:
            raise NotToInvoice(error.error_kind, error.message, error.remedy, waits=False) from None
        except Exception:
            log.exception("a tax engine could not be asked for the tax of an invoice")
            failed = "asking for the tax failed; the log of the API says why"
            raise NotToInvoice("engine_away", failed, _BY_ITSELF, waits=True) from None


@asynccontextmanager
async def taxing_now(settings: Settings, engine: Engine, uses: Mapping[str, TaxUse]) -> AsyncIterator[TaxNow]:
    """What asks the engines of `uses` while the block runs. Without any, no connection is made."""
    if not uses:
        yield TaxNow(TaxQuotes(engine, _no_connection, {}))
        return
    connections = Connections.of(settings)
    try:
        yield TaxNow(TaxQuotes(engine, connections.open, uses))
    finally:
        await connections.aclose()


async def _no_connection(name: str, /) -> Connector[Any]:
    raise LookupError(f"no tax engine is connected, {name} least of all")

"""Asking the connected tax engine for drafts: side by side, within its budget, and not at all while it is away.

Nothing is recorded there by a quote, so a quote may be lost or asked for again. What was quoted is posted with
`operations.tax.documents.record_tax_document`, and recorded at the engine afterwards.
"""

from __future__ import annotations

import asyncio
import copy
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine

from activities.call_attempt import OpenConnector, described
from activities.tax_orders import (
    TaxNotFound,
    TaxPending,
    TaxRefused,
    TaxUse,
    WhenAway,
    fallback_tax,
    order_of,
    tax_of,
)
from connectors.sdk.capabilities.tax import TaxEngine, TaxOrder, TaxQuote
from connectors.sdk.config import MissingSecret
from connectors.sdk.connector import Connector
from connectors.sdk.context import traced
from connectors.sdk.errors import Broken, ConnectorError, DefinitionError, RateLimited, Rejected, Transient
from connectors.sdk.redaction import personal_values, redact
from domain.invoices import Draft, add_tax
from domain.tax import TaxTable
from domain.tax_documents import EngineTax, lines_to_tax
from domain.taxation import GivenTax
from operations.tax.places import load_places
from storage.database import transaction

LONGEST_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class QuotePatience:
    """How long one quote is tried for, in seconds, before the engine counts as away. quote: one try; tries: while it
    does not answer; in_line: for its turn, while there are more calls than the engine takes."""

    quote: float = 20.0
    tries: int = 3
    first_pause: float = 0.3
    in_line: float = 300.0


# For somebody who waits at a checkout.
AT_ONCE = QuotePatience(quote=10.0, tries=2, in_line=15.0)
# Quotes of one process at the same time; the budget says how fast.
SIDE_BY_SIDE = 16
# After it was found away, the engine is left alone for as long; who asks meanwhile is told so at once. The next who
# asks tries once, and not for long.
LEFT_ALONE_SECONDS = 3.0
PROBE_SECONDS = 5.0


class TaxQuotes:
    """The tax engines of one process and event loop. uses: by the mode of what is billed; a mode that is not there is
    taxed by the built-in table."""

    def __init__(
        self,
        engine: Engine,
        open_connector: OpenConnector,
        uses: Mapping[str, TaxUse],
        patience: QuotePatience | None = None,
    ) -> None:
        self._engine = engine
        self._open = open_connector
        self._uses = dict(uses)
        self._patience = patience or QuotePatience()
        self._gate = asyncio.Semaphore(
            SIDE_BY_SIDE
        )  # of the many; who waits alone does not queue behind them
        self._away: dict[str, tuple[float, str]] = {}

    def asked(self, mode: str) -> bool:
        """Whether an engine taxes what is billed in `mode`."""
        return mode in self._uses

    async def quote(
        self,
        draft: Draft,
        table: TaxTable,
        patience: QuotePatience = AT_ONCE,
        place: Mapping[str, str] | None = None,
    ) -> EngineTax | None:
        """The tax of one draft: for a checkout, a change of plan, a one-time charge. None where no engine has to know
        of it, in a mode that the built-in table taxes above all: then `domain.invoices.add_tax` does the rest.

        place: where it is taxed, for an account that is not there yet; default: as its rows say.

        Ask before the transaction that posts: in it, `domain.tax_documents.put_tax_on` the draft, `finish` and post it,
        and give its number to `operations.tax.documents.record_tax_document`. The answer may be kept as JSON meanwhile
        (pydantic's TypeAdapter(EngineTax)), in a row, since it holds an address; nothing has to be undone where it is
        never posted.

        Raises TaxPending while the engine is away and the policy is to wait (nothing may be posted then), TaxRefused
        for a draft that it does not tax. Under the policy `fallback` the table's tax comes back, marked as such.
        """
        use = self._uses.get(draft.payer.mode)
        if use is None:
            return None
        if place is None:
            places = await asyncio.to_thread(self._places, [draft.payer.id])
            place = places.get(draft.payer.id, {})
        return await self._quoted(draft, place, use, table, patience)

    async def quote_all(
        self, drafts: Sequence[Draft], table: TaxTable, told: Callable[[int], None] = lambda _: None
    ) -> dict[str, EngineTax | TaxNotFound | None]:
        """The tax of many drafts of one mode, by account. told: called with how many are done."""
        use = self._uses[drafts[0].payer.mode]
        places = await asyncio.to_thread(self._places, [draft.payer.id for draft in drafts])
        found: dict[str, EngineTax | TaxNotFound | None] = {}
        waiting = iter(drafts)

        async def ask() -> None:
            for draft in waiting:
                account = draft.payer.id
                try:
                    async with self._gate:
                        found[account] = await self._quoted(
                            draft, places.get(account, {}), use, table, self._patience
                        )
                except TaxNotFound as error:
                    found[account] = error
                except Exception as error:  # whatever is wrong with one draft must not stop the others
                    found[account] = _stumbled(use, error)
                told(len(found))

        async with asyncio.TaskGroup() as group:
            for _ in range(min(SIDE_BY_SIDE, len(drafts))):
                group.create_task(ask())
        return found

    def _places(self, accounts: list[str]) -> dict[str, dict[str, str]]:
        with transaction(self._engine, read_only_snapshot=True) as connection:
            return load_places(connection, accounts)

    async def _quoted(
        self, draft: Draft, place: Mapping[str, str], use: TaxUse, table: TaxTable, patience: QuotePatience
    ) -> EngineTax | None:
        """None where no line is left that the engine would be told of."""
        try:
            async with self._opened(use) as connector:
                settled = connector.records_charged
                if not settled and all(line.charged is not None for line in lines_to_tax(draft.lines)):
                    return None
                order = order_of(draft, place, use, settled=settled)
                quote = await self._asked(connector, order, use, patience)
        except TaxPending:
            if use.when_away is not WhenAway.FALLBACK:
                raise
            order = order_of(draft, place, use, settled=True)
            return fallback_tax(order, _of_table(draft, table), draft.issued_on, use.connection)
        return tax_of(draft, order, quote, use.connection)

    @asynccontextmanager
    async def _opened(self, use: TaxUse) -> AsyncIterator[TaxEngine]:
        try:
            connector: Connector[Any] = await self._open(use.connection)
        except (DefinitionError, MissingSecret) as error:
            raise _pending(use, str(error)) from None
        try:
            if not isinstance(connector, TaxEngine):
                raise _pending(use, f"{connector.name} is no tax engine")
            yield connector
        finally:
            await connector.aclose()

    async def _asked(
        self, connector: TaxEngine, order: TaxOrder, use: TaxUse, patience: QuotePatience
    ) -> TaxQuote:
        until, why = self._away.get(use.connection, (0.0, ""))
        if time.monotonic() < until:
            raise _pending(use, why)
        if until:
            patience = replace(patience, quote=min(patience.quote, PROBE_SECONDS), tries=1)
        try:
            with traced("tax quote", use.connection):
                quote = await _tried(connector, order, patience)
        except Rejected as error:
            if error.blame == "data":
                raise _refused(use, order, error) from None
            problem: Exception = error
        except (ConnectorError, DefinitionError, MissingSecret) as error:
            problem = error
        else:
            self._away.pop(use.connection, None)
            return quote
        why = _words(order, problem)
        # An answer that cannot be read may be this draft's alone.
        if not isinstance(problem, Broken):
            self._away[use.connection] = (time.monotonic() + LEFT_ALONE_SECONDS, why)
        raise _pending(use, why)


async def _tried(connector: TaxEngine, order: TaxOrder, patience: QuotePatience) -> TaxQuote:
    """A quote, asked for again while the engine does not answer. Raises what the last try raised."""
    tries, since = 0, time.monotonic()
    while True:
        try:
            async with asyncio.timeout(patience.quote):
                return await connector.quote(order)
        except RateLimited as error:
            pause = error.after.total_seconds() if error.after is not None else 1.0
            if time.monotonic() + pause - since > patience.in_line:
                raise
        except (Transient, TimeoutError) as error:
            tries += 1
            if tries >= patience.tries:
                if isinstance(error, TimeoutError):
                    raise Transient(f"no answer within {patience.quote:g} s") from None
                raise
            pause = patience.first_pause * 2**tries
        except (ConnectorError, DefinitionError, MissingSecret):
            raise
        except Exception as error:
            raise Broken(described(error)) from None
        await asyncio.sleep(pause)


def _of_table(draft: Draft, table: TaxTable) -> list[GivenTax]:
    """What the built-in table says, in the form of an engine's answer."""
    before = len(draft.lines)
    taxed = Draft(draft.id, draft.payer, draft.issued_on, [copy.copy(line) for line in draft.lines])
    add_tax(taxed, table)
    return [
        GivenTax(line.parent, _jurisdiction(line.reference), line.rate, line.amount)
        for line in taxed.lines[before:]
        if line.parent is not None and line.rate is not None
    ]


def _jurisdiction(reference: str | None) -> str:
    """Without what is put behind it again when it goes on the draft."""
    return (reference or "").removesuffix(", reverse charge")


def _words(order: TaxOrder, error: Exception) -> str:
    """What went wrong, without the personal data of the order that the engine may repeat."""
    personal = personal_values(json.dumps(order.model_dump(mode="json")).encode(), "application/json")
    message = error.message if isinstance(error, ConnectorError) else str(error)
    return redact(message, personal).replace("\0", "")[:LONGEST_MESSAGE]


def _pending(use: TaxUse, why: str) -> TaxPending:
    return TaxPending(
        "tax_pending",
        f"{use.connection} could not be asked for the tax: {why}",
        f"Nothing but to get {use.connection} back (masthead connectors check {use.connection}): then it is billed by "
        "itself, for the same day.",
    )


def _refused(use: TaxUse, order: TaxOrder, error: Rejected) -> TaxRefused:
    code = f" ({error.code})" if error.code else ""
    return TaxRefused(
        "tax_rejected",
        f"{use.connection} refuses to tax it{code}: {_words(order, error)}",
        "Correct the account's address or the catalog's tax categories, then: masthead bill-run --parked --as-of DATE",
    )


def _stumbled(use: TaxUse, error: Exception) -> TaxRefused:
    return TaxRefused(
        type(error).__name__,
        f"asking {use.connection} for the tax failed: {described(error)}",
        "Look at the account and at the connector, then: masthead bill-run --parked --as-of DATE",
    )

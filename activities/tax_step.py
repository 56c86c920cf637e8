"""The tax step of a bill run that asks a connected engine: from the thread of a chunk to the event loop and back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import wait

from activities.tax_orders import TaxNotFound
from activities.tax_quotes import TaxQuotes
from domain.invoices import Draft
from domain.tax import TaxTable
from domain.tax_documents import put_tax_on
from operations.billrun.rate import Refusal, TaxAnswers, TaxStep, refusal

# How often the chunk looks whether it shall go on.
LOOK_SECONDS = 0.25


class EngineTaxes:
    """The tax engines of a process, as its bill runs ask them. loop: where connectors live."""

    def __init__(self, quotes: TaxQuotes, loop: asyncio.AbstractEventLoop) -> None:
        self._quotes = quotes
        self._loop = loop

    def asked(self, mode: str) -> bool:
        """Whether an engine is asked for `mode`."""
        return self._quotes.asked(mode)

    def step(self, mode: str, table: TaxTable, heartbeat: Callable[[str], None]) -> TaxStep:
        """The step that asks it. To be called in a thread of its own, never on the loop."""

        def ask(drafts: Sequence[Draft]) -> TaxAnswers:
            return self._tax(drafts, table, heartbeat) if drafts else TaxAnswers()

        return ask

    def _tax(self, drafts: Sequence[Draft], table: TaxTable, heartbeat: Callable[[str], None]) -> TaxAnswers:
        done = 0

        def told(count: int) -> None:
            nonlocal done
            done = count

        asking = asyncio.run_coroutine_threadsafe(self._quotes.quote_all(drafts, table, told), self._loop)
        try:
            while not wait([asking], LOOK_SECONDS).done:
                heartbeat(f"tax: {done} of {len(drafts)} quoted")
        except BaseException:
            asking.cancel()
            raise
        answers = TaxAnswers()
        found = asking.result()
        for draft in drafts:
            account = draft.payer.id
            tax = found[account]
            if isinstance(tax, TaxNotFound):
                answers.refused[account] = Refusal(tax.error_kind, tax.message, tax.remedy)
                continue
            if tax is None:
                continue
            try:
                put_tax_on(draft, tax)
            except ValueError as error:
                answers.refused[account] = refusal(error)
            else:
                answers.given[account] = tax
        return answers

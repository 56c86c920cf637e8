"""Commands that invoice at once where a tax engine is connected: it is asked first, for a few seconds at most, while
nothing is locked; then the command is carried out by what it said, or without its invoice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from fastapi import Request, Response

from api.database import in_snapshot
from api.problems import Problem
from api.tax_now import NotToInvoice, TaxNow
from operations.accounts.at_once import AtOnce, NotAsked, Pending
from operations.accounts.planning import Plan
from operations.accounts.taxing import DraftMoved, Quotes, saying
from storage.database import PgConnection

SECONDS = 4.0  # for all that is asked for one command
TIMES = 3  # that it is asked anew because the account changed meanwhile
_MOVED = Pending(
    "changed_meanwhile",
    "the account changed each time while its tax was asked for, so that nothing was invoiced within the command",
    "Nothing: it is billed by itself, for the same day.",
)


async def answer_taxed(
    request: Request,
    planned: Callable[[PgConnection], Plan | None],
    carried_out: Callable[[AtOnce | None], Awaitable[Response]],
) -> Response:
    """The answer of a command: `planned` tells from a snapshot what it would invoice, the engine says its tax, and
    `carried_out` does it by that, in a transaction of its own. Raises Problem (409) for what the engine refuses."""
    until = time.monotonic() + SECONDS
    for _ in range(TIMES):
        said = await _asked(request, planned, until)
        try:
            return await carried_out(said)
        except (DraftMoved, NotAsked):
            continue
    return await carried_out(AtOnce(datetime.now(UTC), pending=_MOVED))


async def _asked(
    request: Request, planned: Callable[[PgConnection], Plan | None], until: float
) -> AtOnce | None:
    taxes: TaxNow = request.app.state.tax_now
    plan = await in_snapshot(request, planned)
    if plan is None:
        return None
    quotes = Quotes()
    try:
        # Of credits that are more than the charges, the charges are asked for by themselves.
        while (draft := await asyncio.to_thread(plan.draft, quotes)) is not None:
            left = max(until - time.monotonic(), 0.0)
            quotes.known[saying(draft)] = await taxes.to_invoice(draft, plan.tariff.taxes, left)
    except NotToInvoice as error:
        if not error.waits:
            raise _refused(request, error) from None
        return AtOnce(plan.now, pending=Pending(error.because, error.message, error.remedy))
    return AtOnce(plan.now, quotes)


def _refused(request: Request, error: NotToInvoice) -> Problem:
    """What the engine says goes to the publisher's keys; a subscriber's own hears that it is so."""
    own = request.state.caller.account_id is not None
    return Problem(
        409,
        error.because,
        "This cannot be invoiced at once." if own else f"Nothing is invoiced at once: {error.message}.",
        remedy="Correct the account's address or the catalog's tax categories; or leave out invoice_now, and the next "
        "bill run makes the invoice.",
    )

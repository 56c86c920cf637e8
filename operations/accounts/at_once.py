"""What a command invoices at once where a tax engine is connected: it was asked while nothing was locked, and the
command posts by what it said, or leaves the invoice to a bill run until the engine is back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from domain.account.dates import whole_due_on
from domain.account.state import AccountState
from domain.tax_documents import TaxSource
from operations.accounts.taxing import Quotes
from operations.accounts.unit import Changing
from storage.bill_runs import resolve_parks
from storage.database import PgConnection
from storage.parked import Park, park

TAX_PENDING = "tax_pending"


class NotAsked(Exception):
    """A command is to invoice at once, and the engine that taxes the account was not asked."""


class Pending(NamedTuple):
    """Why there is no tax yet: `because` for machines, and for the operator what happened and what to do."""

    because: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class AtOnce:
    """What the engine said of the invoices that a command makes at the instant `now`, or why they wait for it."""

    now: datetime
    quotes: Quotes = field(default_factory=Quotes)
    pending: Pending | None = None

    def record(self, connection: PgConnection, unit: Changing) -> dict[str, Any]:
        """Note, in the transaction of what `unit` wrote, what the engine has to know of its invoices, or that they wait
        for it. Answers what the command tells of that: `tax_by` and `tax_pending`."""
        account = unit.account
        if self.pending is not None:
            if not _owes(account):
                return {}
            # A test clock bills the day on which it stands when it goes on.
            if unit.rows.head.clock_at is None:
                _park(connection, account, self.pending)
            return {"tax_pending": self.pending.because}
        self.quotes.record(connection, unit)
        if not unit.written.invoices:
            return {}
        # What an earlier run or command had to leave is on the invoice.
        resolve_parks(connection, [account.id])
        sources = {tax.source for _, tax in self.quotes.used if tax is not None}
        fallback = TaxSource.FALLBACK in sources
        return {"tax_by": TaxSource.FALLBACK.value if fallback else TaxSource.ENGINE.value} if sources else {}


def _park(connection: PgConnection, account: AccountState, pending: Pending) -> None:
    """As a bill run parks it. What a run had to leave before stays that run's, which bills this with it."""
    park(
        connection,
        Park(
            kind="bill-run",
            trace_key=f"bill-run/account/{account.id}",
            error_kind=TAX_PENDING,
            message=pending.message,
            remedy=pending.remedy,
            mode=account.mode,
            account_id=account.id,
        ),
    )


def _owes(account: AccountState) -> bool:
    """Whether a bill run of today has something to invoice."""
    days = [whole_due_on(account), *(each.terms.next_bill_on for each in account.subscriptions.values())]
    return any(day is not None and day <= account.today for day in days)

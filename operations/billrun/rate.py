"""Rate and tax: from the rows of a chunk of accounts to drafts of invoices. Nothing is locked or written here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from uuid_utils import uuid7

from domain.invoices import Draft, add_tax, finish
from domain.price_book import PriceBook
from domain.rating import UsageKey, rate_subscription, usage_windows
from domain.tax import TaxTable
from storage.billable import (
    Billable,
    Target,
    UsageWindow,
    load_billable,
    load_usage,
    parked_accounts,
    usage_mark,
)
from storage.database import PgConnection
from storage.posting import Advance


@dataclass(slots=True)
class Refusal:
    """Why an account could not be billed, for the operator: what happened, and what to do."""

    error_kind: str
    message: str
    remedy: str


@dataclass(slots=True)
class Prepared:
    """An account ready to post: its invoice, if it owes anything, and where its subscriptions go."""

    account_id: str
    draft: Draft
    advances: list[Advance]


@dataclass(slots=True)
class RatedChunk:
    """What rating made of a chunk: accounts to post, accounts refused, accounts with nothing due."""

    prepared: list[Prepared] = field(default_factory=list)
    refused: dict[str, Refusal] = field(default_factory=dict)
    nothing_due: list[str] = field(default_factory=list)
    open_parks: set[str] = field(default_factory=set)


class TaxStep(Protocol):
    """The middle step: add tax lines to drafts. The built-in table does it at once; an engine would ask outside."""

    def __call__(self, drafts: Sequence[Draft]) -> dict[str, Refusal]:
        """Tax `drafts` in place; answer the accounts that could not be taxed, with the reason."""
        ...


def rate_chunk(
    connection: PgConnection, book: PriceBook, accounts: Sequence[str], target: Target
) -> RatedChunk:
    """Rate `accounts` up to `target`. `connection` must be in a snapshot, so that rows and usage belong together.

    An account whose rating raises is refused alone; the others are rated.
    """
    chunk = RatedChunk()
    billable = load_billable(connection, accounts, target)
    chunk.nothing_due = [account for account in accounts if account not in billable]
    chunk.open_parks = parked_accounts(connection, accounts)
    windows, refused = _usage_windows(book, billable.values())
    chunk.refused.update(refused)
    usage = load_usage(connection, windows)
    mark = usage_mark(connection) if windows else None
    for account_id, account in billable.items():
        if account_id in chunk.refused:
            continue
        try:
            prepared = _rate_account(book, account, usage, mark)
        except Exception as error:  # whatever is wrong with one account must not stop the others
            chunk.refused[account_id] = refusal(error)
            continue
        if prepared is None:
            chunk.nothing_due.append(account_id)
        else:
            chunk.prepared.append(prepared)
    return chunk


def refusal(error: Exception) -> Refusal:
    """The operator's view of an error in rating or posting."""
    detail = str(error).strip().splitlines()
    return Refusal(
        type(error).__name__,
        detail[0][:500] if detail else type(error).__name__,
        "Correct the account's subscription or the catalog, then: masthead bill-run --parked --as-of DATE",
    )


def _usage_windows(
    book: PriceBook, accounts: Iterable[Billable]
) -> tuple[list[UsageWindow], dict[str, Refusal]]:
    windows: list[UsageWindow] = []
    refused: dict[str, Refusal] = {}
    for account in accounts:
        try:
            for terms in account.subscriptions:
                windows += [
                    UsageWindow(terms.id, item, meter, account.zone, since, until)
                    for item, meter, since, until in usage_windows(
                        book, account.payer.currency, terms, account.billing_day
                    )
                ]
        except Exception as error:
            refused[account.payer.id] = refusal(error)
    return windows, refused


def _rate_account(
    book: PriceBook, account: Billable, usage: Mapping[UsageKey, Decimal], mark: tuple[int, str] | None
) -> Prepared | None:
    draft = Draft(str(uuid7()), account.payer, account.billing_day, [])
    advances = []
    for terms in account.subscriptions:
        rated = rate_subscription(book, account.payer.currency, terms, account.billing_day, usage)
        if rated is None:
            continue
        base = len(draft.lines)
        if base:
            for line in rated.lines:
                if line.parent is not None:
                    line.parent += base
        draft.lines += rated.lines
        metered = mark is not None and any(
            book.version(item.plan, item.plan_version, account.payer.currency).has_usage
            for item in terms.items
        )
        advances.append(
            Advance(
                terms.id,
                terms.version,
                rated.charged_through,
                rated.arrears_through,
                rated.next_bill_on,
                mark if metered else None,
            )
        )
    return Prepared(account.payer.id, draft, advances) if advances else None


def table_tax(table: TaxTable) -> TaxStep:
    """The tax step of the built-in table."""

    def step(drafts: Sequence[Draft]) -> dict[str, Refusal]:
        refused = {}
        for draft in drafts:
            try:
                add_tax(draft, table)
            except Exception as error:
                refused[draft.payer.id] = refusal(error)
        return refused

    return step


def tax_chunk(chunk: RatedChunk, step: TaxStep) -> None:
    """Tax the prepared drafts of `chunk` and finish their totals; what cannot be taxed becomes refused."""
    chunk.refused.update(step([prepared.draft for prepared in chunk.prepared if prepared.draft.lines]))
    kept = []
    for prepared in chunk.prepared:
        if prepared.account_id in chunk.refused:
            continue
        try:
            finish(prepared.draft)
        except Exception as error:
            chunk.refused[prepared.account_id] = refusal(error)
            continue
        kept.append(prepared)
    chunk.prepared = kept

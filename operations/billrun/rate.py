"""Rate and tax: from the rows of a chunk of accounts to drafts of invoices. Nothing is locked or written here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from domain.invoices import Draft, add_tax, finish
from domain.price_book import PriceBook
from domain.rating import UsageAnswers, metered_by_event, rate_subscription, usage_windows
from domain.tax import TaxPolicy, TaxTable
from domain.tax_documents import EngineTax
from operations.billrun.shapes import Outcome, ShapeMemo
from storage.billable import (
    Billable,
    Due,
    DueAccount,
    Target,
    UsageWindow,
    load_due,
    load_terms,
    load_usage,
    parked_accounts,
    usage_mark,
)
from storage.database import PgConnection
from storage.posting import Advance, Document, Moves, Template, documents


@dataclass(slots=True)
class Refusal:
    """Why an account could not be billed, for the operator: what happened, and what to do."""

    error_kind: str
    message: str
    remedy: str


class Fresh(NamedTuple):
    """An account that had to be rated: its draft waits for tax."""

    account: Due
    draft: Draft
    moves: list[Moves]
    shape: Hashable | None


@dataclass(slots=True)
class Prepared:
    """An account ready to post: its invoice, if it owes anything, where its subscriptions go, and what a tax engine
    has to know of the invoice."""

    account_id: str
    document: Document | None
    advances: list[Advance]
    tax: EngineTax | None = None


@dataclass(slots=True)
class RatedChunk:
    """What rating made of accounts: `fresh` ones to tax, `repeats` of a shape that is known or among the fresh,
    refused ones, and those with nothing due. Taxing turns fresh and repeats into `prepared`."""

    fresh: list[Fresh] = field(default_factory=list)
    repeats: list[tuple[Due, Hashable, Outcome | None]] = field(default_factory=list)
    prepared: list[Prepared] = field(default_factory=list)
    refused: dict[str, Refusal] = field(default_factory=dict)
    nothing_due: list[str] = field(default_factory=list)
    open_parks: set[str] = field(default_factory=set)

    @property
    def rated(self) -> int:
        """How many accounts rating found something for."""
        return len(self.fresh) + len(self.repeats)


@dataclass(slots=True)
class TaxAnswers:
    """What the tax step made of drafts, by account: those that could not be taxed, with the reason, and what a
    connected engine has to know of the others."""

    refused: dict[str, Refusal] = field(default_factory=dict)
    given: dict[str, EngineTax] = field(default_factory=dict)


class TaxStep(Protocol):
    """The middle step: add tax lines to drafts. The built-in table does it at once; a connected engine is asked."""

    def __call__(self, drafts: Sequence[Draft]) -> TaxAnswers:
        """Tax `drafts` in place."""
        ...


class TaxEngines(Protocol):
    """The connected tax engines, by the mode of what is billed."""

    def asked(self, mode: str) -> bool:
        """Whether an engine is asked for `mode`; else the built-in table taxes."""
        ...

    def step(self, mode: str, table: TaxTable, heartbeat: Callable[[str], None]) -> TaxStep:
        """The step that asks the engine of `mode`. heartbeat: called while it is waited for; what that raises ends the
        waiting."""
        ...


def rate_chunk(
    connection: PgConnection,
    book: PriceBook,
    accounts: Sequence[str],
    target: Target,
    memo: ShapeMemo | None,
) -> RatedChunk:
    """Rate `accounts` up to `target`. `connection` must be in a snapshot, so that rows and usage belong together.

    Without a `memo` each account is rated and taxed by itself: a tax engine goes by the address, which is no part of
    the shape.

    An account whose rating raises is refused alone; the others are rated.
    """
    chunk = RatedChunk()
    due = load_due(connection, accounts, target)
    if len(due) < len(accounts):
        found = {account.id for account in due}
        chunk.nothing_due = [account for account in accounts if account not in found]
    chunk.open_parks = parked_accounts(connection, accounts)
    if memo is None:
        _rate_fresh(connection, book, [account._replace(shape=None) for account in due], target, chunk)
        return chunk
    known, alone = memo.known, memo.alone
    fresh: list[Due] = []
    likely: list[Due] = []
    asked: set[Hashable] = set()
    for account in due:
        shape = account.shape
        outcome = known.get(shape)
        if outcome is not None:
            chunk.repeats.append((account, shape, outcome))
        elif shape is None or shape in alone:
            fresh.append(account)
        elif shape in asked:
            likely.append(account)
        else:
            asked.add(shape)
            fresh.append(account)
    memo.rate_alone(_rate_fresh(connection, book, fresh, target, chunk))
    if likely:
        rated = {each.shape for each in chunk.fresh}
        chunk.repeats += [(account, account.shape, None) for account in likely if account.shape in rated]
        # The first of their shape was refused, or has usage of its own.
        rest = [account for account in likely if account.shape not in rated]
        _rate_fresh(connection, book, rest, target, chunk)
    return chunk


def _rate_fresh(
    connection: PgConnection, book: PriceBook, due: Sequence[Due], target: Target, chunk: RatedChunk
) -> set[Hashable]:
    """Rate each of `due` by its terms into `chunk`. Answers the shapes that do not say all, because there is usage."""
    by_id = {account.id: account for account in due}
    metered: list[tuple[DueAccount, Billable]] = []
    windows: list[UsageWindow] = []
    for terms in load_terms(connection, list(by_id), target):
        account = by_id[terms.id]
        try:
            billable = terms.billable()
            if any(book.version(*plan).has_usage for plan in terms.plans()):
                windows += _usage_windows(book, billable)
                metered.append((terms, billable))
                continue
            _rate_account(chunk, book, account, billable, {}, None, account.shape)
        except Exception as error:  # whatever is wrong with one account must not stop the others
            chunk.refused[account.id] = refusal(error)
    if metered:
        usage = load_usage(connection, windows)
        mark = usage_mark(connection)
        for terms, billable in metered:
            try:
                _rate_account(chunk, book, by_id[terms.id], billable, usage, mark, None)
            except Exception as error:
                chunk.refused[terms.id] = refusal(error)
    return {shape for terms, _ in metered if (shape := by_id[terms.id].shape) is not None}


def refusal(error: Exception) -> Refusal:
    """The operator's view of an error in rating or posting."""
    detail = str(error).strip().splitlines()
    return Refusal(
        type(error).__name__,
        detail[0][:500] if detail else type(error).__name__,
        "Correct the account's subscription or the catalog, then: masthead bill-run --parked --as-of DATE",
    )


def _usage_windows(book: PriceBook, account: Billable) -> list[UsageWindow]:
    currency = account.payer.currency
    found = []
    for terms in account.subscriptions:
        by_event = metered_by_event(book, currency, terms)
        found += [
            UsageWindow(
                terms.id,
                item,
                meter,
                account.zone,
                since,
                until,
                terms.arrears_through,
                (item, meter) in by_event,
            )
            for item, meter, since, until in usage_windows(book, currency, terms, account.billing_day)
        ]
    return found


def _rate_account(
    chunk: RatedChunk,
    book: PriceBook,
    account: Due,
    billable: Billable,
    usage: UsageAnswers,
    mark: tuple[int, str] | None,
    shape: Hashable | None,
) -> None:
    """Rate every due subscription of the account into one draft."""
    draft = Draft("", billable.payer, billable.billing_day, [])
    moves: list[Moves] = []
    for terms in billable.subscriptions:
        rated = rate_subscription(book, billable.payer.currency, terms, billable.billing_day, usage)
        if rated is None:
            moves.append(Moves(terms.charged_through, terms.arrears_through, terms.next_bill_on))
            continue
        base = len(draft.lines)
        if base:
            for line in rated.lines:
                if line.parent is not None:
                    line.parent += base
        draft.lines += rated.lines
        moves.append(Moves(rated.charged_through, rated.arrears_through, rated.next_bill_on, mark))
    chunk.fresh.append(Fresh(account, draft, moves, shape))


def table_tax(table: TaxTable, policy: TaxPolicy | None = None) -> TaxStep:
    """The tax step of the built-in table; `policy` holds for all payers where it is given."""

    def step(drafts: Sequence[Draft]) -> TaxAnswers:
        answers = TaxAnswers()
        for draft in drafts:
            try:
                if policy is not None:
                    draft.payer.tax_policy = policy
                add_tax(draft, table)
            except Exception as error:
                answers.refused[draft.payer.id] = refusal(error)
        return answers

    return step


def tax_chunk(chunk: RatedChunk, step: TaxStep, memo: ShapeMemo) -> None:
    """Tax the fresh drafts of `chunk`, finish them, and prepare every account of the chunk for posting. What cannot
    be taxed becomes refused, and so do its repeats."""
    answers = step([fresh.draft for fresh in chunk.fresh if fresh.draft.lines])
    chunk.refused.update(answers.refused)
    learned: dict[Hashable, Outcome] = {}
    failed: dict[Hashable, Refusal] = {}
    for fresh in chunk.fresh:
        account = fresh.account
        try:
            if account.id not in chunk.refused:
                finish(fresh.draft)
                template = Template(fresh.draft, account.item_ids) if fresh.draft.lines else None
                outcome = Outcome(template, fresh.moves)
                if fresh.shape is not None:
                    learned[fresh.shape] = outcome
                    memo.learn(fresh.shape, outcome)
                chunk.prepared += _prepare([account], [outcome], answers.given.get(account.id))
        except Exception as error:
            chunk.refused[account.id] = refusal(error)
        if fresh.shape is not None and account.id in chunk.refused:
            failed[fresh.shape] = chunk.refused[account.id]
    accounts: list[Due] = []
    outcomes: list[Outcome] = []
    for account, shape, known in chunk.repeats:
        if shape in failed:
            chunk.refused[account.id] = failed[shape]
        else:
            accounts.append(account)
            outcomes.append(known or learned[shape])
    chunk.prepared += _prepare(accounts, outcomes)


def _prepare(
    accounts: Sequence[Due], outcomes: Sequence[Outcome], tax: EngineTax | None = None
) -> Iterator[Prepared]:
    """The accounts ready to post, each with what it owes."""
    owing = [
        (outcome.template, account.id, account.item_ids)
        for account, outcome in zip(accounts, outcomes, strict=True)
        if outcome.template is not None
    ]
    made = iter(documents(*zip(*owing, strict=True)) if owing else ())
    for account, outcome in zip(accounts, outcomes, strict=True):
        document = None if outcome.template is None else next(made)
        advances = [
            Advance(subscription, version, moves)
            for (subscription, version), moves in zip(account.subscriptions, outcome.moves, strict=True)
        ]
        yield Prepared(account.id, document, advances, tax if document is not None else None)

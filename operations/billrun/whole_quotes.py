"""What a connected tax engine says of accounts that are billed whole: asked for all of them together, before anything
is locked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time

import psycopg
from sqlalchemy import Engine

from domain.account.days import advance, bill_by
from domain.account.state import AccountState, snapshot
from domain.invoices import Draft
from domain.periods import local_date
from domain.tax_documents import EngineTax
from operations.accounts.taxing import Quotes, saying
from operations.accounts.unit import build, passed
from operations.billrun.rate import Refusal, TaxStep
from operations.tariffs import Tariff
from storage.billable import Target
from storage.database import transaction
from storage.whole.reading import Rows, read_whole

# At noon in UTC it is that day, or the next already, in every time zone.
_EVERYWHERE = time(12)


class NotTaxed(Exception):
    """A tax engine did not tax an account's draft; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.message)


class _FirstDraft(Exception):
    """Billing has come to the first draft, which waits for its tax."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft


def quote_accounts(
    engine: Engine, tariff: Tariff, target: Target, accounts: Sequence[str], asking: TaxStep
) -> dict[str, Quotes | Exception]:
    """`quote_rows` of `accounts` as they stand now."""
    found: dict[str, Quotes | Exception] = {}
    rows = []
    with transaction(engine, read_only_snapshot=True) as connection:
        for account_id in accounts:
            try:
                rows.append(read_whole(connection, account_id, tariff.book, lock=False))
            except psycopg.Error:
                raise
            except Exception as error:  # whatever is wrong with one account must not stop the others
                found[account_id] = error
    return found | quote_rows(rows, tariff, target, asking)


def quote_rows(
    accounts: Sequence[Rows], tariff: Tariff, target: Target, asking: TaxStep
) -> dict[str, Quotes | Exception]:
    """By account, what the engine says of the drafts that a bill up to `target` is made of, or why there is no bill.
    The drafts of all accounts are asked for at once."""
    found: dict[str, Quotes | Exception] = {}
    drafts: dict[str, Draft] = {}
    rows_of: dict[str, Rows] = {}
    for rows in accounts:
        own = str(rows.head.id)
        rows_of[own] = rows
        try:
            draft = _first_draft(rows, tariff, target)
        except Exception as error:  # whatever is wrong with one account must not stop the others
            found[own] = error
            continue
        found[own] = Quotes()
        if draft is not None:
            drafts[own] = draft
    said = {own: saying(draft) for own, draft in drafts.items()}
    answers = asking(list(drafts.values()))
    for own, draft in drafts.items():
        if own in answers.refused:
            found[own] = NotTaxed(answers.refused[own])
            continue
        found[own] = quotes = Quotes({said[own]: answers.given.get(own)})
        if sum(line.amount for line in draft.lines) < 0:
            # Its credits become notes, and its charges a draft of their own.
            try:
                _bill(rows_of[own], tariff, target, quotes.ask(one_by_one(asking)))
            except Exception as error:
                found[own] = error
    return found


def _first_draft(rows: Rows, tariff: Tariff, target: Target) -> Draft | None:
    def stop(draft: Draft) -> None:
        raise _FirstDraft(draft)

    try:
        _bill(rows, tariff, target, stop)
    except _FirstDraft as found:
        return found.draft
    return None


def _bill(rows: Rows, tariff: Tariff, target: Target, taxing: Callable[[Draft], None]) -> None:
    account = on_its_day(rows, tariff, target)
    account.taxing = taxing
    bill_by(account, due_by(account, target))


def one_by_one(asking: TaxStep) -> Callable[[Draft], EngineTax | None]:
    """The step for one draft at a time, which raises NotTaxed."""

    def ask(draft: Draft) -> EngineTax | None:
        answers = asking([draft])
        if draft.payer.id in answers.refused:
            raise NotTaxed(answers.refused[draft.payer.id])
        return answers.given.get(draft.payer.id)

    return ask


def on_its_day(rows: Rows, tariff: Tariff, target: Target) -> AccountState:
    """The account of `rows` on the day on which a run up to `target` bills it, as `changing` has it. What is done to it
    does not reach `rows`."""
    now = rows.head.clock_at or now_of(target)
    built, _ = build(rows, tariff, now, through=target.day)
    account = snapshot(built)
    advance(account, passed(now, account.zone, target.day), fleet=account.collected)
    return account


def due_by(account: AccountState, target: Target) -> date:
    """The local day up to which the account is billed."""
    return target.day or local_date(now_of(target), account.zone)


def now_of(target: Target) -> datetime:
    """When the run bills. One that does not say it is of the day that it bills up to, wherever the account is."""
    found = target.now or target.instant
    if found is not None:
        return found
    if target.day is None:
        raise ValueError("a target is a day or an instant")
    return datetime.combine(target.day, _EVERYWHERE, UTC)

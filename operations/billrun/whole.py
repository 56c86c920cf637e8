"""Billing of accounts that have to be known as a whole: what waits, credit in hand, dunning, a pause that ends today.
One transaction each, through the same rules as commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time

import psycopg
from sqlalchemy import Engine

from domain.account.days import advance, bill_by
from domain.account.state import AccountState
from domain.invoices import Draft
from domain.periods import local_date
from domain.tax_documents import EngineTax
from operations.accounts.taxing import DraftMoved, Quotes
from operations.accounts.unit import build, changing, passed
from operations.billrun.post import ChunkRef, Posted
from operations.billrun.rate import Refusal, TaxStep, refusal
from operations.tariffs import Tariff
from storage.bill_runs import park_accounts, pending_accounts, record_outcome, resolve_parks
from storage.billable import Target
from storage.database import PgConnection, transaction
from storage.whole.reading import Rows, read_whole

# How long an account that somebody else holds is waited for before its turn is put off.
_HELD = "set local lock_timeout = '250ms'"
# At noon in UTC it is that day, or the next already, in every time zone.
_EVERYWHERE = time(12)


def whole_accounts(connection: PgConnection, accounts: Sequence[str]) -> list[str]:
    """Which of `accounts` are billed whole, in order."""
    rows = connection.execute(
        "select id::text from account where id = any(%s::uuid[]) and (billed_whole or rule_book is not null)"
        " order by id",
        (list(accounts),),
    )
    return [row[0] for row in rows]


class NotTaxed(Exception):
    """A tax engine did not tax an account's draft; `refusal` says why."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.message)


def bill_whole(
    engine: Engine,
    ref: ChunkRef,
    tariff: Tariff,
    target: Target,
    accounts: Sequence[str],
    *,
    wait: bool,
    asking: TaxStep | None = None,
) -> Posted:
    """Bill each of `accounts` up to `target`, and record its outcome in the same transaction. What cannot be billed is
    parked; without `wait`, what another transaction holds stays pending (`held`). `asking` is the step of a connected
    tax engine: it is asked before anything is locked."""
    posted = Posted()
    for account_id in accounts:
        try:
            quotes = None if asking is None else _quoted(engine, tariff, target, account_id, asking)
            with transaction(engine) as connection:
                posted.add(_bill(connection, ref, tariff, target, account_id, quotes, wait=wait))
        except DraftMoved:
            posted.moved.append(account_id)
        except NotTaxed as error:
            posted.parked += _park(engine, ref, account_id, error.refusal)
        except psycopg.errors.LockNotAvailable:
            posted.held.append(account_id)
        except psycopg.OperationalError:
            raise
        except Exception as error:  # whatever is wrong with one account must not stop the others
            posted.parked += _park(engine, ref, account_id, refusal(error))
    return posted


def _quoted(engine: Engine, tariff: Tariff, target: Target, account_id: str, asking: TaxStep) -> Quotes:
    """What the engine says of the drafts that the account's bill is made of. Nothing is held while it is asked."""
    quotes = Quotes()

    with transaction(engine, read_only_snapshot=True) as connection:
        rows = read_whole(connection, account_id, tariff.book, lock=False)
    account = _on_its_day(rows, tariff, target)
    account.taxing = quotes.ask(_engine(asking))
    bill_by(account, _due_by(account, target))
    return quotes


def _engine(asking: TaxStep) -> Callable[[Draft], EngineTax | None]:
    def ask(draft: Draft) -> EngineTax | None:
        answers = asking([draft])
        if draft.payer.id in answers.refused:
            raise NotTaxed(answers.refused[draft.payer.id])
        return answers.given.get(draft.payer.id)

    return ask


def _bill(
    connection: PgConnection,
    ref: ChunkRef,
    tariff: Tariff,
    target: Target,
    account_id: str,
    quotes: Quotes | None,
    *,
    wait: bool,
) -> Posted:
    pending = pending_accounts(connection, ref.run_id, ref.no, lock=True)
    if account_id not in pending:
        return Posted()
    if not wait:
        connection.execute(_HELD)
    with changing(connection, tariff, account_id, _now(target), through=target.day) as unit:
        unit.bill_run_id = ref.run_id
        if quotes is not None:
            unit.account.taxing = quotes.put()
        invoice = bill_by(unit.account, _due_by(unit.account, target))
    if quotes is not None:
        quotes.record(connection, unit)
    record_outcome(
        connection,
        ref.run_id,
        ref.no,
        pending=[other for other in pending if other != account_id],
        billed=1 if invoice else 0,
        nothing_due=0 if invoice else 1,
        totals={unit.account.currency: invoice.total} if invoice else {},
    )
    resolve_parks(connection, [account_id])
    return Posted(billed=1) if invoice else Posted(nothing_due=1)


def _on_its_day(rows: Rows, tariff: Tariff, target: Target) -> AccountState:
    """The account of `rows` on the day on which `changing` has it."""
    now = rows.head.clock_at or _now(target)
    account, _ = build(rows, tariff, now, through=target.day)
    advance(account, passed(now, account.zone, target.day), fleet=account.collected)
    return account


def _due_by(account: AccountState, target: Target) -> date:
    return target.day or local_date(_now(target), account.zone)


def _now(target: Target) -> datetime:
    """When the run bills. One that does not say it is of the day that it bills up to, wherever the account is."""
    found = target.now or target.instant
    if found is not None:
        return found
    if target.day is None:
        raise ValueError("a target is a day or an instant")
    return datetime.combine(target.day, _EVERYWHERE, UTC)


def _park(engine: Engine, ref: ChunkRef, account_id: str, reason: Refusal) -> int:
    with transaction(engine) as connection:
        pending = pending_accounts(connection, ref.run_id, ref.no, lock=True)
        if account_id not in pending:
            return 0
        park_accounts(
            connection,
            ref.run_id,
            ref.mode,
            {account_id: (reason.error_kind, reason.message, reason.remedy)},
        )
        rest = [other for other in pending if other != account_id]
        record_outcome(connection, ref.run_id, ref.no, pending=rest, parked=1)
    return 1


def read_for_preview(connection: PgConnection, tariff: Tariff, accounts: Sequence[str]) -> list[Rows]:
    """The rows of `accounts`, for `preview_whole`. Locks nothing."""
    return [read_whole(connection, account_id, tariff.book, lock=False) for account_id in accounts]


def preview_whole(
    rows: Rows, tariff: Tariff, target: Target, asking: TaxStep | None = None
) -> tuple[str, int] | None:
    """(currency, total in minor units) of the invoice that a run up to `target` would make for an account; None when
    nothing is due. Writes nothing. Raises NotTaxed where a connected engine does not tax it."""
    account = _on_its_day(rows, tariff, target)
    if asking is not None:
        account.taxing = Quotes().ask(_engine(asking))
    invoice = bill_by(account, _due_by(account, target))
    return (account.currency, invoice.total) if invoice else None

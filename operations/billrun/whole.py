"""Billing of accounts that have to be known as a whole: what waits, credit in hand, dunning, a pause that ends today.
One transaction each, through the same rules as commands."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from sqlalchemy import Engine

from domain.account.days import bill_by
from operations.accounts.taxing import DraftMoved, Quotes
from operations.accounts.unit import changing
from operations.billrun.post import ChunkRef, Posted
from operations.billrun.rate import Refusal, TaxStep, refusal
from operations.billrun.whole_quotes import NotTaxed, due_by, now_of, on_its_day, quote_accounts, quote_rows
from operations.tariffs import Tariff
from storage.bill_runs import park_accounts, pending_accounts, record_outcome, resolve_parks
from storage.billable import Target
from storage.copying import id_array
from storage.database import PgConnection, transaction
from storage.whole.reading import Rows, read_whole

# How long an account that somebody else holds is waited for before its turn is put off.
_HELD = "set local lock_timeout = '250ms'"


def whole_accounts(connection: PgConnection, accounts: Sequence[str]) -> list[str]:
    """Which of `accounts` are billed whole, in order."""
    rows = connection.execute(
        "select id::text from account where id = any(%s::uuid[]) and (billed_whole or rule_book is not null)"
        " order by id",
        (id_array(accounts),),
    )
    return [row[0] for row in rows]


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
    tax engine: it is asked for all of them before anything is locked."""
    posted = Posted()
    told = {} if asking is None else quote_accounts(engine, tariff, target, accounts, asking)
    for account_id in accounts:
        quotes = told.get(account_id)
        try:
            if isinstance(quotes, Exception):
                raise quotes
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
    with changing(connection, tariff, account_id, now_of(target), through=target.day) as unit:
        unit.bill_run_id = ref.run_id
        if quotes is not None:
            unit.account.taxing = quotes.put()
        unit.account, invoice = bill_by(unit.account, due_by(unit.account, target))
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
    accounts: Sequence[Rows], tariff: Tariff, target: Target, asking: TaxStep | None = None
) -> list[tuple[str, int] | Exception | None]:
    """(currency, total in minor units) of the invoice that a run up to `target` would make for each account; None when
    nothing is due, or why it cannot be billed. Writes nothing."""
    told = {} if asking is None else quote_rows(accounts, tariff, target, asking)
    return [_previewed(rows, tariff, target, told.get(str(rows.head.id))) for rows in accounts]


def _previewed(
    rows: Rows, tariff: Tariff, target: Target, quotes: Quotes | Exception | None
) -> tuple[str, int] | Exception | None:
    if isinstance(quotes, Exception):
        return quotes
    try:
        account = on_its_day(rows, tariff, target)
        if quotes is not None:
            account.taxing = quotes.put()
        _, invoice = bill_by(account, due_by(account, target))
    except Exception as error:  # whatever is wrong with one account must not stop the others
        return error
    return (account.currency, invoice.total) if invoice else None

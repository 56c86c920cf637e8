"""Post: one short transaction that turns a rated chunk into invoices, ledger entries, events and moved dates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from uuid import UUID

import psycopg
from sqlalchemy import Engine

from operations.billrun.fail_points import fail_point
from operations.billrun.rate import Prepared, RatedChunk, Refusal, refusal
from operations.tax.documents import Taxed, record_tax_documents
from storage.bill_runs import lock_chunk, park_accounts, pending_accounts, record_outcome, resolve_parks
from storage.database import PgConnection, transaction
from storage.posting import SERIES, advance_subscriptions, copy_children, copy_invoices, lock_subscriptions


@dataclass(frozen=True, slots=True)
class ChunkRef:
    """Which chunk of which run."""

    run_id: str
    no: int
    mode: str


@dataclass(slots=True)
class Posted:
    """What a posting did: accounts billed and parked, and those to be read again because they moved."""

    billed: int = 0
    nothing_due: int = 0
    parked: int = 0
    moved: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)

    def add(self, other: Posted) -> None:
        """Take in the other half of a chunk that was posted in halves."""
        self.billed += other.billed
        self.nothing_due += other.nothing_due
        self.parked += other.parked
        self.moved += other.moved
        self.held += other.held


def post_chunk(engine: Engine, ref: ChunkRef, chunk: RatedChunk, *, wait: bool, reread: bool) -> Posted:
    """Post `chunk`, and record the outcome of each of its accounts in the same transactions.

    Without `wait`, accounts whose subscriptions another transaction holds stay pending (`held`). Accounts whose
    subscriptions changed since they were rated are `moved`: rate them again. A row that the database refuses is
    found by halving, and its account is parked. A charge that stands already counts as moved while `reread` is on,
    since somebody may have billed meanwhile; off, its account is parked like any other refusal.
    """
    posted = _settle(engine, ref, chunk)
    # In the order in which they stand pending, which is that of their ids.
    prepared = sorted(chunk.prepared, key=attrgetter("account_id"))
    posted.add(_post_halving(engine, ref, prepared, chunk.open_parks, wait=wait, reread=reread))
    return posted


def _settle(engine: Engine, ref: ChunkRef, chunk: RatedChunk) -> Posted:
    """Record the accounts that need no posting: nothing due, or refused in rating or tax."""
    posted = Posted()
    if not chunk.nothing_due and not chunk.refused:
        return posted
    with transaction(engine) as connection:
        pending = pending_accounts(connection, ref.run_id, ref.no, lock=True)
        nothing = set(chunk.nothing_due).intersection(pending)
        refused = {account: reason for account, reason in chunk.refused.items() if account in set(pending)}
        _park(connection, ref, refused)
        record_outcome(
            connection,
            ref.run_id,
            ref.no,
            pending=[account for account in pending if account not in nothing and account not in refused],
            nothing_due=len(nothing),
            parked=len(refused),
        )
        posted.nothing_due, posted.parked = len(nothing), len(refused)
    return posted


def _park(connection: PgConnection, ref: ChunkRef, refused: dict[str, Refusal]) -> None:
    if refused:
        reasons = {
            account: (reason.error_kind, reason.message, reason.remedy) for account, reason in refused.items()
        }
        park_accounts(connection, ref.run_id, ref.mode, reasons)


def _post_halving(
    engine: Engine, ref: ChunkRef, prepared: Sequence[Prepared], parks: set[str], *, wait: bool, reread: bool
) -> Posted:
    if not prepared:
        return Posted()
    try:
        with transaction(engine) as connection:
            posted = _post(connection, ref, prepared, parks, wait=wait)
        fail_point("after-commit")
        return posted
    except psycopg.errors.UniqueViolation as error:
        # Somebody billed meanwhile, or a charge stands that the dates do not show: read again once, then look closer.
        if reread:
            return Posted(moved=[account.account_id for account in prepared])
        failure: Exception = error
    except (psycopg.errors.IntegrityError, psycopg.errors.DataError) as error:
        failure = error
    if len(prepared) == 1:
        account = prepared[0].account_id
        with transaction(engine) as connection:
            pending = pending_accounts(connection, ref.run_id, ref.no, lock=True)
            if account not in pending:
                return Posted()
            _park(connection, ref, {account: refusal(failure)})
            rest = [other for other in pending if other != account]
            record_outcome(connection, ref.run_id, ref.no, pending=rest, parked=1)
        return Posted(parked=1)
    middle = len(prepared) // 2
    posted = _post_halving(engine, ref, prepared[:middle], parks, wait=wait, reread=reread)
    posted.add(_post_halving(engine, ref, prepared[middle:], parks, wait=wait, reread=reread))
    return posted


def _post(
    connection: PgConnection, ref: ChunkRef, prepared: Sequence[Prepared], parks: set[str], *, wait: bool
) -> Posted:
    posted = Posted()
    accepted = list(prepared)
    pending: list[str] | None = None  # looked up only where the accounts are not just the next ones
    if not lock_chunk(connection, ref.run_id, ref.no, [account.account_id for account in prepared]):
        pending = pending_accounts(connection, ref.run_id, ref.no, lock=True)
        open_accounts = set(pending)
        accepted = [account for account in prepared if account.account_id in open_accounts]
    rated = {advance.subscription_id: advance.version for account in accepted for advance in account.advances}
    versions = lock_subscriptions(connection, rated, skip_locked=not wait)
    if versions is not rated:
        accepted = _sift(accepted, versions, posted, wait=wait)
        if pending is None:
            pending = pending_accounts(connection, ref.run_id, ref.no)
    documents = [account.document for account in accepted if account.document is not None]
    copy_children(connection, documents)
    advance_subscriptions(connection, [advance for account in accepted for advance in account.advances])
    done = {account.account_id for account in accepted}
    totals: dict[str, int] = {}
    for document in documents:
        currency = document.template.currency
        totals[currency] = totals.get(currency, 0) + document.template.total
    posted.billed = len(documents)
    posted.nothing_due = len(accepted) - len(documents)
    record_outcome(
        connection,
        ref.run_id,
        ref.no,
        pending=len(accepted) if pending is None else [account for account in pending if account not in done],
        billed=posted.billed,
        nothing_due=posted.nothing_due,
        totals=totals,
    )
    repaired = parks & done
    if repaired:
        resolve_parks(connection, sorted(repaired))
    numbers = copy_invoices(connection, ref.mode, documents, ref.run_id)
    if any(account.tax is not None for account in accepted):
        record_tax_documents(connection, _taxed(ref.mode, accepted, numbers))
    fail_point("after-copy")
    return posted


def _taxed(mode: str, accepted: Sequence[Prepared], numbers: Sequence[int]) -> Iterator[Taxed]:
    """What a tax engine has to know of the invoices that were just numbered."""
    invoiced = [account for account in accepted if account.document is not None]
    for account, number in zip(invoiced, numbers, strict=True):
        if account.document is not None and account.tax is not None:
            invoice_id = str(UUID(bytes=account.document.invoice_id))
            code = f"{SERIES[mode]}-{number}"
            yield Taxed(invoice_id, account.account_id, mode, code, account.tax)


def _sift(
    prepared: Sequence[Prepared], versions: Mapping[str, int], posted: Posted, *, wait: bool
) -> list[Prepared]:
    """Those of `prepared` whose subscriptions still have the versions that they were rated at; the others are noted
    in `posted` as held or moved."""
    accepted: list[Prepared] = []
    for account in prepared:
        found = [versions.get(advance.subscription_id) for advance in account.advances]
        if None in found and not wait:
            posted.held.append(account.account_id)
        elif any(
            version != advance.version for version, advance in zip(found, account.advances, strict=True)
        ):
            posted.moved.append(account.account_id)
        else:
            accepted.append(account)
    return accepted

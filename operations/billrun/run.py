"""The bill run's use cases, as activities and the command line call them."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

from sqlalchemy import Engine
from uuid_utils import uuid7

from operations.billrun.fail_points import fail_point
from operations.billrun.post import ChunkRef, Posted, post_chunk
from operations.billrun.rate import TaxEngines, TaxStep, rate_chunk, table_tax, tax_chunk
from operations.billrun.scope import Scope
from operations.billrun.whole import bill_whole, preview_whole, read_for_preview, whole_accounts
from operations.tariffs import Tariff, Tariffs
from storage.bill_runs import (
    Cut,
    cancel_pending,
    create_run,
    cut_sql,
    finish_run,
    pending_accounts,
    run_size,
    run_summary,
    select_chunks,
    selection_sql,
    set_status,
    unfinished_chunks,
)
from storage.billable import Target
from storage.database import transaction

# A chunk is one activity, a batch one transaction. Each activity costs Temporal and its library some 60 ms of processor
# time, so a large run has few: two for each that goes at once, so that none waits long for the last. A transaction
# holds the number series while it numbers and commits, some 10 ms for each thousand; but COPY readies a place for each
# row of up to a thousand, and gives it up with the statement, so that in batches of a thousand each row paid for its
# place (a fifth of what Postgres does in all).
AUTOMATIC = 0
AT_ONCE = 4
ROUNDS = 2
MOST = 12_500
BATCH_SIZE = 5000
# Where a tax engine is asked, which takes longest, fewer accounts make a batch: what was asked is soon posted.
ENGINE_BATCH_SIZE = 200
MAX_ROUNDS = 5


@dataclass(slots=True)
class ChunkReport:
    """What was done for a chunk: accounts through each step, and outcomes. Informative only: the run's totals are
    counted from the database."""

    rated: int = 0
    taxed: int = 0
    billed: int = 0
    nothing_due: int = 0
    parked: int = 0
    left: int = 0


@dataclass(slots=True)
class PreviewReport:
    """What a run would do for a range of accounts: totals in minor units by currency."""

    invoices: int = 0
    nothing_due: int = 0
    parked: int = 0
    totals: dict[str, int] = field(default_factory=dict)

    def add(self, invoice: tuple[str, int] | None) -> None:
        """Count an account: its invoice's currency and total, or that it owes nothing."""
        if invoice is None:
            self.nothing_due += 1
            return
        currency, total = invoice
        self.invoices += 1
        self.totals[currency] = self.totals.get(currency, 0) + total


class BillRuns:
    """Bill runs on one database. A `chunk_size` of AUTOMATIC is chosen by the size of the selection. engines: the tax
    engines that are connected; without, the built-in table taxes."""

    def __init__(
        self, engine: Engine, *, chunk_size: int = AUTOMATIC, engines: TaxEngines | None = None
    ) -> None:
        self._engine = engine
        self._engines = engines
        self._tariffs = Tariffs(engine)
        self._chunk_size = chunk_size

    def open(
        self,
        *,
        workflow_id: str,
        workflow_run_id: str,
        mode: str,
        scope: Scope,
        target: Target,
        chunk_size: int | None = None,
        at_once: int = AT_ONCE,
    ) -> str:
        """Create the run and select its chunks, of which `at_once` will be billed at a time; a second call for the same
        workflow run finds the first's."""
        with transaction(self._engine) as connection:
            run_id = create_run(
                connection,
                run_id=str(uuid7()),
                workflow_id=workflow_id,
                workflow_run_id=workflow_run_id,
                mode=mode,
                scope=scope.name,
                target=target,
            )
        with transaction(self._engine) as connection:
            sql, parameters = scope.sql()
            select_chunks(
                connection,
                run_id,
                mode=mode,
                target=target,
                scope_sql=sql,
                scope_parameters=parameters,
                cut=self._cut(chunk_size, at_once, BATCH_SIZE if self._asked(mode) else MOST),
            )
        return run_id

    def _cut(self, chunk_size: int | None, at_once: int, most: int) -> Cut:
        return Cut(chunk_size or self._chunk_size, ROUNDS * at_once, most)

    def _asked(self, mode: str) -> bool:
        return self._engines is not None and self._engines.asked(mode)

    def size(self, run_id: str) -> tuple[int, int]:
        """(chunks, selected accounts)."""
        with transaction(self._engine) as connection:
            return run_size(connection, run_id)

    def bill(
        self, ref: ChunkRef, target: Target, *, wait: bool, heartbeat: Callable[[str], None]
    ) -> ChunkReport:
        """Bill the pending accounts of a chunk: rate, tax, post, until none moves any more.

        Repeating it is harmless: an account with an outcome is no longer pending. With `wait`, rows that others
        hold are waited for; without, their accounts stay pending for a later call.
        """
        report = ChunkReport()
        size = ENGINE_BATCH_SIZE if self._asked(ref.mode) else BATCH_SIZE
        with transaction(self._engine) as connection:
            remaining = pending_accounts(connection, ref.run_id, ref.no)
        for round_no in range(MAX_ROUNDS):
            moved: list[str] = []
            for batch in _even(remaining, size):
                posted = self._bill_batch(
                    ref,
                    target,
                    batch,
                    report,
                    wait=wait,
                    reread=round_no == 0,
                    heartbeat=heartbeat,
                )
                moved += posted.moved
                report.left += len(posted.held)
            remaining = moved
            if not remaining:
                break
        report.left += len(remaining)
        return report

    def _bill_batch(
        self,
        ref: ChunkRef,
        target: Target,
        accounts: list[str],
        report: ChunkReport,
        *,
        wait: bool,
        reread: bool,
        heartbeat: Callable[[str], None],
    ) -> Posted:
        heartbeat("rate")
        tariff = self._tariffs.current()
        asking = self._asking(ref.mode, tariff, heartbeat)
        memo = tariff.memo if asking is None else None
        with tariff.memo.first_alone(ref.run_id) if memo is not None else nullcontext():
            with transaction(self._engine, read_only_snapshot=True) as connection:
                whole = whole_accounts(connection, accounts)
                if whole:
                    accounts = [account for account in accounts if account not in set(whole)]
                chunk = rate_chunk(connection, tariff.book, accounts, target, memo)
            report.rated += chunk.rated
            fail_point("after-rating")
            heartbeat("tax")
            tax_chunk(chunk, asking or table_tax(tariff.taxes, tariff.tax_policy), tariff.memo)
        report.taxed += len(chunk.prepared)
        heartbeat("post")
        posted = post_chunk(self._engine, ref, chunk, wait=wait, reread=reread)
        if whole:
            posted.add(bill_whole(self._engine, ref, tariff, target, whole, wait=wait, asking=asking))
        report.billed += posted.billed
        report.nothing_due += posted.nothing_due
        report.parked += posted.parked
        return posted

    def _asking(self, mode: str, tariff: Tariff, heartbeat: Callable[[str], None]) -> TaxStep | None:
        """The step that asks a connected tax engine; None where the built-in table taxes."""
        if self._engines is None or not self._engines.asked(mode):
            return None
        return self._engines.step(mode, tariff.taxes, heartbeat)

    def unfinished(self, run_id: str) -> list[int]:
        """Chunks with accounts still pending."""
        with transaction(self._engine) as connection:
            return unfinished_chunks(connection, run_id)

    def set_status(self, run_id: str, status: str) -> None:
        """Record running or paused."""
        with transaction(self._engine) as connection:
            set_status(connection, run_id, status)

    def finish(self, run_id: str, *, canceled: bool) -> dict[str, object]:
        """End the run and answer its summary, counted from the database."""
        with transaction(self._engine) as connection:
            if canceled:
                cancel_pending(connection, run_id)
            finish_run(connection, run_id, canceled=canceled)
        return self.summary(run_id)

    def summary(self, run_id: str) -> dict[str, object]:
        """The run as its rows tell it. Raises LookupError for an unknown run."""
        with transaction(self._engine) as connection:
            found = run_summary(connection, run_id)
        if found is None:
            raise LookupError(f"there is no bill run {run_id}")
        return found

    def preview_ranges(
        self,
        *,
        mode: str,
        scope: Scope,
        target: Target,
        chunk_size: int | None = None,
        at_once: int = AT_ONCE,
    ) -> list[str]:
        """The first account id of every range of a preview, which takes each as one batch. Writes nothing."""
        sql, parameters = scope.sql()
        with transaction(self._engine, read_only_snapshot=True) as connection, connection.cursor() as cursor:
            cursor.execute(
                f"""
                with {cut_sql(target, sql)} select accounts[1]::text from cut order by no
                """,
                {
                    "mode": mode,
                    "target": target.parameter,
                    **self._cut(chunk_size, at_once, BATCH_SIZE)._asdict(),
                    **parameters,
                },
            )
            return [row[0] for row in cursor]

    def preview(
        self,
        *,
        mode: str,
        scope: Scope,
        target: Target,
        first: str,
        until: str | None,
        heartbeat: Callable[[str], None] = lambda _: None,
    ) -> PreviewReport:
        """What a run would bill for the accounts from `first` until `until`. Writes nothing, here or elsewhere."""
        sql, parameters = scope.sql()
        tariff = self._tariffs.current()
        asking = self._asking(mode, tariff, heartbeat)
        with transaction(self._engine, read_only_snapshot=True) as connection:
            with connection.cursor() as cursor:
                cursor.execute(
                    f"select id::text from ({selection_sql(target, sql)}) selected where id >= %(first)s::uuid"
                    " and (%(until)s::uuid is null or id < %(until)s::uuid) order by id",
                    {"mode": mode, "target": target.parameter, "first": first, "until": until, **parameters},
                )
                accounts = [row[0] for row in cursor]
            memo = tariff.memo if asking is None else None
            whole = set(whole_accounts(connection, accounts))
            plain = [account for account in accounts if account not in whole]
            chunk = rate_chunk(connection, tariff.book, plain, target, memo)
            report = PreviewReport()
            rows = read_for_preview(connection, tariff, sorted(whole))
        for found in preview_whole(rows, tariff, target, asking):
            if isinstance(found, Exception):
                report.parked += 1
            else:
                report.add(found)
        tax_chunk(chunk, asking or table_tax(tariff.taxes, tariff.tax_policy), tariff.memo)
        report.nothing_due += len(chunk.nothing_due)
        report.parked += len(chunk.refused)
        for prepared in chunk.prepared:
            document = prepared.document
            report.add(document and (document.template.currency, document.template.total))
        return report


def _even(accounts: list[str], most: int) -> list[list[str]]:
    """`accounts` in parts of about one size, none larger than `most`."""
    size = math.ceil(len(accounts) / max(1, math.ceil(len(accounts) / most)))
    return [accounts[first : first + size] for first in range(0, len(accounts), size)] if size else []

"""The payment run's use cases: selection, the beginning of a chunk's charges, and counts from the database."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Engine
from uuid_utils import uuid7

from operations.billrun.rate import refusal
from operations.charges.begin import Ask, Beginning, begin
from operations.charges.scope import PaymentScope
from operations.tariffs import Tariffs
from storage.billable import Target
from storage.charges import lock_payers
from storage.database import DATABASE_AWAY, PgConnection, transaction
from storage.parked import Park, park
from storage.payment_runs import (
    LeftRow,
    charges_to_send,
    create_run,
    finish_run,
    note_outcomes,
    run_size,
    run_summary,
    select_chunks,
    selected_behind,
    set_status,
    take_pending,
    unselected,
)
from storage.write_holds import check_not_held

log = logging.getLogger("masthead.payment_run")

PAYMENT_RUN = "payment-run"  # the kind of parked work
PARKED = "parked"


@dataclass(slots=True)
class Preview:
    """What a run would do for some accounts: minor units by currency of what it would charge. unselected: see
    `storage.payment_runs.unselected`; where nobody at all would be selected."""

    selected: int = 0
    behind: str | None = None
    charges: int = 0
    left: Counter[str] = field(default_factory=Counter)
    parked: int = 0
    amounts: Counter[str] = field(default_factory=Counter)
    unselected: dict[str, int] = field(default_factory=dict)


class PaymentRuns:
    """Payment runs on one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tariffs = Tariffs(engine)

    def open(
        self,
        *,
        workflow_id: str,
        workflow_run_id: str,
        mode: str,
        scope: PaymentScope,
        target: Target,
        chunk_size: int,
    ) -> str:
        """Create the run and select its chunks; a second call for the same workflow run finds the first's."""
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
            select_chunks(
                connection, run_id, mode=mode, target=target, scope=scope.sql(), chunk_size=chunk_size
            )
        return run_id

    def size(self, run_id: str) -> tuple[int, int]:
        """(chunks, selected accounts)."""
        with transaction(self._engine) as connection:
            return run_size(connection, run_id)

    def begin(self, run_id: str, no: int, now: datetime, day: date | None) -> Beginning:
        """Write the charges of a chunk's pending accounts, all in one transaction, and answer what was written now.

        An account that cannot be read is parked, and does not stop the others. Repeated it finds nothing pending.
        Raises WritesHeld while external writes are held: after a restore the next number of an account may be that of
        a charge which the rows have lost.
        """
        with transaction(self._engine) as connection:
            check_not_held(connection)
        ask = Ask(now, day, run_id=run_id)
        try:
            with transaction(self._engine) as connection:
                return self._begin(connection, run_id, no, ask)
        except DATABASE_AWAY:
            raise
        except Exception:
            log.exception("chunk %s of payment run %s is begun account by account", no, run_id)
        return self._begin_one_by_one(run_id, no, ask)

    def _begin(self, connection: PgConnection, run_id: str, no: int, ask: Ask) -> Beginning:
        pending = take_pending(connection, run_id, no)
        if not pending:
            return Beginning()
        beginning = begin(connection, self._tariffs.current(connection), pending, ask)
        left = [LeftRow(each.account_id, each.why.value, each.words) for each in beginning.left]
        note_outcomes(connection, run_id, no, pending=[], left=left)
        return beginning

    def _begin_one_by_one(self, run_id: str, no: int, ask: Ask) -> Beginning:
        done = Beginning()
        with transaction(self._engine) as connection:
            pending = take_pending(connection, run_id, no)
        for account in pending:
            try:
                with transaction(self._engine) as connection:
                    rest = take_pending(connection, run_id, no)
                    if account not in rest:
                        continue
                    rest.remove(account)
                    one = begin(connection, self._tariffs.current(connection), [account], ask)
                    left = [LeftRow(each.account_id, each.why.value, each.words) for each in one.left]
                    note_outcomes(connection, run_id, no, pending=rest, left=left)
            except DATABASE_AWAY:
                raise
            except Exception as error:  # whatever is wrong with one account must not stop the others
                self._park(run_id, no, account, error)
                continue
            done.begun += one.begun
            done.left += one.left
        return done

    def _park(self, run_id: str, no: int, account: str, error: Exception) -> None:
        reason = refusal(error)
        with transaction(self._engine) as connection:
            rest = take_pending(connection, run_id, no)
            if account not in rest:
                return
            rest.remove(account)
            [payer] = lock_payers(connection, [account])
            park(
                connection,
                Park(
                    kind=PAYMENT_RUN,
                    trace_key=f"payment-run/account/{account}",
                    error_kind=reason.error_kind,
                    message=reason.message,
                    remedy="Repair what the message says; the next payment run charges the account.",
                    mode=payer.mode,
                    account_id=account,
                ),
            )
            note_outcomes(
                connection, run_id, no, pending=rest, left=[LeftRow(account, PARKED, reason.message)]
            )

    def to_send(self, run_id: str, no: int) -> list[tuple[str, str]]:
        """(charge, its call) of what a chunk has on its way."""
        with transaction(self._engine) as connection:
            return charges_to_send(connection, run_id, no)

    def preview(
        self,
        *,
        mode: str,
        scope: PaymentScope,
        target: Target,
        now: datetime,
        after: str | None,
        limit: int,
    ) -> Preview:
        """What a run would do for the next `limit` accounts: it does so, and takes it all back."""
        with transaction(self._engine) as connection:
            accounts = selected_behind(
                connection, mode=mode, target=target, scope=scope.sql(), after=after, limit=limit
            )
            why = (
                unselected(connection, mode=mode, target=target, scope=scope.sql())
                if after is None and not accounts
                else {}
            )
        behind = accounts[-1] if len(accounts) == limit else None
        found = Preview(selected=len(accounts), behind=behind, unselected=why)
        try:
            self._foresee(accounts, Ask(now, target.day), found)
        except DATABASE_AWAY:
            raise
        except Exception:
            found.charges, found.left, found.amounts = 0, Counter(), Counter()
            for account in accounts:
                try:
                    self._foresee([account], Ask(now, target.day), found)
                except DATABASE_AWAY:
                    raise
                except Exception:  # whatever is wrong with one account must not stop the others
                    found.parked += 1
        return found

    def _foresee(self, accounts: Sequence[str], ask: Ask, found: Preview) -> None:
        tariff = self._tariffs.current()
        try:
            with transaction(self._engine) as connection:
                beginning = begin(connection, tariff, accounts, ask)
                raise _TakenBack
        except _TakenBack:
            pass
        found.charges += len(beginning.begun)
        found.left.update(each.why.value for each in beginning.left)
        for each in beginning.begun:
            found.amounts[each.currency] += each.amount

    def set_status(self, run_id: str, status: str) -> None:
        """Record running or paused."""
        with transaction(self._engine) as connection:
            set_status(connection, run_id, status)

    def finish(self, run_id: str, *, canceled: bool) -> dict[str, Any]:
        """End the run and answer its summary, counted from the database."""
        with transaction(self._engine) as connection:
            finish_run(connection, run_id, canceled=canceled)
        return self.summary(run_id)

    def summary(self, run_id: str) -> dict[str, Any]:
        """The run as its rows tell it. Raises LookupError for an unknown run."""
        with transaction(self._engine) as connection:
            found = run_summary(connection, run_id)
        if found is None:
            raise LookupError(f"there is no payment run {run_id}")
        return found


class _TakenBack(Exception):
    """Rolls a preview's transaction back."""

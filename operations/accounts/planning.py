"""What a command would invoice at once, told beforehand and without a lock, so that a tax engine can be asked."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from domain.account.commands import Step
from domain.account.days import advance
from domain.account.state import snapshot
from domain.invoices import Draft
from operations.accounts.commands import act_on
from operations.accounts.taxing import DraftMoved, Quotes
from operations.accounts.unit import Changing, build, passed
from operations.tariffs import Tariff
from storage.database import PgConnection
from storage.whole.reading import Rows, read_whole


@dataclass(frozen=True, slots=True)
class Plan:
    """A command that is to invoice at once, on the account as it was read. `now` is the instant of the command."""

    rows: Rows
    tariff: Tariff
    step: Step
    now: datetime

    def draft(self, quotes: Quotes) -> Draft | None:
        """The next draft, not taxed, that `quotes` does not know. None when it knows all of them, or when there are
        none because the rules refuse the command or nothing is due."""
        now = self.rows.head.clock_at or self.now
        account = snapshot(build(self.rows, self.tariff, now)[0])
        advance(account, passed(now, account.zone, None), fleet=account.collected)
        account.taxing = Quotes(quotes.known).put()
        try:
            act_on(Changing(account, self.rows, now), self.step, invoice_now=True)
        except DraftMoved as moved:
            return moved.draft
        return None


def plan(
    connection: PgConnection,
    tariff: Tariff,
    account_id: str,
    command_id: str,
    step_of: Callable[[], Step],
    now: datetime,
    engine_taxed: Collection[str],
) -> Plan | None:
    """The command as far as an engine has to be asked for it; None in modes that are not `engine_taxed`, and for a
    command that was given before. `connection` reads in a snapshot. Raises LookupError for an unknown account, and what
    `step_of` raises."""
    rows = read_whole(connection, account_id, tariff.book, command=command_id, lock=False)
    if rows.command is not None or rows.head.mode not in engine_taxed:
        return None
    return Plan(rows, tariff, step_of(), now)

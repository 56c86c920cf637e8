"""Reports on the ledger: the trial balance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Engine

from storage.database import transaction
from storage.ledger import account_totals


class TrialBalanceRow(NamedTuple):
    """What was debited and credited to a ledger account, in minor units of `currency`."""

    mode: str
    currency: str
    account: str
    name: str
    debit: int
    credit: int


class TrialBalanceTotal(NamedTuple):
    """All debits and credits of a mode and currency, in minor units; they are equal when the books balance."""

    mode: str
    currency: str
    debit: int
    credit: int

    @property
    def difference(self) -> int:
        """Debits less credits: zero, or the books are wrong."""
        return self.debit - self.credit


def trial_balance(engine: Engine) -> list[TrialBalanceRow]:
    """Every ledger account that was posted to, by mode and currency."""
    with transaction(engine, read_only_snapshot=True) as connection:
        return [TrialBalanceRow(*row) for row in account_totals(connection)]


def trial_totals(rows: Iterable[TrialBalanceRow]) -> list[TrialBalanceTotal]:
    """The totals of a trial balance, by mode and currency in their order there."""
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for row in rows:
        debit, credit = sums.get((row.mode, row.currency), (0, 0))
        sums[row.mode, row.currency] = debit + row.debit, credit + row.credit
    return [TrialBalanceTotal(*key, *amounts) for key, amounts in sums.items()]

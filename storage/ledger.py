"""Reading the ledger as a whole."""

from __future__ import annotations

from storage.database import PgConnection


def account_totals(connection: PgConnection) -> list[tuple[str, str, str, str, int, int]]:
    """(mode, currency, ledger account code, its name, debits, credits), amounts in minor units; live before test,
    accounts in the order of their codes. Lines without entry have the mode and currency `?`, and lines of an unknown
    account no name, so that the totals are those of all lines."""
    rows = connection.execute(
        """
        select coalesce(e.mode, '?'), coalesce(e.currency, '?'), l.ledger_account, coalesce(a.name, ''),
               sum(l.debit), sum(l.credit)
        from journal_line l left join journal_entry e on e.id = l.entry_id
             left join ledger_account a on a.code = l.ledger_account
        group by 1, 2, 3, 4 order by 1, 2, 3
        """
    )
    return [(*row[:4], int(row[4]), int(row[5])) for row in rows]

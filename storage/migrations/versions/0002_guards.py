"""What may never change is guarded by the database itself, and the chart of accounts is laid out.

Revision: 0002, after 0001.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Columns that stay free are those that the life of a document needs: status, balance, voided_at.
FREE_COLUMNS = {
    "invoice": ("status", "balance"),
    "invoice_line": ("voided_at",),
    "journal_entry": (),
    "journal_line": (),
    "event_log": (),
    "audit": (),
}

CHART = [
    ("accounts_receivable", "Accounts receivable", "asset"),
    ("deferred_revenue", "Deferred revenue", "liability"),
    ("tax_payable", "Tax payable", "liability"),
    ("revenue", "Revenue", "income"),
]


def upgrade() -> None:
    op.execute(
        """
        create function refuse_change() returns trigger language plpgsql as $$
        declare
            old_row jsonb := to_jsonb(old) - tg_argv;
        begin
            if tg_op = 'UPDATE' and old_row = to_jsonb(new) - tg_argv then
                return new;
            end if;
            raise exception '% rows are never changed once written: correct with a new document', tg_table_name
                using errcode = 'restrict_violation';
        end $$
        """
    )
    op.execute(
        """
        create function refuse_truncate() returns trigger language plpgsql as $$
        begin
            raise exception '% rows are never removed', tg_table_name using errcode = 'restrict_violation';
        end $$
        """
    )
    for table, free in FREE_COLUMNS.items():
        arguments = ", ".join(f"'{column}'" for column in free)
        op.execute(
            f"create trigger {table}_immutable before update or delete on {table} "
            f"for each row execute function refuse_change({arguments})"
        )
        op.execute(
            f"create trigger {table}_kept before truncate on {table} "
            "for each statement execute function refuse_truncate()"
        )
    for code, name, kind in CHART:
        op.execute(f"insert into ledger_account (code, name, kind) values ('{code}', '{name}', '{kind}')")
    op.execute(
        "insert into number_series (mode, code, last_number, last_hash) values "
        "('live', 'INV', 0, ''), ('test', 'TEST', 0, '')"
    )


def downgrade() -> None:
    raise RuntimeError("invoices cannot be unguarded")

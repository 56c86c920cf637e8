"""What invoices refer to without a foreign key (which would cost at every posting) can never be removed.

Revision: 0003, after 0002.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Table, and what to do instead of deleting.
KEPT = {
    "account": "end its subscriptions; personal data is erased from person",
    "subscription": "cancel it",
    "subscription_item": "set its ends_on",
    "price": "load a new version of the plan",
}


def upgrade() -> None:
    op.execute(
        """
        create function refuse_removal() returns trigger language plpgsql as $$
        begin
            raise exception '% rows are never removed, because invoices refer to them: % instead',
                tg_table_name, tg_argv[0] using errcode = 'restrict_violation';
        end $$
        """
    )
    for table, remedy in KEPT.items():
        for event, each in (("delete", "row"), ("truncate", "statement")):
            op.execute(
                f"create trigger {table}_stays_on_{event} before {event} on {table} "
                f"for each {each} execute function refuse_removal('{remedy}')"
            )


def downgrade() -> None:
    raise RuntimeError("rows that invoices refer to cannot be unguarded")

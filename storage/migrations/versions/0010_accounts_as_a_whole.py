"""Accounts as a whole: what commands, corrections and payments leave behind, beside subscriptions and invoices.

Revision: 0010, after 0009.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ACCOUNT = """
    alter table account
        add column tax_inclusive boolean not null default false,
        add column tax_treatment text not null default 'taxable',
        add column auto_pay boolean not null default false,
        add column rule_book text,
        add column declines jsonb,
        add column recognised_through date,
        add column settled_on date,
        add column known_whole boolean not null default false,
        add column billed_whole boolean not null default false,
        add column whole_due_on date,
        add constraint account_tax_treatment check (tax_treatment in ('taxable', 'exempt', 'reverse_charge'))
"""
COMMENTS = {
    "account.declines": "test mode: how charges go wrong, by day",
    "account.recognised_through": "revenue is recognised up to this day (exclusive)",
    "account.settled_on": "the last local day whose dated changes are recorded; null: none is dated",
    "account.known_whole": "something beside plain bills has happened to it",
    "account.billed_whole": "its next bill needs all of it, not its subscriptions alone",
    "account.whole_due_on": "when something falls due that no subscription's next_bill_on tells",
    "subscription.later": "a change of interval that waits for later_on",
}
SUBSCRIPTION = """
    alter table subscription
        add column term_end date,
        add column resumes_on date,
        add column later_on date,
        add column later jsonb,
        add column canceled_on date,
        drop constraint subscription_covered
"""
ITEM = """
    alter table subscription_item
        add column phase_shift smallint not null default 0,
        add column replaces uuid
"""
KINDS = [
    "recurring",
    "usage",
    "one_time",
    "unused_credit",
    "adjustment",
    "discount",
    "tax",
    "minimum",
    "delivery_credit",
    "gift",
]
TABLES = (
    """
    create table rule_book (
        name text not null, version integer not null, definition jsonb not null,
        loaded_at timestamptz not null default now(),
        constraint rule_book_pk primary key (name, version))
    """,
    """
    create table subscription_history (
        subscription_id uuid not null, history jsonb not null,
        constraint subscription_history_pk primary key (subscription_id),
        constraint subscription_history_subscription_id_fk foreign key (subscription_id) references subscription (id))
    """,
    """
    create table account_history (
        account_id uuid not null, history jsonb not null,
        constraint account_history_pk primary key (account_id),
        constraint account_history_account_id_fk foreign key (account_id) references account (id))
    """,
    """
    create table invoice_settlement (
        invoice_id uuid not null, paid bigint not null default 0, credited bigint not null default 0,
        used bigint not null default 0, written_off bigint not null default 0, refunded bigint not null default 0,
        constraint invoice_settlement_pk primary key (invoice_id),
        constraint invoice_settlement_not_negative check (paid >= 0 and credited >= 0 and written_off >= 0),
        constraint invoice_settlement_refunded check (refunded between 0 and paid))
    """,
    """
    create table pending_charge (
        account_id uuid not null, no smallint not null, lines jsonb not null, uncut jsonb not null,
        constraint pending_charge_pk primary key (account_id, no),
        constraint pending_charge_account_id_fk foreign key (account_id) references account (id))
    """,
    """
    create table document_series (
        mode text not null, code text not null, last_number bigint not null,
        constraint document_series_pk primary key (mode, code),
        constraint document_series_mode check (mode in ('live', 'test')))
    """,
    """
    create table credit_note (
        id uuid not null, mode text not null default 'live', account_id uuid not null, invoice_id uuid not null,
        series text not null, number bigint not null, currency text not null, issued_on date not null,
        reason text not null, subtotal bigint not null, tax bigint not null, total bigint not null,
        posted_at timestamptz not null default now(),
        constraint credit_note_pk primary key (id),
        constraint credit_note_number_series_mode_key unique (number, series, mode),
        constraint credit_note_account_id_fk foreign key (account_id) references account (id),
        constraint credit_note_mode check (mode in ('live', 'test')),
        constraint credit_note_total check (total = subtotal + tax and total < 0))
    """,
    "create index credit_note_account_id_idx on credit_note (account_id)",
    """
    create table credit_line (
        account_id uuid not null, no integer not null, credit_note_id uuid, invoice_id uuid not null,
        line_no smallint not null, kind text not null, starts_on date, ends_on date, net bigint not null,
        taxes jsonb not null,
        constraint credit_line_pk primary key (account_id, no),
        constraint credit_line_account_id_fk foreign key (account_id) references account (id),
        constraint credit_line_credit_note_id_fk foreign key (credit_note_id) references credit_note (id),
        constraint credit_line_time check (starts_on <= ends_on))
    """,
    """
    create table payment (
        id uuid not null, mode text not null default 'live', account_id uuid not null, no integer not null,
        made_on date not null, currency text not null, amount bigint not null, status text not null,
        refunded bigint not null default 0, code text, gateway_id text, created_at timestamptz not null default now(),
        constraint payment_pk primary key (id),
        constraint payment_account_id_no_key unique (account_id, no),
        constraint payment_account_id_fk foreign key (account_id) references account (id),
        constraint payment_mode check (mode in ('live', 'test')),
        constraint payment_amounts check (amount > 0 and refunded between 0 and amount),
        constraint payment_status check (status in
            ('requires_action', 'processing', 'unknown', 'succeeded', 'failed', 'refunded', 'disputed')))
    """,
    """
    create table payment_application (
        payment_id uuid not null, invoice_id uuid not null, amount bigint not null,
        constraint payment_application_pk primary key (payment_id, invoice_id),
        constraint payment_application_payment_id_fk foreign key (payment_id) references payment (id),
        constraint payment_application_amount check (amount > 0))
    """,
    """
    create table account_credit_grant (
        account_id uuid not null, id text not null, no integer not null, granted_on date not null,
        amount bigint not null, source text not null, expires_on date,
        constraint account_credit_grant_pk primary key (account_id, id),
        constraint account_credit_grant_account_id_fk foreign key (account_id) references account (id),
        constraint account_credit_grant_amount check (amount > 0))
    """,
    """
    create table account_credit_movement (
        account_id uuid not null, no integer not null, kind text not null, grant_id text not null,
        moved_on date not null, amount bigint not null, target text,
        constraint account_credit_movement_pk primary key (account_id, no),
        constraint account_credit_movement_account_id_fk foreign key (account_id) references account (id),
        constraint account_credit_movement_amount check (amount > 0),
        constraint account_credit_movement_kind check (kind in ('use', 'return', 'expiry')))
    """,
    """
    create table command (
        account_id uuid not null, id text not null, kind text not null, asked jsonb not null, outcome jsonb not null,
        at timestamptz not null default now(),
        constraint command_pk primary key (account_id, id),
        constraint command_account_id_fk foreign key (account_id) references account (id))
    """,
)
TABLE_COMMENTS = {
    "subscription_history.history": "pauses, moved time, plans read, holiday stops",
    "account_history.history": "dunning, collecting, gifts, corrected revenue, freed charges",
    "invoice_settlement.invoice_id": "no row: nothing was settled",
    "invoice_settlement.used": "of account credit",
    "pending_charge.lines": "a charge or credit with its discounts and taxes",
    "pending_charge.uncut": "what it was before it was shortened",
    "credit_note.total": "negative: what the customer gets back",
    "credit_line.no": "in the order of giving",
    "credit_line.credit_note_id": "null: on an invoice, or a void",
    "credit_line.invoice_id": "the invoice with the line that it corrects",
    "payment.no": "of the account, from 1",
    "payment.code": "why it failed, as the gateway said",
    "payment.gateway_id": "what the gateway calls it",
    "account_credit_grant.id": "what it was granted for",
    "command.id": "given by whoever asks; the same id is the same command",
    "usage_record.billed_by": "the invoice that charges it, or all zeros while its charge waits for one; "
    "null: what is known by the subscription's marks",
}
GUARDED: dict[str, tuple[str, ...]] = {
    "credit_note": (),
    "credit_line": ("credit_note_id",),
    "payment_application": (),
    "account_credit_grant": (),
    "account_credit_movement": (),
    "command": (),
}


def upgrade() -> None:
    for statement in (ACCOUNT, SUBSCRIPTION, ITEM):
        op.execute(statement)
    op.execute("alter table subscription_discount add column position smallint not null default 0")
    op.execute("alter table usage_record add column billed_by uuid")
    op.execute(
        "create index usage_record_billed_by_idx on usage_record (billed_by) where billed_by is not null"
    )
    op.execute("alter table invoice_line drop constraint invoice_line_kind")
    kinds = ", ".join(f"'{kind}'" for kind in KINDS)
    op.execute(f"alter table invoice_line add constraint invoice_line_kind check (kind in ({kinds}))")
    op.execute("alter table journal_entry add column account_id uuid, add column document text")
    op.execute(
        "create index journal_entry_account_idx on journal_entry (account_id) where account_id is not null"
    )
    for statement in TABLES:
        op.execute(statement)
    for place, comment in (COMMENTS | TABLE_COMMENTS).items():
        op.execute(f"comment on column {place} is $${comment}$$")
    op.execute(
        "insert into document_series (mode, code, last_number) values ('live', 'CN', 0), ('test', 'TCN', 0)"
    )
    op.execute("create index account_whole_due_idx on account (whole_due_on) where whole_due_on is not null")
    for table, free in GUARDED.items():
        arguments = ", ".join(f"'{column}'" for column in free)
        op.execute(
            f"create trigger {table}_immutable before update or delete on {table} "
            f"for each row execute function refuse_change({arguments})"
        )
        op.execute(
            f"create trigger {table}_kept before truncate on {table} "
            "for each statement execute function refuse_truncate()"
        )


def downgrade() -> None:
    raise RuntimeError("documents and payments cannot be dropped")

"""Checkouts, what they bring, and which subscriptions wait for their first payment.

Revision: 0014, after 0013.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLES = (
    """
    create table checkout (
        id uuid not null, mode text not null default 'live', key text not null, fingerprint bytea not null,
        status text not null, account_id uuid not null, opens_account boolean not null, cart jsonb not null,
        terms jsonb, payment jsonb, expected_due bigint, connection text, as_of timestamptz, quote jsonb,
        currency text, total bigint, due bigint, invoice_id uuid, subscription_ids uuid[] not null default '{}',
        gateway_id text, attempt integer not null default 1, next_action_url text, problem_kind text, problem text,
        created_at timestamptz not null default now(), ended_at timestamptz, version integer not null default 1,
        constraint checkout_pk primary key (id),
        constraint checkout_mode_key_key unique (mode, key),
        constraint checkout_mode check (mode in ('live', 'test')),
        constraint checkout_status check (status in ('quoting', 'authorising', 'requires_action', 'posting',
            'capturing', 'completed', 'declined', 'refused', 'expired', 'canceled')),
        constraint checkout_due check (due between 0 and total),
        constraint checkout_quoted check (status not in ('capturing', 'completed') or as_of is not null))
    """,
    "create index checkout_account_id_idx on checkout (account_id)",
    "create index checkout_open_idx on checkout (created_at) where ended_at is null",
    """
    create table checkout_person (
        checkout_id uuid not null, name text, email text, address jsonb, tax jsonb,
        constraint checkout_person_pk primary key (checkout_id),
        constraint checkout_person_checkout_id_fk foreign key (checkout_id) references checkout (id))
    """,
    """
    create table awaiting_payment (
        subscription_id uuid not null, checkout_id uuid not null, since timestamptz not null default now(),
        constraint awaiting_payment_pk primary key (subscription_id),
        constraint awaiting_payment_subscription_id_fk foreign key (subscription_id) references subscription (id)
            deferrable initially deferred,
        constraint awaiting_payment_checkout_id_fk foreign key (checkout_id) references checkout (id))
    """,
    "create index awaiting_payment_checkout_id_idx on awaiting_payment (checkout_id)",
    """
    create table purchase (
        id uuid not null, mode text not null default 'live', account_id uuid not null, checkout_id uuid not null,
        plan_code text not null, plan_version integer not null, quantity numeric not null, bought_on date not null,
        invoice_id uuid not null, paid_at timestamptz,
        constraint purchase_pk primary key (id),
        constraint purchase_account_id_fk foreign key (account_id) references account (id),
        constraint purchase_checkout_id_fk foreign key (checkout_id) references checkout (id),
        constraint purchase_mode check (mode in ('live', 'test')),
        constraint purchase_quantity check (quantity > 0))
    """,
    "create index purchase_account_id_idx on purchase (account_id)",
    "create index purchase_checkout_id_idx on purchase (checkout_id)",
    """
    create table fulfilment_request (
        id uuid not null, mode text not null default 'live', checkout_id uuid not null, account_id uuid not null,
        subject_id uuid not null, capability text not null, connection text,
        requested_at timestamptz not null default now(),
        constraint fulfilment_request_pk primary key (id),
        constraint fulfilment_request_checkout_id_subject_id_capability_key
            unique (checkout_id, subject_id, capability),
        constraint fulfilment_request_checkout_id_fk foreign key (checkout_id) references checkout (id),
        constraint fulfilment_request_mode check (mode in ('live', 'test')),
        constraint fulfilment_request_capability check (capability in ('provisioning', 'drm', 'shipping')))
    """,
)
COMMENTS = {
    "column checkout.key": "the client's Idempotency-Key",
    "column checkout.fingerprint": "of what was asked for under the key",
    "column checkout.terms": "of the account that is opened; nothing of a person",
    "column checkout.payment": "the gateway's tokens, and how it is charged; null: nothing is given",
    "column checkout.expected_due": "what the shop has shown; another amount is refused",
    "column checkout.connection": "the payment gateway's",
    "column checkout.as_of": "the instant that prices and days are counted from",
    "column checkout.quote": "what was offered: lines, sums, tax",
    "column checkout.due": "of the total: what is charged now",
    "column checkout.gateway_id": "what the gateway calls the payment, or the setup",
    "column checkout.problem": "safe to be shown",
    "column purchase.paid_at": "null: not paid, so nothing is given for it",
    "column fulfilment_request.subject_id": "the subscription or purchase that it is for",
    "column fulfilment_request.connection": "null: none is configured, so nothing is called",
    "column checkout_person.tax": "a tax engine's answer, which holds the address",
    "table checkout_person": "what is about a person; removed when the checkout ends",
    "table awaiting_payment": "subscriptions whose first payment has not come in: nobody reads by them",
}


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)
    for what, comment in COMMENTS.items():
        quoted = comment.replace("'", "''")
        op.execute(f"comment on {what} is '{quoted}'")


def downgrade() -> None:
    raise RuntimeError("what was sold cannot be dropped")

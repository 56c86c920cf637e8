"""Licences and parcels: what plans deliver, and what other systems were told of it.

Revision: 0023, after 0022.
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table product add column delivers jsonb")
    op.execute("comment on column product.delivers is 'content and shipping; null: nothing'")
    op.execute("alter table plan add column delivers jsonb")
    op.execute(
        "comment on column plan.delivers is 'content and shipping of its own; null: what its product says'"
    )
    op.execute(
        """
        create table fulfilment (
            id uuid not null constraint fulfilment_pk primary key,
            mode text not null,
            account_id uuid not null constraint fulfilment_account_id_fk references account (id),
            source_kind text not null,
            source_id uuid not null,
            capability text not null,
            item text not null,
            number integer not null,
            wish text not null,
            told text not null default 'nothing',
            terms jsonb not null,
            until timestamptz,
            given_until timestamptz,
            given_id text,
            due_at timestamptz not null,
            changeable_until timestamptz,
            connection text,
            attempt integer not null default 1,
            sent_to text,
            step text,
            call_id uuid,
            next_at timestamptz,
            outcome text,
            created_at timestamptz not null default now(),
            constraint fulfilment_source_id_capability_item_number_key unique (source_id, capability, item, number),
            constraint fulfilment_mode check (mode in ('live', 'test')),
            constraint fulfilment_source_kind check (source_kind in ('subscription', 'purchase')),
            constraint fulfilment_capability check (capability in ('drm', 'shipping')),
            constraint fulfilment_wish check (wish in ('given', 'ended')),
            constraint fulfilment_told check (told in ('nothing', 'given', 'ended')),
            constraint fulfilment_step check ((call_id is null) = (step is null)))
        """
    )
    for name, comment in COMMENTS.items():
        op.execute(f"comment on column fulfilment.{name} is '{comment}'")
    op.execute("create index fulfilment_account_id_idx on fulfilment (account_id)")
    op.execute("create index fulfilment_next_idx on fulfilment (next_at) where next_at is not null")
    op.execute("create index fulfilment_call_idx on fulfilment (call_id) where call_id is not null")
    op.execute(
        "create index fulfilment_until_idx on fulfilment (until) where capability = 'drm' and wish = 'given'"
    )


COMMENTS = {
    "source_id": "the subscription or purchase that gives it",
    "item": "the DRM system''s content, or the warehouse''s article",
    "number": "0: the standing order of an edition; an issue: its day''s",
    "terms": "as the catalog said; nothing personal",
    "until": "of a licence: its end, as far as is billed",
    "given_id": "what the other system calls the licence or label",
    "changeable_until": "of a parcel: then the carrier has it",
    "connection": "the one that does it; null: none was connected yet",
    "attempt": "of sending the parcel",
    "sent_to": "digest of the address that was told",
    "step": "the method of the call that is under way",
    "next_at": "when it is looked at next; null: nothing is to do",
    "outcome": "how it stands, for people",
}

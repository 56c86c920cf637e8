"""Test clocks, and what a change of a subscription demands outside.

Revision: 0015, after 0014.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TEST_CLOCK = """
    create table test_clock (
        id uuid not null, name text not null, starts_at timestamptz not null, frozen_at timestamptz not null,
        target timestamptz, status text not null default 'ready', problem text,
        created_at timestamptz not null default now(), changed_at timestamptz not null default now(),
        constraint test_clock_pk primary key (id),
        constraint test_clock_name_key unique (name),
        constraint test_clock_status check (status in ('ready', 'advancing', 'failed', 'ended')),
        constraint test_clock_forwards check (frozen_at >= starts_at and target >= frozen_at),
        constraint test_clock_target check ((target is not null) = (status in ('advancing', 'failed'))))
"""
ACCOUNT = """
    alter table account
        add column test_clock_id uuid,
        add column clock_at timestamptz,
        add constraint account_test_clock_id_fk foreign key (test_clock_id) references test_clock (id),
        add constraint account_clocked check (test_clock_id is null or (mode = 'test' and clock_at is not null))
"""
STAYS = """
    create function keep_account_in_its_time() returns trigger language plpgsql as $$
    begin
        if new.mode is distinct from old.mode then
            raise exception 'account %: mode % is for ever; open another account', old.id, old.mode
                using errcode = 'restrict_violation';
        end if;
        if old.test_clock_id is not null and new.test_clock_id is distinct from old.test_clock_id then
            raise exception 'account % stays on its test clock; open another account', old.id
                using errcode = 'restrict_violation';
        end if;
        return new;
    end $$
"""
FOLLOW_UP = """
    create table follow_up (
        id uuid not null, mode text not null default 'live', subscription_id uuid not null, account_id uuid not null,
        kind text not null, key text not null, due_at timestamptz not null, about jsonb not null,
        done_at timestamptz, outcome text, created_at timestamptz not null default now(),
        constraint follow_up_pk primary key (id),
        constraint follow_up_subscription_id_key_key unique (subscription_id, key),
        constraint follow_up_subscription_id_fk foreign key (subscription_id) references subscription (id),
        constraint follow_up_account_id_fk foreign key (account_id) references account (id),
        constraint follow_up_mode check (mode in ('live', 'test')),
        constraint follow_up_kind check (kind in ('provisioning', 'notice', 'shipment')),
        constraint follow_up_done check ((done_at is null) = (outcome is null)))
"""
COMMENTS = {
    "test_clock.frozen_at": "what time it is for its accounts",
    "test_clock.target": "what it is being advanced to, or failed on the way to",
    "account.test_clock_id": "whose time is this clock's, for ever",
    "account.clock_at": "the instant of its clock up to which it has been played",
    "follow_up.key": "what it is, once for each subscription",
    "follow_up.about": "dates and plans; nothing personal",
}


def upgrade() -> None:
    for statement in (TEST_CLOCK, ACCOUNT, STAYS, FOLLOW_UP):
        op.execute(statement)
    op.execute(
        "create trigger account_keeps_its_time before update of mode, test_clock_id on account "
        "for each row execute function keep_account_in_its_time()"
    )
    op.execute(
        "create index account_test_clock_id_idx on account (test_clock_id) where test_clock_id is not null"
    )
    op.execute("create index follow_up_due_idx on follow_up (due_at) where done_at is null")
    for place, comment in COMMENTS.items():
        op.execute(f"comment on column {place} is $${comment}$$")


def downgrade() -> None:
    raise RuntimeError("what was played on a clock cannot be taken off it")

"""Mails to customers, and where the reader of events for them begins: with what happens from now on.

Revision: 0016, after 0015.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mail",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("mode", sa.Text(), server_default=sa.text("'live'"), nullable=False),
        sa.Column(
            "event_key", sa.Text(), nullable=False, comment="what it is known by; see domain.mail_templates"
        ),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("subject_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'waiting'"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it was not sent, or is parked"),
        sa.Column("connection", sa.Text(), nullable=True),
        sa.Column(
            "call_id",
            sa.Uuid(as_uuid=False),
            nullable=True,
            comment="the call that sends it; its request is erased once it is sent",
        ),
        sa.Column("locale", sa.Text(), nullable=True, comment="the language that it was written in"),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column(
            "unsubscribe_hash",
            sa.LargeBinary(),
            nullable=True,
            comment="of the token in the link by which marketing is ended",
        ),
        sa.Column("tries", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("mode in ('live', 'test')", name=op.f("mail_mode")),
        sa.CheckConstraint(
            "status in ('waiting', 'sending', 'sent', 'unsent', 'parked', 'skipped', 'failed')",
            name=op.f("mail_status"),
        ),
        sa.CheckConstraint(
            "(ended_at is null) = (status in ('waiting', 'sending', 'parked'))", name=op.f("mail_ended")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("mail_pk")),
        sa.UniqueConstraint("mode", "event_key", "template", name=op.f("mail_mode_event_key_template_key")),
    )
    op.create_index(op.f("mail_account_id_idx"), "mail", ["account_id"])
    op.create_index(
        "mail_due_idx",
        "mail",
        ["next_at", "id"],
        postgresql_where=sa.text("status in ('waiting', 'sending')"),
    )
    op.create_index("mail_parked_idx", "mail", ["id"], postgresql_where=sa.text("status = 'parked'"))
    op.create_index(
        "mail_unsubscribe_idx",
        "mail",
        ["unsubscribe_hash"],
        unique=True,
        postgresql_where=sa.text("unsubscribe_hash is not null"),
    )
    # Nobody is written to of what happened before there were mails.
    op.execute(
        """
        insert into event_cursor (name, epoch, xid, id)
        select 'mails', epoch, xid, id from event_log order by epoch desc, xid desc, id desc limit 1
        """
    )


def downgrade() -> None:
    op.execute("delete from event_cursor where name = 'mails'")
    op.drop_table("mail")

"""What cost each posting for nothing: compressing ids, which do not compress, in a chunk's pending accounts, and
asking the event log's sequence, which writes to the log of the database, for one number at a time.

Revision: 0005, after 0004.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table bill_run_chunk alter column pending set storage external")
    op.execute("alter table event_log alter column id set cache 100")


def downgrade() -> None:
    op.execute("alter table event_log alter column id set cache 1")
    op.execute("alter table bill_run_chunk alter column pending set storage extended")

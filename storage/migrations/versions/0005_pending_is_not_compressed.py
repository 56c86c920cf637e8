"""A chunk's pending accounts are stored as they are: ids do not compress, and trying cost each posting.

Revision: 0005, after 0003.
"""

from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table bill_run_chunk alter column pending set storage external")


def downgrade() -> None:
    op.execute("alter table bill_run_chunk alter column pending set storage extended")

"""A coupon that has run out may be on a subscription anew.

Revision: 0024, after 0023.
"""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        alter table subscription_discount
            drop constraint subscription_discount_subscription_id_code_key,
            add constraint subscription_discount_subscription_id_code_starts_on_key
                unique (subscription_id, code, starts_on)
        """
    )

"""The accounts that payments, credit notes, account credit, disputes, write-offs and gifts are posted to."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CHART = [
    ("cash", "Cash at bank", "asset"),
    ("payments_in_clearing", "Payments in clearing at gateways", "asset"),
    ("payments_in_dispute", "Payments in dispute", "asset"),
    ("gift_liability", "Gifts sold and not redeemed", "liability"),
    ("account_credit", "Account credit of customers", "liability"),
    ("refunds_payable", "Refunds payable", "liability"),
    ("breakage_revenue", "Breakage revenue", "income"),
    ("payment_fees", "Payment fees", "expense"),
    ("dispute_fees", "Dispute fees", "expense"),
    ("dispute_losses", "Losses of disputes", "expense"),
    ("bad_debt", "Bad debt", "expense"),
    ("goodwill", "Goodwill given", "expense"),
]


def upgrade() -> None:
    for code, name, kind in CHART:
        op.execute(f"insert into ledger_account (code, name, kind) values ('{code}', '{name}', '{kind}')")


def downgrade() -> None:
    raise RuntimeError("accounts that may have been posted to cannot be taken away")

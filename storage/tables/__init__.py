"""The tables, as SQLAlchemy Core sees them.

Laws I1, I3, I4, I5 and I9 of the books stand here as constraints.

Conventions: ids are UUIDv7 made by the application; money is bigint minor units beside a currency; billing
days are `date`, instants `timestamptz`; `mode` keeps test-mode rows out of live ones; every row that can be
changed by a command has a `version`.

On hot tables there is no index that a bill run would have to update: `subscription.next_bill_on` has none, so
that moving it is a heap-only update (a run reads the table once, in order; see docs/decisions.md).
"""

from __future__ import annotations

from storage.tables.account_books import (
    account_credit_grant,
    account_credit_movement,
    account_history,
    command,
    credit_line,
    credit_note,
    document_series,
    invoice_settlement,
    payment,
    payment_application,
    pending_charge,
    rule_book,
    subscription_history,
)
from storage.tables.accounts import (
    account,
    import_job,
    import_rejection,
    person,
    subscription,
    subscription_discount,
    subscription_item,
    usage_record,
)
from storage.tables.api import api_key_retired, idempotency_key
from storage.tables.card_notices import card_notice
from storage.tables.catalog import catalog_load, meter, plan, plan_version, price, product, tax_rate
from storage.tables.charges import charge, charge_part, payment_method
from storage.tables.checkout import (
    awaiting_payment,
    checkout,
    checkout_person,
    fulfilment_request,
    purchase,
)
from storage.tables.clocks import follow_up, test_clock
from storage.tables.connections import (
    connection,
    connection_token,
    connector_call,
    rate_bucket,
    request_log,
    sync_lane,
)
from storage.tables.dunning import dunning_case, payment_fact
from storage.tables.entitlements import allowance_use, entitlement_grant, feature
from storage.tables.events import event_cursor, event_log
from storage.tables.fulfilment import fulfilment
from storage.tables.holds import write_hold
from storage.tables.invoices import invoice, invoice_line, number_series
from storage.tables.ledger import journal_entry, journal_line, ledger_account
from storage.tables.mails import mail
from storage.tables.operators import api_key, audit, parked
from storage.tables.payment_links import payment_link
from storage.tables.refunds import dispute, manual_payment, refund
from storage.tables.runs import bill_run, bill_run_chunk
from storage.tables.schema import Xid8, metadata
from storage.tables.sync import synced_record
from storage.tables.tax import tax_document
from storage.tables.webhooks import inbound_endpoint, vendor_fact, webhook_delivery
from storage.tables.webhooks_out import webhook_attempt, webhook_endpoint, webhook_message

__all__ = [
    "Xid8",
    "account",
    "account_credit_grant",
    "account_credit_movement",
    "account_history",
    "allowance_use",
    "api_key",
    "api_key_retired",
    "audit",
    "awaiting_payment",
    "bill_run",
    "bill_run_chunk",
    "card_notice",
    "catalog_load",
    "charge",
    "charge_part",
    "checkout",
    "checkout_person",
    "command",
    "connection",
    "connection_token",
    "connector_call",
    "credit_line",
    "credit_note",
    "dispute",
    "document_series",
    "dunning_case",
    "entitlement_grant",
    "event_cursor",
    "event_log",
    "feature",
    "follow_up",
    "fulfilment",
    "fulfilment_request",
    "idempotency_key",
    "import_job",
    "import_rejection",
    "inbound_endpoint",
    "invoice",
    "invoice_line",
    "invoice_settlement",
    "journal_entry",
    "journal_line",
    "ledger_account",
    "mail",
    "manual_payment",
    "metadata",
    "meter",
    "number_series",
    "parked",
    "payment",
    "payment_application",
    "payment_fact",
    "payment_link",
    "payment_method",
    "pending_charge",
    "person",
    "plan",
    "plan_version",
    "price",
    "product",
    "purchase",
    "rate_bucket",
    "refund",
    "request_log",
    "rule_book",
    "subscription",
    "subscription_discount",
    "subscription_history",
    "subscription_item",
    "sync_lane",
    "synced_record",
    "tax_document",
    "tax_rate",
    "test_clock",
    "usage_record",
    "vendor_fact",
    "webhook_attempt",
    "webhook_delivery",
    "webhook_endpoint",
    "webhook_message",
    "write_hold",
]

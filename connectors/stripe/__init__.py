"""Payments through Stripe and its own SDK: charges, holds, refunds, saved cards, signed events.
Its idempotency keys last 24 hours; a failed result is replayed under its key, so each attempt has a key of its own."""

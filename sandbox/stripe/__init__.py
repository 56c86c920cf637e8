"""A stand-in of Stripe: payments, saved cards, refunds, disputes and webhooks.
It speaks Stripe's wire protocol; only test cards exist."""

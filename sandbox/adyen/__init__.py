"""A stand-in of Adyen: payments with stored cards, captures, cancels, refunds, chargebacks, notifications.
It speaks Adyen's wire protocol; only its own stored cards exist."""

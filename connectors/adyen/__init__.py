"""Payments through Adyen's Checkout API: charges of stored cards, holds, refunds, signed notifications.
Captures, cancels and refunds are only taken by it; how they end is told by its notifications, never by its answers."""

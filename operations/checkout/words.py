"""Why a checkout ended, in words that are safe for the public, by kind."""

from __future__ import annotations

# Of the codes with which a bank declines, those that may be told; what a stolen card is answered with may not.
SHOWN_DECLINES = {
    "insufficient_funds": "There is not enough money on its account.",
    "expired_card": "The card has expired.",
    "incorrect_cvc": "The card's security code is not right.",
}

WORDS = {
    "card_declined": "The payment was declined. Try another payment method, in a new checkout.",
    "capture_refused": "The payment was authorised and could not be taken. Nothing was charged; start a new checkout.",
    "payment_missing": "Something is due now, and no payment method was given.",
    "payment_refused": "The payment provider does not take this payment method. Try another one, in a new checkout.",
    "gateway_missing": "Payments cannot be taken at the moment.",
    "gateway_away": "The payment provider does not answer. Nothing was charged; start a new checkout later.",
    "never_begun": "The checkout was not begun in time. Nothing was charged; start a new checkout.",
    "action_expired": "The payment was not confirmed in time. Nothing was charged; start a new checkout.",
    "tax_unavailable": "Tax cannot be determined at the moment. Nothing was charged; start a new checkout later.",
    "tax_refused": "Tax cannot be determined for this address. Correct it, and start a new checkout.",
    "price_changed": "The amount has changed since it was shown. Look at the new amount and start a new checkout.",
    "account_exists": "There is an account of that key. Use its id, in a new checkout.",
    "not_for_sale": "This cannot be sold.",
    "books_refused": "The sale could not be recorded. Nothing was charged; start a new checkout later.",
    "canceled": "The checkout was canceled. Nothing was charged.",
}

"""AvaTax: transactions that are estimated, saved, committed, adjusted, refunded and voided.
Rates come from a small table, so that every total can be checked by hand."""

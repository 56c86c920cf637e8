"""Money that goes back: refunds from their promise to their end, and what payers dispute at their banks.
What a gateway tells is applied here, in any order and however often it is told."""

"""Everything of one account, and what can happen to it: commands, bills, payments, corrections, the passing of days.
Pure functions on `AccountState`; `masthead simulate` and the books of the database come through here alike."""

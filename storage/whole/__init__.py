"""An account as a whole: read from its rows as `domain.account.AccountState`, and what changed of it written back.
All in the caller's transaction, under the account's lock."""

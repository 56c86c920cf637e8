"""Accounts in the database against the same accounts in memory."""

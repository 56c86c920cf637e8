"""Backup, restore, and what is found out after it."""

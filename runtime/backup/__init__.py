"""Backup and restore: Postgres and the embedded Temporal's file in one archive, and a database that knows that it was
restored."""

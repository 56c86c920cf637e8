"""Postgres: tables, migrations, queries, COPY, the event log.
SQL lives here; nobody above writes a commit of their own but operations."""

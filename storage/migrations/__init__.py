"""Alembic migrations of the schema, applied by every start of the stack.
A migration that has shipped is never edited."""

"""Tests, one folder per room, on the real Postgres and the real Temporal."""

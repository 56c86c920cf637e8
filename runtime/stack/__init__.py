"""The embedded stack: Postgres, Temporal, workers and API on this machine, supervised.
It starts what is missing, brings back what dies and stops only what it started."""
